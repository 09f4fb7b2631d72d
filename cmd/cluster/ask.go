package cluster

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/memring/memring/cmd/output"
)

const (
	// askTimeout bounds the whole question. A member that asks others waits for --peer-timeout at most.
	askTimeout = 5 * time.Second

	// maxReportLines bounds an answer: far above the largest cluster, so that what listens there by mistake cannot keep us.
	maxReportLines = 10_000
)

// A Line is one line of an answer, "MEMBER n1 zone=a state=active": the id of a member or of a move, and what is said of it, in the order it is said.
type Line struct {
	Label, ID string
	Fields    [][2]string
}

// Get gives what is said under a name; nothing if nothing is.
func (l Line) Get(name string) string {
	for _, field := range l.Fields {
		if field[0] == name {
			return field[1]
		}
	}
	return ""
}

// Ask puts one question to the member at address, over TLS unless secure is nil, and gives the lines of its answer.
func Ask(address string, secure *tls.Config, question string) ([]Line, error) {
	conn, err := say(address, secure, question)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return ReadReport(conn)
}

// tell has the member at address do something; what it refuses is an error in its words.
func tell(address string, secure *tls.Config, order string) error {
	conn, err := say(address, secure, order)
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
	if err != nil {
		return output.Exit(output.Unreachable, fmt.Errorf("no answer (a port on TLS is asked with --tls): %w", err))
	}
	switch kind, words, _ := strings.Cut(strings.TrimSpace(answer), " "); {
	case kind == "OK":
		return nil
	case strings.HasSuffix(kind, "ERROR") && words != "":
		return errors.New(words)
	default:
		return fmt.Errorf("answered %q: is it a memring node?", answer)
	}
}

// say opens a conversation with one line.
func say(address string, secure *tls.Config, words string) (conn net.Conn, err error) {
	dialer := &net.Dialer{Timeout: askTimeout}
	if secure == nil {
		conn, err = dialer.Dial("tcp", address)
	} else {
		conn, err = tls.DialWithDialer(dialer, "tcp", address, secure)
	}
	if err != nil {
		return nil, output.Exit(output.Unreachable, err)
	}
	if err = conn.SetDeadline(time.Now().Add(askTimeout)); err == nil {
		_, err = io.WriteString(conn, words+"\r\n")
	}
	if err != nil {
		conn.Close()
		return nil, output.Exit(output.Unreachable, err)
	}
	return conn, nil
}

// ReadReport reads lines up to END.
func ReadReport(r io.Reader) (lines []Line, err error) {
	in := bufio.NewScanner(r)
	for in.Scan() {
		words := strings.Fields(in.Text())
		switch {
		case len(words) == 1 && words[0] == "END":
			return lines, nil
		case len(words) < 2 || strings.HasSuffix(words[0], "ERROR"):
			return nil, fmt.Errorf("answered %q: is it a memring node?", in.Text())
		case len(lines) == maxReportLines:
			return nil, fmt.Errorf("answered more than %d lines", maxReportLines)
		}
		l := Line{Label: words[0], ID: words[1]}
		for _, word := range words[2:] {
			key, value, _ := strings.Cut(word, "=")
			l.Fields = append(l.Fields, [2]string{key, value})
		}
		lines = append(lines, l)
	}
	return nil, output.Exit(output.Unreachable, errors.Join(in.Err(), errors.New("the answer has no END (a port on TLS is asked with --tls)")))
}

// printTable prints one row a line; the first line gives the columns.
func printTable(w io.Writer, lines []Line) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, l := range lines {
		if i == 0 {
			fmt.Fprint(table, "ID")
			for _, field := range l.Fields {
				fmt.Fprint(table, "\t", strings.ToUpper(field[0]))
			}
			fmt.Fprintln(table)
		}
		fmt.Fprint(table, l.ID)
		for _, field := range l.Fields {
			if field[1] == "" {
				field[1] = "-"
			}
			fmt.Fprint(table, "\t", field[1])
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// printLines prints what is said as it is said, where lines differ in what they say.
func printLines(w io.Writer, lines []Line) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		fmt.Fprint(table, l.ID, "\t")
		for i, field := range l.Fields {
			if i > 0 {
				fmt.Fprint(table, " ")
			}
			fmt.Fprint(table, field[0], "=", field[1])
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// objects gives the lines as JSON has them.
func objects(lines []Line) []map[string]string {
	all := make([]map[string]string, 0, len(lines))
	for _, l := range lines {
		object := map[string]string{"id": l.ID}
		for _, field := range l.Fields {
			object[field[0]] = field[1]
		}
		all = append(all, object)
	}
	return all
}
