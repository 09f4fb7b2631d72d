package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/memring/memring/cmd/dial"
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

// Ask puts one question to the member at address, reached as node is, and gives the lines of its answer.
func Ask(node *dial.Node, address, question string) ([]Line, error) {
	conn, err := say(node, address, question)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	lines, err := ReadReport(conn)
	if err != nil {
		return nil, conn.Wrap(err)
	}
	return lines, nil
}

// tell has the member at --addr do something; what it refuses is an error in its words.
func tell(node *dial.Node, order string) error {
	conn, err := say(node, node.Address, order)
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := conn.Line()
	if err != nil {
		return err
	}
	if kind, _, _ := strings.Cut(answer, " "); kind != "OK" {
		return conn.Refused(answer)
	}
	return nil
}

// say opens a conversation with one line.
func say(node *dial.Node, address, words string) (*dial.Conn, error) {
	conn, err := node.Open(address, askTimeout)
	if err != nil {
		return nil, err
	}
	if err = conn.Say(words); err != nil {
		conn.Close()
		return nil, err
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
		case dial.Refusal(in.Text()) != nil:
			return nil, dial.Refusal(in.Text())
		case len(words) > 0 && strings.HasSuffix(words[0], "ERROR"):
			return nil, fmt.Errorf("answered %q: is it a memring node?", in.Text())
		case len(words) < 2:
			return nil, output.Exit(output.Unreachable, fmt.Errorf("answered %q: is it a memring node?", in.Text()))
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
