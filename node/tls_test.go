package node_test

import (
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/certstest"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/protocol/transcript"
)

// encrypted gives an option with which all client ports are on TLS, what a client uses, and how to load another certificate.
func encrypted(t *testing.T, resume bool) (option nodetest.Option, client *tls.Config, load func(name string)) {
	t.Helper()
	a := certstest.New(t)
	c := certs.New(certs.Config{Resume: resume})
	load = func(name string) {
		t.Helper()
		chain, key := a.Issue(name, time.Now().Add(time.Hour))
		if err := c.Load(certs.Files{Chain: certs.File{Content: chain}, Key: certs.File{Content: key}}); err != nil {
			t.Fatal(err)
		}
	}
	load("first")
	return func(cfg *node.Config) {
		cfg.TLS.Enabled, cfg.TLS.Certs, cfg.TLS.SessionCache = true, c, resume
		for i := range cfg.Listen {
			cfg.Listen[i].TLS = certs.Usual
		}
	}, a.Client(""), load
}

func dialTLS(t *testing.T, c *nodetest.Cluster, i int, client *tls.Config) net.Conn {
	t.Helper()
	conn := tls.Client(c.Dial(i), client)
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return conn
}

// tlsStats is stats over TLS.
func tlsStats(t *testing.T, c *nodetest.Cluster, client *tls.Config, group string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.SplitSeq(talk(t, dialTLS(t, c, 0, client), strings.TrimSpace("stats "+group)+"\r\nquit\r\n"), "\r\n") {
		if words := strings.SplitN(line, " ", 3); len(words) == 3 && words[0] == "STAT" {
			values[words[1]] = words[2]
		}
	}
	return values
}

// The same bytes come over TLS, on every wire, whoever owns the keys. (Requests in parts: node/server.)
func TestConversationsOverTLS(t *testing.T) {
	option, client, _ := encrypted(t, false)
	c := nodetest.Start(t, 2, option)
	dial := func() (transcript.Conn, error) { return tls.Dial("tcp", c.Addr(1).String(), client) }
	for _, conversation := range recorded(t) {
		if conversation.Skip("memring") != "" {
			continue
		}
		if err := conversation.Play(dial, transcript.Options{Version: "memring", Timeout: time.Minute}); err != nil {
			t.Error(err)
		}
	}
}

func TestTLSStats(t *testing.T) {
	f := func(resume bool, want int) {
		t.Helper()
		option, client, load := encrypted(t, resume)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		c := nodetest.Start(t, 1, option, func(cfg *node.Config) { cfg.Tuning.LRUCrawler, cfg.Tuning.LRUMaintainer = false, false })
		general := tlsStats(t, c, client, "")
		if len(general) != want {
			t.Errorf("%d lines, want %d", len(general), want)
		}
		is := func(values map[string]string, name, want string) {
			t.Helper()
			if values[name] != want {
				t.Errorf("%s is %q, want %q", name, values[name], want)
			}
		}
		is(general, "ssl_handshake_errors", "0")
		is(general, "ssl_proto_errors", "0")
		if since, err := strconv.Atoi(general["time_since_server_cert_refresh"]); err != nil || since < 0 || since > 60 {
			t.Errorf("refreshed %d s ago, %v", since, err)
		}
		if resume {
			is(general, "ssl_new_sessions", "1")
			is(tlsStats(t, c, client, ""), "ssl_new_sessions", "1")
		}
		if got := talk(t, c.Dial(0), "get foo\r\n"); strings.Contains(got, "END") {
			t.Errorf("a plain request was answered %q", got)
		}
		is(tlsStats(t, c, client, ""), "ssl_handshake_errors", "1")

		settings := tlsStats(t, c, client, "settings")
		is(settings, "ssl_enabled", "yes")
		is(settings, "ssl_chain_cert", "(null)")
		is(settings, "ssl_min_version", "tlsv1.2")
		is(settings, "ssl_keyformat", "1")
		is(settings, "ssl_ca_cert", "NULL")
		is(settings, "ssl_wbuf_size", "16384")
		is(settings, "ssl_session_cache", map[bool]string{true: "yes", false: "no"}[resume])

		load("second")
		expires := tlsStats(t, c, client, "tls")["tls_certificate_expires"]
		if at, err := strconv.ParseInt(expires, 10, 64); err != nil || time.Until(time.Unix(at, 0)) > time.Hour || time.Until(time.Unix(at, 0)) < 50*time.Minute {
			t.Errorf("expires at %q", expires)
		}
	}
	f(false, 87)
	f(true, 88)
}

func TestRefreshCerts(t *testing.T) {
	option, client, load := encrypted(t, false)
	var wrong error
	c := nodetest.Start(t, 1, option, func(cfg *node.Config) {
		cfg.TLS.Refresh = func() error {
			if wrong == nil {
				load("second")
			}
			return wrong
		}
	})
	name := func() string {
		return dialTLS(t, c, 0, client).(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	before := dialTLS(t, c, 0, client)
	if got := name(); got != "first" {
		t.Error(got)
	}
	if got := talk(t, before, "refresh_certs\r\nversion\r\nquit\r\n"); got != "OK\r\nVERSION 1.6.45\r\n" {
		t.Errorf("%q", got)
	}
	if got := name(); got != "second" {
		t.Error(got)
	}
	wrong = errors.New("the file is gone")
	if got := talk(t, dialTLS(t, c, 0, client), "refresh_certs\r\nquit\r\n"); got != "SERVER_ERROR the file is gone\r\n" {
		t.Errorf("%q", got)
	}
	if got := talk(t, nodetest.Start(t, 1).Dial(0), "refresh_certs\r\nquit\r\n"); got != "ERROR\r\n" {
		t.Errorf("without TLS: %q", got)
	}
}

// One node may have addresses with and without.
func TestListenersDiffer(t *testing.T) {
	option, client, _ := encrypted(t, false)
	c := nodetest.Start(t, 1, option, func(cfg *node.Config) { cfg.Listen = append(cfg.Listen, node.Listener{Address: "127.0.0.1:0"}) })
	if got := talk(t, dialTLS(t, c, 0, client), "set k 0 0 1\r\nx\r\nquit\r\n"); got != "STORED\r\n" {
		t.Errorf("%q", got)
	}
	tcp, _ := c.Nodes[0].Listening()
	conn, err := net.Dial("tcp", tcp[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := talk(t, conn, "get k\r\nquit\r\n"); got != "VALUE k 0 1\r\nx\r\nEND\r\n" {
		t.Errorf("%q", got)
	}
}

func TestTLSNeedsCertificates(t *testing.T) {
	f := func(change func(*node.Config), want string) {
		t.Helper()
		cfg := node.Default()
		cfg.ID, cfg.Listen = "n", []node.Listener{{Address: "127.0.0.1:0", TLS: certs.Basic}}
		cfg.PeerPort, cfg.GossipPort, cfg.AdminListen = 0, 0, "off"
		change(&cfg)
		if n, err := node.Start(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
			if n != nil {
				n.Abort()
			}
		}
	}
	f(func(*node.Config) {}, "-Z")
	f(func(c *node.Config) { c.TLS.Enabled = true }, "ssl_chain_cert")
}
