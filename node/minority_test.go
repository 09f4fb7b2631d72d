package node_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/node/sides"
)

// CLUSTER.md 4.3, C6: who is in the minority answers nothing from its memory and takes no writes, until the others are back; who serves goes on.
func TestMinority(t *testing.T) {
	f := func(policy sides.Policy, read, write string) {
		c := nodetest.Start(t, 2, func(cfg *node.Config) {
			cfg.OnMinority, cfg.MinMembers, cfg.DrainTimeout = policy, 2, 0
		})
		conn := c.Dial(0)
		lines := bufio.NewReader(conn)
		ask := func(command string) string {
			t.Helper()
			if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
				t.Fatal(err)
			}
			answer, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(answer)
		}
		whole := func() {
			t.Helper()
			if got := ask("set k 0 0 1\r\n1"); got != "STORED" {
				t.Errorf("%v: set by the majority: %s", policy, got)
			}
		}
		whole()
		c.Stop(1)
		c.Wait("the minority is known", func() bool { return strings.Contains(members(c), "state=minority") })
		for command, want := range map[string]string{
			"get none": read, "gat 0 none": read, "mg none v": strings.Replace(read, "END", "EN", 1),
			"set n 0 0 1\r\n1": write, "add n 0 0 1\r\n1": write, "cas n 0 0 1 1\r\n1": write, "delete n": write, "incr n 1": write, "touch n 0": write, "flush_all": write,
		} {
			if policy == sides.Serve {
				continue
			}
			if got := ask(command); !strings.HasPrefix(got, want) {
				t.Errorf("%v: %q: %s, want %s", policy, command, got, want)
			}
		}
		if got := ask("get k"); (got == "VALUE k 0 1") == (policy != sides.Serve) && got != read {
			t.Errorf("%v: what is there: %s", policy, got)
		} else if policy == sides.Serve {
			lines.ReadString('\n')
			lines.ReadString('\n')
		}
		c.Launch()
		c.WaitAgreed()
		c.WaitSettled()
		c.Wait("the minority is over", func() bool { return !strings.Contains(members(c), "state=minority") })
		whole()
	}
	const refused = "SERVER_ERROR minority"
	f(sides.Serve, "", "")
	f(sides.Miss, "END", refused)
	f(sides.Refuse, refused, refused)
}

// members is what node 0 says of all.
func members(c *nodetest.Cluster) string {
	conn := c.Dial(0)
	defer conn.Close()
	fmt.Fprint(conn, "cluster members\r\n")
	var all strings.Builder
	for lines := bufio.NewReader(conn); !strings.HasSuffix(all.String(), "END\r\n"); {
		line, err := lines.ReadString('\n')
		if err != nil {
			return ""
		}
		all.WriteString(line)
	}
	return all.String()
}
