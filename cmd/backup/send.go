package backup

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node/archive"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/storage"
)

// A sender has the members store blocks, in one conversation at a time, with one member after the other if need be. What is not answered for a reason that may pass is asked
// again: to install an item twice does no more than once.
type sender struct {
	r      *restoration
	turn   int // of the members
	conn   *patient
	in     *bufio.Reader
	memory []byte // of a block
	asked  []byte // requests
	ends   []int  // where each of them ends
}

// batchBytes is how much is asked before the answers are read: they are short, and fit what the system keeps on their way.
const batchBytes = 256 << 10

// run sends blocks until there are no more, or somebody fails.
func (s *sender) run(blocks <-chan *archive.Block) {
	defer s.hangUp()
	for block := range blocks {
		if err := s.send(block); err != nil {
			s.r.fail(err)
			return
		}
	}
}

func (s *sender) hangUp() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// send sends a block in batches.
func (s *sender) send(block *archive.Block) error {
	items, memory, err := block.Each(s.memory)
	if err != nil {
		return s.r.refused(err)
	}
	if s.memory = memory; cap(memory) > 8*batchBytes {
		s.memory = nil
	}
	for key, it := range items {
		if len(s.asked)+len(it.Value) > batchBytes {
			if err := s.flush(); err != nil {
				return err
			}
		}
		s.ask(key, it)
	}
	return s.flush()
}

// ask adds a request: protocol/text, parseInstall.
func (s *sender) ask(key []byte, it storage.Item) {
	how := ""
	if s.r.anew {
		how = " anew"
	}
	item := piece.Append(nil, key, it)
	s.asked = fmt.Appendf(s.asked, "install %d %d%s\r\n", len(key), len(key)+len(item), how)
	s.asked = append(append(append(s.asked, key...), item...), "\r\n"...)
	s.ends = append(s.ends, len(s.asked))
}

// flush asks until all is answered, or nothing goes on.
func (s *sender) flush() error {
	for since := time.Now(); len(s.ends) > 0; {
		before := len(s.ends)
		err := s.try()
		fatal := fatalError{}
		switch {
		case err == nil:
			continue
		case errors.As(err, &fatal):
			return fatal.error
		case len(s.ends) < before:
			since = time.Now()
		case time.Since(since) >= s.r.c.timeout:
			return output.Exit(output.Timeout, fmt.Errorf("nothing goes on for %v (--timeout): %w", s.r.c.timeout, err))
		}
		select {
		case <-time.After(passing):
		case <-s.r.broken:
			return nil // somebody else tells why
		}
	}
	if cap(s.asked) > 4*batchBytes {
		s.asked = nil
	}
	return nil
}

// try asks once, and keeps what is to be asked again. An error that does not pass is told whatever follows it.
func (s *sender) try() (failure error) {
	if s.conn == nil {
		conn, err := s.r.c.dial(s.r.addresses[s.turn%len(s.r.addresses)])
		if s.turn++; err != nil {
			return err
		}
		s.conn, s.in = conn, bufio.NewReader(conn)
	}
	asked, ends, begin := s.asked, s.ends, 0
	s.asked, s.ends = s.asked[:0], s.ends[:0]
	if _, err := s.conn.Write(asked); err != nil {
		failure = err
		s.hangUp()
	}
	var told tally
	for _, end := range ends {
		again := s.conn == nil
		if !again {
			err := s.conn.expect()
			var answer []byte
			if err == nil {
				answer, err = s.in.ReadSlice('\n')
			}
			if err == nil {
				again, err = told.count(strings.TrimSpace(string(answer)))
			} else {
				again = true
				s.hangUp()
			}
			if err != nil && !errors.As(failure, &fatalError{}) {
				failure = err
			}
		}
		if again { // over what has been done with
			s.asked = append(s.asked, asked[begin:end]...)
			s.ends = append(s.ends, len(s.asked))
		}
		begin = end
	}
	s.r.add(told)
	return failure
}

// count counts an answer, or says that it is to be asked again.
func (t *tally) count(answer string) (again bool, err error) {
	switch answer {
	case "STORED":
		t.Stored++
	case "EXISTS":
		t.Newer++
	case "NOT_FOUND":
		t.Expired++
	case "NOT_STORED":
		t.Flushed++
	case "SERVER_ERROR object too large for cache", "SERVER_ERROR out of memory storing object":
		t.Refused++
	default:
		if strings.HasPrefix(answer, "SERVER_ERROR ") {
			return true, errors.New(answer[len("SERVER_ERROR "):])
		}
		if err := dial.Refusal(answer); err != nil {
			return false, fatalError{err}
		}
		return false, fatalError{fmt.Errorf("answered %q: is it a memring node, of a build that knows backups?", answer)}
	}
	return false, nil
}
