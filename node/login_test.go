package node_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/protocol/login"
)

func knownUsers(t *testing.T, mechanisms ...string) *login.Users {
	t.Helper()
	users, err := node.NewUsers(login.Config{Mechanisms: mechanisms})
	if err != nil {
		t.Fatal(err)
	}
	if err := users.Load([]byte("foo:bar\n")); err != nil {
		t.Fatal(err)
	}
	return users
}

// Through every node of a cluster one must log in, and then reaches all keys; members need not, among each other.
func TestLoginInLines(t *testing.T) {
	users := knownUsers(t)
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.Users, cfg.AuthFile = users, "/etc/users" })
	f := func(i int, question, want string) {
		t.Helper()
		conn := c.Dial(i)
		if _, err := io.WriteString(conn, question); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Errorf("node %d, %q: %q, %v, want %q", i, question, got[:n], err, want)
		}
	}
	for i := range 3 {
		f(i, "get k\r\nset k 0 0 5\r\nfoo x\r\nversion\r\n",
			"CLIENT_ERROR unauthenticated\r\nCLIENT_ERROR authentication failure\r\nCLIENT_ERROR unauthenticated\r\n")
		f(i, "set foo 0 0 7\r\nfoo bar\r\nset k 0 0 1\r\nv\r\nget k\r\n", "STORED\r\nSTORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n")
	}
	if cmds, errors := users.Stats().Cmds.Load(), users.Stats().Errors.Load(); cmds != 6 || errors != 3 {
		t.Errorf("%d logins counted, %d errors", cmds, errors)
	}
}

// What a user may ask is looked at where it has come in, and nowhere else: a node that a request is forwarded to does it.
func TestRightsThroughEveryNode(t *testing.T) {
	users, err := node.NewUsers(login.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var file []byte
	for name, prefix := range map[string]string{"shop": "shop:", "news": "news:"} {
		grant, err := login.NewGrant(nil, []string{prefix})
		if err == nil {
			file, err = login.Add(file, name, []byte("bar"), grant)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := users.Load(file); err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.Users, cfg.AuthFile = users, "/etc/users" })
	const denied = "CLIENT_ERROR permission denied\r\n"
	for i := range 3 {
		question, want := "set l 0 0 8\r\nshop bar\r\n", "STORED\r\n"
		for k := range 9 { // by their names three nodes share them
			question += fmt.Sprintf("set shop:%d 0 0 1\r\n%d\r\nget shop:%d\r\nget news:%d\r\nset news:%d 0 0 1\r\nx\r\n", k, i, k, k, k)
			want += fmt.Sprintf("STORED\r\nVALUE shop:%d 0 1\r\n%d\r\nEND\r\n", k, i) + denied + denied
		}
		if got := talk(t, c.Dial(i), question+"flush_all\r\nshutdown\r\nquit\r\n"); got != want+denied+denied {
			t.Errorf("node %d: %q, want %q", i, got, want)
		}
	}
	got := talk(t, c.Dial(0), "set l 0 0 8\r\nnews bar\r\nget news:0 news:1 news:2 news:3\r\nstats cluster\r\nquit\r\n")
	if !strings.HasPrefix(got, "STORED\r\nEND\r\nSTAT ") || !strings.Contains(got, "STAT cluster_commands_denied 180\r\n") { // 60, and the three nodes of this process know the same users
		t.Errorf("%q", got)
	}
}

// A wrong password is answered late, and then counted among the errors in the statistics; SASL's version needs no login.
func TestLoginBySASL(t *testing.T) {
	c := nodetest.Start(t, 1, func(cfg *node.Config) {
		cfg.Users, cfg.SASL, cfg.Wire = knownUsers(t, login.Plain), true, node.BinaryWire
	})
	conn := c.Dial(0)
	f := func(verb byte, key, value string, want uint16) (took time.Duration, answer string) {
		t.Helper()
		packet := make([]byte, 24)
		packet[0], packet[1], packet[3], packet[11] = 0x80, verb, byte(len(key)), byte(len(key)+len(value))
		began := time.Now()
		if _, err := conn.Write(append(packet, key+value...)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, packet); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, binary.BigEndian.Uint32(packet[8:]))
		if _, err := io.ReadFull(conn, body); err != nil {
			t.Fatal(err)
		}
		if status := binary.BigEndian.Uint16(packet[6:]); status != want {
			t.Errorf("verb %02x: status %04x, want %04x", verb, status, want)
		}
		return time.Since(began), string(body)
	}
	if _, version := f(0x0b, "", "", 0); version != "1.6.45" {
		t.Errorf("version %q", version)
	}
	if _, list := f(0x20, "", "", 0); list != "PLAIN" {
		t.Errorf("mechanisms %q", list)
	}
	if took, _ := f(0x21, "PLAIN", "\x00foo\x00baz", 0x20); took < 200*time.Millisecond {
		t.Errorf("refused after %v", took)
	}
	f(0x21, "PLAIN", "\x00foo\x00bar", 0)
	stats := map[string]string{}
	for packet := "stat"; packet != ""; {
		if len(stats) == 0 {
			_, packet = f(0x10, "", "", 0)
		} else {
			head := make([]byte, 24)
			if _, err := io.ReadFull(conn, head); err != nil {
				t.Fatal(err)
			}
			body := make([]byte, binary.BigEndian.Uint32(head[8:]))
			if _, err := io.ReadFull(conn, body); err != nil {
				t.Fatal(err)
			}
			packet = string(body)
			if n := binary.BigEndian.Uint16(head[2:]); n > 0 {
				stats[packet[:n]] = packet[n:]
			}
			continue
		}
		stats["first"] = packet
	}
	if stats["auth_cmds"] != "2" || stats["auth_errors"] != "1" {
		t.Errorf("auth_cmds %s, auth_errors %s", stats["auth_cmds"], stats["auth_errors"])
	}
}

