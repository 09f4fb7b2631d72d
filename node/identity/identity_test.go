package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/certstest"
	"github.com/memring/memring/node/identity"
)

var ours, another = strings.Repeat("ours", 8), strings.Repeat("another ", 8)

func keys(lines ...string) certs.File {
	return certs.File{Name: "--cluster-key-file=f", Content: []byte(strings.Join(lines, "\n"))}
}

// member gives the identity of a member of cluster c with these keys.
func member(t *testing.T, cluster, id string, lines ...string) *identity.Identity {
	t.Helper()
	i := identity.New(identity.Config{Cluster: cluster, ID: id})
	if err := i.LoadKeys(keys(lines...)); err != nil {
		t.Fatal(err)
	}
	return i
}

// meet lets one call the other, and gives what becomes of both sides.
func meet(t *testing.T, call, answer *tls.Config) (calling, answering error) {
	t.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	answered := make(chan error, 1)
	go func() {
		conn, err := port.Accept()
		if err == nil {
			defer conn.Close()
			_, err = tls.Server(conn, answer).Write([]byte("x"))
		}
		answered <- err
	}()
	conn, err := net.Dial("tcp", port.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, calling = tls.Client(conn, call).Read(make([]byte, 1)) // who is refused hears it by then
	conn.Close()
	return calling, <-answered
}

func TestMembersKnowEachOther(t *testing.T) {
	f := func(name string, caller, callee *identity.Identity, callsFor string, knows bool) {
		t.Helper()
		config, with := callee.Meet()
		calling, answering := meet(t, caller.Call(callsFor), config)
		if knows != (calling == nil) {
			t.Errorf("%s: %v, %v", name, calling, answering)
		}
		if knows && (with.Is("a") != nil || with.Is("b") == nil || !with.Holds()) {
			t.Errorf("%s: it is %v, %v", name, with.Is("a"), with.Is("b"))
		}
	}
	a, b := member(t, "c", "a", ours), member(t, "c", "b", ours)
	f("one key", a, b, "b", true)
	f("another member than was called", a, b, "x", false)
	f("another key", member(t, "c", "a", another), b, "b", false)
	f("another cluster", member(t, "d", "a", ours), b, "b", false)
	f("a rotation begins", member(t, "c", "a", ours, another), b, "b", true)
	f("a rotation goes on", member(t, "c", "a", another, ours), member(t, "c", "b", ours, another), "b", true)
	f("a rotation ends", member(t, "c", "a", another), member(t, "c", "b", another, ours), "b", true)
	f("odd names", member(t, "ü/c:#", "a", ours), member(t, "ü/c:#", "b/%é", ours), "b/%é", true)

	authority, stranger := certstest.New(t), certstest.New(t)
	certified := func(id string, by *certstest.Authority) *identity.Identity {
		t.Helper()
		loaded := certs.New(certs.Config{})
		chain, key := by.Issue(id, time.Now().Add(time.Hour))
		err := loaded.Load(certs.Files{Chain: certs.File{Content: chain}, Key: certs.File{Content: key}, Authorities: certs.File{Content: authority.PEM}})
		if err != nil {
			t.Fatal(err)
		}
		return identity.New(identity.Config{Cluster: "c", ID: id, Certs: loaded})
	}
	f("certificates", certified("a", authority), certified("b", authority), "b", true)
	f("another's certificate", certified("a", authority), certified("x", authority), "b", false)
	f("another authority", certified("a", stranger), certified("b", authority), "b", false)
	f("another authority at the other end", certified("a", authority), certified("b", stranger), "b", false)
	f("a key where certificates are", a, certified("b", authority), "b", false)
}

// Who has no certificate, or an older TLS, is refused.
func TestStrangersAreRefused(t *testing.T) {
	b := member(t, "c", "b", ours)
	f := func(name string, config *tls.Config) {
		t.Helper()
		config.InsecureSkipVerify = true
		answer, with := b.Meet()
		calling, answering := meet(t, config, answer)
		if calling == nil || answering == nil || with.Is("a") == nil {
			t.Errorf("%s: %v, %v", name, calling, answering)
		}
	}
	f("no certificate", &tls.Config{})
	f("TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: member(t, "c", "a", ours).Call("b").Certificates})
	f("a certificate that signs itself", &tls.Config{Certificates: member(t, "c", "a", another).Call("b").Certificates})
}

// What was proven with a key that is taken away holds for a while, for what is on its way; with one that is still there it does for good.
func TestWhatIsProvenHoldsAsLongAsItsKey(t *testing.T) {
	a, b := member(t, "c", "a", ours), member(t, "c", "b", ours)
	synctest.Test(t, func(t *testing.T) {
		config, with := b.Meet()
		near, far := net.Pipe()
		go func() { _ = tls.Client(near, a.Call("b")).Handshake() }()
		if err := tls.Server(far, config).Handshake(); err != nil {
			t.Fatal(err)
		}
		f := func(want bool, after time.Duration, lines ...string) {
			t.Helper()
			if err := b.LoadKeys(keys(lines...)); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if time.Sleep(after); with.Holds() != want {
					t.Errorf("%d keys, after %v: holds %v", len(lines), after, !want)
				}
			}
		}
		f(true, time.Hour, ours)
		f(true, time.Hour, ours, another)
		f(true, time.Hour, another, ours)
		f(true, time.Second, another)
		f(true, time.Hour, ours)
		f(true, time.Second, another)
		time.Sleep(time.Minute)
		f(false, 0, another)
	})
}

func TestKeysThatAreNone(t *testing.T) {
	i := member(t, "c", "a", ours)
	before := i.Authorities()
	f := func(want string, lines ...string) {
		t.Helper()
		err := i.LoadKeys(keys(lines...))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--cluster-key-file=f: ") {
			t.Errorf("%v, want %q", err, want)
		}
		for _, line := range lines {
			if len(line) > 3 && strings.Contains(fmt.Sprint(err), strings.TrimSpace(line)) {
				t.Errorf("%v tells a key", err)
			}
		}
	}
	f("no key is in there")
	f("no key is in there", "", "# only a comment", "   ")
	f("line 2: a key has at least 32", ours, "shortshortshort")
	f("line 1: a key has at most 1024", strings.Repeat("long", 300))
	many := []string{}
	for n := range 9 {
		many = append(many, fmt.Sprintf("%s %d", ours, n))
	}
	f("line 9: more than 8", many...)
	if i.Failures() != 5 || i.Authorities() != before || i.Keys() != 1 {
		t.Errorf("%d failures, %d keys", i.Failures(), i.Keys())
	}
	if err := i.LoadKeys(keys("# ours", ours+"\r", "", ours)); err != nil || i.Authorities() != before {
		t.Errorf("the same key, written otherwise: %v", err)
	}
}

// Nothing that is shown to others tells the key, or is good for another purpose.
func TestKeysAreApart(t *testing.T) {
	a, d := member(t, "c", "a", ours), member(t, "d", "a", ours)
	sealed := a.Datagrams()[0].Seal(nil, make([]byte, 12), []byte("text"), nil)
	if _, err := d.Datagrams()[0].Open(nil, make([]byte, 12), sealed, nil); err == nil {
		t.Error("a cluster reads another's gossip")
	}
	if _, err := member(t, "c", "b", another, ours).Datagrams()[1].Open(nil, make([]byte, 12), sealed, nil); err != nil {
		t.Error("members do not read each other's gossip")
	}
	shown, err := x509.ParseCertificate(a.CallAny().Certificates[0].Certificate[0])
	if err != nil || strings.Contains(string(shown.Raw), ours) {
		t.Errorf("%v, or the key is in the certificate", err)
	}
}
