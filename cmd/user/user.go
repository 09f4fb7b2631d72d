// Package user is the subcommand that keeps a file of users, for -Y or $MEMCACHED_SASL_PWDB.
//
//	add, passwd, remove -> userfiles.Change -> login.Add, SetPassword, Remove: a running node sees that by itself
//	list                -> login.Lines -> a table, or JSON
//
// A password is never an argument: other users of a machine see the arguments of its processes.
package user

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/cmd/userfiles"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/login"
)

// Command gives the subcommand.
func Command() *cobra.Command {
	root := &cobra.Command{Use: "user", Short: "Keep a file of users.", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return cmd.Help()
	}}
	var rights, prefixes []string
	add := &cobra.Command{
		Use:   "add FILE USER",
		Short: "Add a user; the password is asked for, or read from standard input, and kept hashed.",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			grant, err := login.NewGrant(rights, prefixes)
			if err != nil {
				return fmt.Errorf("--rights, --prefix: %w", err)
			}
			return change(args, true, func(file []byte) ([]byte, error) {
				password, err := newPassword(cmd)
				if err != nil {
					return nil, err
				}
				return login.Add(file, args[1], password, grant)
			})
		},
	}
	add.Flags().StringSliceVar(&rights, "rights", []string{"read", "write"}, "what the user may do: `read, write, admin`, with commas; admin is what concerns all items or the node")
	add.Flags().StringArrayVar(&prefixes, "prefix", nil, "read and write only keys that begin with this `PREFIX`; repeatable")
	var asJSON bool
	list := &cobra.Command{Use: "list FILE", Short: "Print who is in the file, and what they may do.", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		return printUsers(cmd.OutOrStdout(), args[0], asJSON)
	}}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	root.AddCommand(add, &cobra.Command{
		Use:   "passwd FILE USER",
		Short: "Give a user another password, in the place of all it has.",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(args, false, func(file []byte) ([]byte, error) {
				password, err := newPassword(cmd)
				if err != nil {
					return nil, err
				}
				return login.SetPassword(file, args[1], password)
			})
		},
	}, &cobra.Command{
		Use:   "remove FILE USER",
		Short: "Remove a user.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return change(args, false, func(file []byte) ([]byte, error) { return login.Remove(file, args[1]) })
		},
	}, list)
	return root
}

// change changes the file of the first argument, about the user of the second.
func change(args []string, create bool, edit func(file []byte) ([]byte, error)) error {
	if err := userfiles.Change(args[0], create, edit); err != nil {
		return fmt.Errorf("user %s in %s: %w", args[1], args[0], err)
	}
	return nil
}

// newPassword asks for a password, twice and unseen where somebody types it, and else reads one line.
func newPassword(cmd *cobra.Command) (password []byte, err error) {
	terminal, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return readPassword(cmd.InOrStdin())
	}
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		defer fmt.Fprintln(cmd.ErrOrStderr())
		return term.ReadPassword(int(terminal.Fd()))
	}
	if password, err = ask("Password: "); err != nil {
		return nil, err
	}
	again, err := ask("Once more: ")
	if err == nil && !bytes.Equal(password, again) {
		err = errors.New("the passwords differ")
	}
	return password, err
}

// readPassword reads a line, or all there is.
func readPassword(from io.Reader) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(from, protocol.MaxLoginBytes)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func printUsers(w io.Writer, path string, asJSON bool) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines, err := login.Lines(content)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	type user struct {
		Name     string   `json:"name"`
		Password string   `json:"password"`
		Rights   []string `json:"rights"`
		Prefixes []string `json:"prefixes,omitempty"`
	}
	users := make([]user, 0, len(lines))
	for i := range lines {
		l := &lines[i]
		kept := "clear"
		if l.Hashed {
			kept = "hashed"
		}
		users = append(users, user{l.Name, kept, strings.Split(l.Grant.RightNames(), ","), l.Grant.Prefixes})
	}
	if asJSON {
		return output.JSON(w, users)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tPASSWORD\tRIGHTS\tPREFIXES")
	for _, u := range users {
		prefixes := "-"
		if len(u.Prefixes) > 0 {
			prefixes = fmt.Sprintf("%q", u.Prefixes)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", u.Name, u.Password, strings.Join(u.Rights, ","), prefixes)
	}
	return table.Flush()
}
