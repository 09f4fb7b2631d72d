package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/output"
)

// errMiss is what all commands of one key say when it is not there.
var errMiss = errors.New("not found")

// do opens a conversation for one command.
func (c *client) do(ask func(*conn) error) error {
	to, err := c.open(c.node.Address)
	if err != nil {
		return err
	}
	defer to.Close()
	return ask(to)
}

func (c *client) get() *cobra.Command {
	return &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value of a key, as it is; exit code 1 if it is not there. --json also has its flags, expiry and CAS unique.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(func(to *conn) error {
				r, err := to.meta("mg", args[0], nil, "v", "f", "t", "c")
				switch {
				case err != nil:
					return err
				case r.code != "VA":
					return errMiss
				case c.asJSON:
					return output.JSON(cmd.OutOrStdout(), itemOf(args[0], r))
				}
				w := cmd.OutOrStdout()
				if output.IsTerminal(w) && len(r.value) > 0 && r.value[len(r.value)-1] != '\n' {
					r.value = append(r.value, '\n')
				}
				_, err = w.Write(r.value)
				return err
			})
		},
	}
}

// An item is what --json shows of one.
type item struct {
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`        // if it is text in UTF-8, else
	Bytes []byte  `json:"value_base64,omitempty"` // this
	Flags int64   `json:"flags"`
	TTL   *int64  `json:"ttl"`        // seconds until it expires; null: never
	CAS   int64   `json:"cas,string"` // too long for the numbers of many readers of JSON
}

func itemOf(key string, r reply) item {
	i := item{Key: key, Flags: r.number('f'), CAS: r.number('c')}
	if text := string(r.value); utf8.ValidString(text) {
		i.Value = &text
	} else {
		i.Bytes = r.value
	}
	if ttl := r.number('t'); ttl >= 0 {
		i.TTL = &ttl
	}
	return i
}

// modes are those of ms by the names of the commands that do the same; set is the default.
var modes = []string{"set", "add", "replace", "append", "prepend"}

func (c *client) set() *cobra.Command {
	var flags uint32
	var cas uint64
	var expiry, mode string
	set := &cobra.Command{
		Use:   "set KEY [VALUE]",
		Short: "Store a value, that of the argument or what standard input has; exit code 1 if --mode or --cas does not allow it.",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			exptime, err := parseExpiry(expiry, time.Now())
			if err != nil {
				return err
			}
			if !slices.Contains(modes, mode) {
				return output.Exit(output.Usage, fmt.Errorf("--mode %s: one of %s", mode, strings.Join(modes, ", ")))
			}
			value, err := valueOf(cmd, args[1:])
			if err != nil {
				return err
			}
			words := []string{"c", "F" + strconv.FormatUint(uint64(flags), 10), "T" + exptime, "M" + strings.ToUpper(mode[:1])}
			if mode == "add" {
				words[3] = "ME" // A is append
			}
			if cas > 0 {
				words = append(words, "C"+strconv.FormatUint(cas, 10))
			}
			return c.do(func(to *conn) error {
				r, err := to.meta("ms", args[0], value, words...)
				if err != nil {
					return err
				}
				return c.done(cmd, args[0], r)
			})
		},
	}
	set.Flags().Uint32Var(&flags, "flags", 0, "the client's 32 `BITS` beside the value")
	expiryFlag(set, &expiry)
	set.Flags().StringVar(&mode, "mode", "set", "`HOW`: set, add (only if it is not there), replace (only if it is), append, prepend")
	set.Flags().Uint64Var(&cas, "cas", 0, "store only if the item's CAS unique is this `NUMBER`")
	return set
}

// maxValueBytes is more than any node takes.
const maxValueBytes = 1<<30 + 1

// valueOf gives the value of the argument, else what standard input has. It is not nil.
func valueOf(cmd *cobra.Command, args []string) ([]byte, error) {
	if len(args) > 0 {
		return []byte(args[0]), nil
	}
	value, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxValueBytes))
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return value, nil
}

func expiryFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "expiry", "0", "`DURATION` until it expires, such as 90s or 36h, or a number of seconds; 0: never")
}

// longestRelative is where memcached takes seconds for a time, not for a duration (protocol.txt, "Expiration times").
const longestRelative = 30 * 24 * time.Hour

// parseExpiry makes an exptime of a duration: what would be too long for a relative one becomes a second of Unix time.
func parseExpiry(text string, now time.Time) (exptime string, err error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return "", output.Exit(output.Usage, fmt.Errorf("--expiry %q: a duration such as 90s or 36h, or a number of seconds", text))
		}
		d = time.Duration(seconds) * time.Second
	}
	if d < 0 {
		return "-1", nil
	}
	d = time.Duration(math.Ceil(d.Seconds())) * time.Second // half a second is not never
	if d > longestRelative {
		return strconv.FormatInt(now.Add(d).Unix(), 10), nil
	}
	return strconv.FormatInt(int64(d/time.Second), 10), nil
}

func (c *client) delete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete KEY",
		Short: "Delete a key; exit code 1 if it is not there.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(func(to *conn) error {
				r, err := to.meta("md", args[0], nil)
				if err != nil {
					return err
				}
				return c.done(cmd, args[0], r)
			})
		},
	}
}

func (c *client) touch() *cobra.Command {
	var expiry string
	touch := &cobra.Command{
		Use:   "touch KEY --expiry DURATION",
		Short: "Give a key another expiry; exit code 1 if it is not there.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			exptime, err := parseExpiry(expiry, time.Now())
			if err != nil {
				return err
			}
			return c.do(func(to *conn) error {
				r, err := to.meta("mg", args[0], nil, "c", "T"+exptime)
				if err != nil {
					return err
				}
				return c.done(cmd, args[0], r)
			})
		},
	}
	expiryFlag(touch, &expiry)
	return touch
}

// count is incr, or decr.
func (c *client) count(name string) *cobra.Command {
	var initial, expiry string
	short, mode := "Add DELTA (1) to a number, and print it", "MI"
	if name == "decr" {
		short, mode = "Take DELTA (1) from a number, down to 0, and print it", "MD"
	}
	count := &cobra.Command{
		Use:   name + " KEY [DELTA]",
		Short: short + "; exit code 1 if it is not there, or is none.",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			words := []string{"v", "c", mode}
			if len(args) > 1 {
				if _, err := strconv.ParseUint(args[1], 10, 64); err != nil {
					return output.Exit(output.Usage, fmt.Errorf("DELTA %q: a whole number, 0 or above", args[1]))
				}
				words = append(words, "D"+args[1])
			}
			if initial != "" {
				if _, err := strconv.ParseUint(initial, 10, 64); err != nil {
					return output.Exit(output.Usage, fmt.Errorf("--initial %q: a whole number, 0 or above", initial))
				}
				exptime, err := parseExpiry(expiry, time.Now())
				if err != nil {
					return err
				}
				words = append(words, "J"+initial, "N"+exptime)
			}
			return c.do(func(to *conn) error {
				r, err := to.meta("ma", args[0], nil, words...)
				switch {
				case err != nil:
					return err
				case r.code != "VA":
					return c.done(cmd, args[0], r)
				case c.asJSON:
					return output.JSON(cmd.OutOrStdout(), map[string]any{"key": args[0], "value": string(bytes.TrimRight(r.value, " ")), "cas": r.flags['c']})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimRight(r.value, " ")) // decr keeps the width

				return err
			})
		},
	}
	count.Flags().StringVar(&initial, "initial", "", "the `NUMBER` it begins with if it is not there")
	expiryFlag(count, &expiry)
	return count
}

// done says how a command that changes something went: nothing if it is done, unless JSON is asked for.
func (c *client) done(cmd *cobra.Command, key string, r reply) error {
	switch r.code {
	case "HD":
	case "NS":
		return errors.New("not stored: it is there already, or is not there")
	case "EX":
		return errors.New("not done: the CAS unique is another by now")
	default:
		return errMiss
	}
	if !c.asJSON {
		return nil
	}
	said := map[string]any{"key": key, "done": true}
	if cas := r.flags['c']; cas != "" {
		said["cas"] = cas
	}
	return output.JSON(cmd.OutOrStdout(), said)
}