// Where other machines reach a node that does not encrypt, passwords are not asked for as they are.
func TestPlainIsForLoopback(t *testing.T) {
	f := func(address, mechanisms string, status uint16, change func(*node.Config)) {
		t.Helper()
		c := nodetest.Start(t, 1, func(cfg *node.Config) {
			cfg.Users, cfg.SASL, cfg.Wire = knownUsers(t, login.Plain, login.Scram), true, node.BinaryWire
			cfg.Listen[0].Address, cfg.Advertise = address, netip.MustParseAddr("127.0.0.1")
			cfg.Trust.Insecure = true
		}, change)
		conn := c.Dial(0)
		login := "\x00foo\x00bar"
		ask := append(make([]byte, 24), append(make([]byte, 24), "PLAIN"+login...)...)
		ask[0], ask[1] = 0x80, 0x20
		ask[24], ask[25], ask[27], ask[35] = 0x80, 0x21, 5, byte(5+len(login))
		if _, err := conn.Write(ask); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 24+len(mechanisms)+24)
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint16(answer[len(answer)-18:]); string(answer[24:24+len(mechanisms)]) != mechanisms || got != status {
			t.Errorf("%s: %q, status %04x; want %s, %04x", address, answer[24:24+len(mechanisms)], got, mechanisms, status)
		}
	}
	same := func(*node.Config) {}
	f("127.0.0.1:0", "PLAIN SCRAM-SHA-256", 0, same)
	f("0.0.0.0:0", "SCRAM-SHA-256", 0x20, same)
	f("0.0.0.0:0", "PLAIN SCRAM-SHA-256", 0, func(cfg *node.Config) { cfg.PlainOffLoopback = true })
}

func TestLoginNeedsItsWire(t *testing.T) {
	users := knownUsers(t)
	f := func(want string, change func(*node.Config)) {
		t.Helper()
		cfg := node.Default()
		cfg.ID, cfg.Users, cfg.Trust.Insecure = "n", users, true
		change(&cfg)
		switch err := cfg.Validate(); {
		case err == nil && want != "":
			t.Errorf("nothing wrong, want %q", want)
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("", func(c *node.Config) { c.AuthFile = "f" })
	f("", func(c *node.Config) { c.SASL = true })
	f("", func(c *node.Config) { c.SASL, c.AuthFile = true, "f" })
	f("neither -Y nor -S", func(*node.Config) {})
	f("-Y: nobody can log in", func(c *node.Config) { c.AuthFile, c.Wire = "f", node.BinaryWire })
	f("-Y: nobody can log in", func(c *node.Config) { c.AuthFile, c.Listen[0].Wire = "f", node.BinaryWire })
	f("-S: nobody can log in", func(c *node.Config) { c.SASL, c.Wire = true, node.TextWire })
	const open = "0.0.0.0:11211"
	plain := knownUsers(t, login.Plain)
	f("--plain-off-loopback", func(c *node.Config) { c.SASL, c.Users, c.Listen[0].Address = true, plain, open })
	f("", func(c *node.Config) {
		c.SASL, c.Users, c.Listen[0].Address, c.PlainOffLoopback = true, plain, open, true
	})
	f("", func(c *node.Config) {
		c.SASL, c.Users, c.Listen[0].Address = true, knownUsers(t, login.Plain, login.Scram), open
	})
	f("", func(c *node.Config) {
		c.SASL, c.Users, c.TLS.Enabled, c.Listen[0] = true, plain, true, node.Listener{Address: open, TLS: certs.Mutual}
	})
	f("-U: a datagram", func(c *node.Config) { c.SASL, c.UDP = true, []string{"127.0.0.1:0"} })
}
