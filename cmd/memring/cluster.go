package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const (
	// askTimeout bounds the whole question: a member answers from what it knows, without asking others.
	askTimeout = 5 * time.Second

	// maxReportLines bounds an answer: far above the largest cluster, so that what listens there by mistake cannot keep us.
	maxReportLines = 10_000
)

// clusterCommand asks a member about the cluster, over its client port and in the wire's own words.
func clusterCommand() *cobra.Command {
	var (
		address string
		asJSON  bool
		over    encryption
	)
	cluster := &cobra.Command{Use: "cluster", Short: "Ask a running cluster about itself.", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return cmd.Help()
	}}
	cluster.PersistentFlags().StringVar(&address, "addr", fmt.Sprintf("127.0.0.1:%d", defaultPort), "client `ADDRESS` of any member")
	cluster.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	over.flags(cluster.PersistentFlags())
	show := func(w io.Writer, question string) error {
		secure, err := over.config()
		if err != nil {
			return err
		}
		lines, err := ask(address, secure, question)
		if err != nil {
			return fmt.Errorf("--addr %s: %w", address, err)
		}
		if asJSON {
			return printJSON(w, objects(lines))
		}
		return printTable(w, lines)
	}
	cluster.AddCommand(&cobra.Command{
		Use:   "members",
		Short: "Who is in the cluster, as one member sees it.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return show(cmd.OutOrStdout(), "cluster members") },
	}, &cobra.Command{
		Use:   "moves",
		Short: "What one member takes over and hands over now, and how far it is.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return show(cmd.OutOrStdout(), "cluster moves") },
	}, &cobra.Command{
		Use:   "owner KEY",
		Short: "Which member answers for a key.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" || strings.ContainsAny(args[0], " \r\n") {
				return fmt.Errorf("KEY %q: a key has neither blanks nor line ends", args[0])
			}
			return show(cmd.OutOrStdout(), "cluster owner "+args[0])
		},
	})
	return cluster
}

// A line is one line of an answer, "MEMBER n1 zone=a state=active": the id of a member or of a move, and what is said of it, in the order it is said.
type line struct {
	id     string
	fields [][2]string
}

// ask puts one question to the member at address, over TLS unless secure is nil, and gives the lines of its answer.
func ask(address string, secure *tls.Config, question string) ([]line, error) {
	dialer := &net.Dialer{Timeout: askTimeout}
	var conn net.Conn
	var err error
	if secure == nil {
		conn, err = dialer.Dial("tcp", address)
	} else {
		conn, err = tls.DialWithDialer(dialer, "tcp", address, secure)
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, question+"\r\n"); err != nil {
		return nil, err
	}
	return readReport(conn)
}

// readReport reads lines up to END.
func readReport(r io.Reader) (lines []line, err error) {
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
		l := line{id: words[1]}
		for _, word := range words[2:] {
			key, value, _ := strings.Cut(word, "=")
			l.fields = append(l.fields, [2]string{key, value})
		}
		lines = append(lines, l)
	}
	return nil, errors.Join(in.Err(), errors.New("the answer has no END (a port on TLS is asked with --tls)"))
}

// printTable prints one row a line; the first line gives the columns.
func printTable(w io.Writer, lines []line) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, l := range lines {
		if i == 0 {
			fmt.Fprint(table, "ID")
			for _, field := range l.fields {
				fmt.Fprint(table, "\t", strings.ToUpper(field[0]))
			}
			fmt.Fprintln(table)
		}
		fmt.Fprint(table, l.id)
		for _, field := range l.fields {
			if field[1] == "" {
				field[1] = "-"
			}
			fmt.Fprint(table, "\t", field[1])
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// objects gives the lines as JSON has them.
func objects(lines []line) []map[string]string {
	all := make([]map[string]string, 0, len(lines))
	for _, l := range lines {
		object := map[string]string{"id": l.id}
		for _, field := range l.fields {
			object[field[0]] = field[1]
		}
		all = append(all, object)
	}
	return all
}

func printJSON(w io.Writer, what any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(what)
}
