package warm

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/memring/memring/benchmarks/trace"
)

// A link is one client's connection to a server: one request, one answer, in the text protocol; or many requests, then their answers.
type link struct {
	server *Server
	stops  uint64        // of the server, when the link was opened
	bound  time.Duration // of an answer
	conn   net.Conn
	read   *bufio.Reader
	out    []byte
	value  []byte // the last one that was read
}

var (
	// errUnanswered: refused, or closed before a byte of the answer came. So nothing is known of what was asked, and asking elsewhere is right.
	errUnanswered = errors.New("no answer: the connection was refused or closed")

	// errCut: closed within an answer.
	errCut = errors.New("an answer was cut short")

	errLate    = errors.New("no answer in time")
	errStrange = errors.New("an answer that is not one")
)

// A refusal is an error line: SERVER_ERROR, CLIENT_ERROR or ERROR. The link is still good.
type refusal string

func (r refusal) Error() string { return string(r) }

func isRefusal(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

func openLink(s *Server, bound time.Duration) (*link, error) {
	l := &link{server: s, stops: s.stops.Load(), bound: bound}
	conn, err := net.DialTimeout("tcp", s.Addr, bound)
	if err != nil {
		return l, unanswered(err)
	}
	l.conn, l.read = conn, bufio.NewReaderSize(conn, 16<<10)
	return l, nil
}

func (l *link) close() {
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// unanswered says what an error before the first byte of an answer means.
func unanswered(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errLate
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errUnanswered
	}
	return err
}

func (l *link) appendGet(key uint32) {
	l.out = append(trace.AppendKey(append(l.out, "get "...), key), "\r\n"...)
}

func (l *link) appendSet(key uint32, value []byte) {
	l.out = trace.AppendKey(append(l.out, "set "...), key)
	l.out = append(strconv.AppendInt(append(l.out, " 0 0 "...), int64(len(value)), 10), "\r\n"...)
	l.out = append(append(l.out, value...), "\r\n"...)
}

// send writes what was appended.
func (l *link) send() error {
	if err := l.conn.SetDeadline(time.Now().Add(l.bound)); err != nil {
		return err
	}
	_, err := l.conn.Write(l.out)
	l.out = l.out[:0]
	if err != nil {
		return unanswered(err)
	}
	return nil
}

// begun waits for the first byte of an answer.
func (l *link) begun() error {
	if _, err := l.read.Peek(1); err != nil {
		return unanswered(err)
	}
	return nil
}

// line reads one, without its end; it is good until the next read.
func (l *link) line() ([]byte, error) {
	line, err := l.read.ReadSlice('\n')
	if err != nil {
		return nil, within(err)
	}
	for _, word := range []string{"SERVER_ERROR", "CLIENT_ERROR", "ERROR"} {
		if bytes.HasPrefix(line, []byte(word)) {
			return nil, refusal(bytes.TrimSpace(line))
		}
	}
	return bytes.TrimSuffix(line, []byte("\r\n")), nil
}

// within says what an error in the midst of an answer means.
func within(err error) error {
	if err = unanswered(err); errors.Is(err, errUnanswered) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// got reads the answer to a get. The value is good until the next one.
func (l *link) got(key uint32) (value []byte, hit bool, err error) {
	if err := l.begun(); err != nil {
		return nil, false, err
	}
	line, err := l.line()
	if err != nil || string(line) == "END" {
		return nil, false, err
	}
	words := bytes.Fields(line)
	if len(words) != 4 || string(words[0]) != "VALUE" || string(words[2]) != "0" {
		return nil, false, errStrange
	}
	var named [trace.KeyBytes]byte
	n, err := strconv.Atoi(string(words[3]))
	if err != nil || n < 0 || n > maxValueBytes || !bytes.Equal(words[1], trace.AppendKey(named[:0], key)) {
		return nil, false, errStrange
	}
	const ends = "\r\nEND\r\n"
	if cap(l.value) < n+len(ends) {
		l.value = make([]byte, n+len(ends))
	}
	l.value = l.value[:n+len(ends)]
	if _, err := io.ReadFull(l.read, l.value); err != nil {
		return nil, false, within(err)
	}
	if string(l.value[n:]) != ends {
		return nil, false, errStrange
	}
	return l.value[:n], true, nil
}

// stored reads the answer to a set.
func (l *link) stored() error {
	if err := l.begun(); err != nil {
		return err
	}
	line, err := l.line()
	if err == nil && string(line) != "STORED" {
		return errStrange
	}
	return err
}
