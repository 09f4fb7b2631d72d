package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/cmd/output"
)

// probeTimeout is below what those who run containers allow a probe, a second mostly.
const probeTimeout = 900 * time.Millisecond

// health asks a node how it is, as a container's probe, where there is no curl. admin is a node's address for operators.
func health(port int, admin string) *cobra.Command {
	var live, wire bool
	c := &client{}
	health := &cobra.Command{
		Use:   "health",
		Short: "Whether a node is ready for clients (/readyz), for probes: exit code 0 if it is, 1 if it is not, 3 if it does not answer.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			said, err := "", error(nil)
			switch {
			case wire:
				said, err = c.answers()
			case live:
				said, err = probe(cmd.Context(), admin, "livez", c.timeout)
			default:
				said, err = probe(cmd.Context(), admin, "readyz", c.timeout)
			}
			if c.asJSON && output.ExitCode(err) != output.Unreachable {
				why := said
				if err != nil {
					why = err.Error()
				}
				return errors.Join(output.JSON(cmd.OutOrStdout(), map[string]any{"ok": err == nil, "said": why}), err)
			}
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), said)
			}
			return err
		},
	}
	c.flags(health, port, probeTimeout)
	set := health.Flags()
	set.StringVar(&admin, "admin-listen", admin, "`ADDRESS` that the node has for health and metrics; in the node's environment it is known")
	set.BoolVar(&live, "live", false, "only whether the process answers (/livez)")
	set.BoolVar(&wire, "wire", false, "only whether it answers a client at --addr; for nodes without an admin port")
	return health
}

// probe asks for a page of the admin port; what is not OK is an error in its words.
func probe(ctx context.Context, admin, page string, timeout time.Duration) (said string, err error) {
	host, port, err := net.SplitHostPort(admin)
	if err != nil {
		return "", output.Exit(output.Usage, fmt.Errorf("--admin-listen %s: not HOST:PORT; a node without an admin port is asked with --wire", admin))
	}
	if host == "" || net.ParseIP(host).IsUnspecified() { // all addresses of this machine
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/"+page, nil)
	if err != nil {
		return "", err
	}
	direct := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // by no proxy
	answer, err := direct.Do(req)
	if err != nil {
		return "", output.Exit(output.Unreachable, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return "", output.Exit(output.Unreachable, err)
	}
	said = strings.TrimSpace(string(text))
	if answer.StatusCode != http.StatusOK {
		return "", errors.New(said)
	}
	return said, nil
}

// answers reports whether a node answers a client.
func (c *client) answers() (said string, err error) {
	err = c.do(func(to *conn) error {
		if err := to.Say("version"); err != nil {
			return err
		}
		line, err := to.Line()
		switch {
		case err != nil:
			return err
		case dial.Refusal(line) != nil:
			said = "ok; it lets only users in"
		case !strings.HasPrefix(line, "VERSION "):
			return to.Refused(line)
		default:
			said = "ok"
		}
		return nil
	})
	return said, err
}
