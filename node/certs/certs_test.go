package certs_test

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/certstest"
)

func soon() time.Time { return time.Now().Add(time.Hour).Truncate(time.Second) }

// served gives the certificates in use, with one for name.
func served(t *testing.T, a *certstest.Authority, cfg certs.Config, authorities []byte) *certs.Certs {
	t.Helper()
	c := certs.New(cfg)
	chain, key := a.Issue("served", soon())
	if err := c.Load(files(chain, key, authorities)); err != nil {
		t.Fatal(err)
	}
	return c
}

func files(chain, key, authorities []byte) certs.Files {
	return certs.Files{Chain: certs.File{"chain", chain}, Key: certs.File{"key", key}, Authorities: certs.File{"authorities", authorities}}
}

// meet lets a client and a server shake hands and gives what the client sees of the server, and the server's error.
func meet(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, err error) {
	t.Helper()
	near, far := net.Pipe()
	answered := make(chan error, 1)
	go func() {
		c := tls.Server(far, server)
		err := c.Handshake()
		if err == nil {
			_, err = c.Write([]byte("x")) // and with it the ticket that was written before
		}
		answered <- errors.Join(err, far.Close())
	}()
	c := tls.Client(near, client)
	if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
		state = c.ConnectionState()
	}
	near.Close()
	return state, <-answered
}

func TestLoadRefuses(t *testing.T) {
	a := certstest.New(t)
	chain, key := a.Issue("one", soon())
	_, otherKey := a.Issue("two", soon())
	f := func(fs certs.Files, want string) {
		t.Helper()
		c := served(t, a, certs.Config{}, nil)
		before := c.TLS(certs.Usual)()
		err := c.Load(fs)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s...", err, want)
		}
		if c.TLS(certs.Usual)() != before || c.Status().Failures != 1 {
			t.Errorf("%s: what was in use is not in use, or it was not counted", want)
		}
	}
	f(files(nil, key, nil), "chain: no certificate")
	f(files(key, key, nil), "chain: no certificate")
	f(files([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key, nil), "chain: certificate 1")
	f(files(slices.Concat(chain, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), key, nil), "chain: certificate 2")
	f(files(chain[:len(chain)/2], key, nil), "chain: no certificate") // half written
	f(files(chain, otherKey, nil), "key: the private key: tls: private key does not match")
	f(files(chain, chain, nil), "key: the private key")
	f(files(chain, key[:len(key)/2], nil), "key: the private key")
	f(files(chain, nil, nil), "chain: the private key")
	f(files(chain, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), nil), "key: the private key: it is encrypted")
	f(files(chain, []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A,B\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"), nil),
		"key: the private key: it is encrypted")
	f(files(chain, key, key), "authorities: no certificate")
	der := files(chain, key, nil)
	der.KeyDER = true
	f(der, "key: the private key")
}

func TestLoadAccepts(t *testing.T) {
	a := certstest.New(t)
	chain, key := a.Issue("one", soon())
	f := func(fs certs.Files) {
		t.Helper()
		c := certs.New(certs.Config{})
		if err := c.Load(fs); err != nil {
			t.Error(err)
			return
		}
		if state, err := meet(t, c.TLS(certs.Usual)(), a.Client("")); err != nil || state.PeerCertificates[0].Subject.CommonName != "one" {
			t.Errorf("%v", err)
		}
		if left := time.Until(c.Status().Expires); left < 59*time.Minute || left > time.Hour {
			t.Errorf("expires in %v", left)
		}
	}
	f(files(chain, key, nil))
	f(files(slices.Concat(chain, a.PEM), key, a.PEM))
	f(files(slices.Concat(key, chain), nil, nil)) // all in one file, in any order
	f(files(slices.Concat(chain, key), nil, nil))
	block, _ := pem.Decode(key)
	der := files(chain, block.Bytes, nil)
	der.KeyDER = true
	f(der)
}

// What is asked of clients depends on the address, and on the certificates that they show.
func TestModes(t *testing.T) {
	a, stranger := certstest.New(t), certstest.New(t)
	f := func(auth tls.ClientAuthType, authorities []byte, mode certs.Mode, client *tls.Config, want string) {
		t.Helper()
		client.RootCAs = a.Client("").RootCAs
		server := served(t, a, certs.Config{ClientAuth: auth}, authorities).TLS(mode)()
		_, err := meet(t, server, client)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v at %d: %v, want %q", auth, mode, err, want)
		}
	}
	const ask, require = tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert
	f(tls.NoClientCert, a.PEM, certs.Usual, a.Client(""), "")
	f(tls.NoClientCert, a.PEM, certs.Mutual, a.Client(""), "didn't provide a certificate")
	f(tls.NoClientCert, a.PEM, certs.Mutual, a.Client("me"), "")
	f(tls.NoClientCert, a.PEM, certs.Mutual, stranger.Client("you"), "unknown authority")
	f(ask, a.PEM, certs.Usual, a.Client(""), "")
	f(ask, a.PEM, certs.Usual, a.Client("me"), "")
	f(ask, nil, certs.Usual, always(a.Client("me")), "unknown authority") // not the system's
	f(ask, a.PEM, certs.Usual, always(stranger.Client("you")), "unknown authority")
	f(require, a.PEM, certs.Usual, a.Client(""), "didn't provide")
	f(require, a.PEM, certs.Usual, a.Client("me"), "")
	f(require, a.PEM, certs.Basic, a.Client(""), "")
	f(require, nil, certs.Mutual, always(a.Client("me")), "unknown authority")
}

// always makes a client show its certificate to whomever asks.
func always(client *tls.Config) *tls.Config {
	pair := client.Certificates[0]
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return client
}

func TestVersionsAndCiphers(t *testing.T) {
	a := certstest.New(t)
	f := func(cfg certs.Config, low, high uint16, want uint16) {
		t.Helper()
		client := a.Client("")
		client.MinVersion, client.MaxVersion = low, high
		state, err := meet(t, served(t, a, cfg, nil).TLS(certs.Usual)(), client)
		if (err == nil) != (want != 0) || state.Version != want {
			t.Errorf("%x: %v, version %x, want %x", cfg.MinVersion, err, state.Version, want)
		}
		if len(cfg.CipherSuites) > 0 && want == tls.VersionTLS12 && state.CipherSuite != cfg.CipherSuites[0] {
			t.Errorf("cipher suite %x, want %x", state.CipherSuite, cfg.CipherSuites[0])
		}
	}
	f(certs.Config{MinVersion: tls.VersionTLS12}, 0, 0, tls.VersionTLS13)
	f(certs.Config{MinVersion: tls.VersionTLS12}, tls.VersionTLS12, tls.VersionTLS12, tls.VersionTLS12)
	f(certs.Config{MinVersion: tls.VersionTLS12}, tls.VersionTLS11, tls.VersionTLS11, 0)
	f(certs.Config{MinVersion: tls.VersionTLS13}, tls.VersionTLS12, tls.VersionTLS12, 0)
	f(certs.Config{MinVersion: tls.VersionTLS11}, tls.VersionTLS11, tls.VersionTLS11, tls.VersionTLS11)
	f(certs.Config{MinVersion: tls.VersionTLS10}, tls.VersionTLS10, tls.VersionTLS10, tls.VersionTLS10)
	f(certs.Config{MinVersion: tls.VersionTLS10}, tls.VersionTLS11, tls.VersionTLS11, tls.VersionTLS11)
	for _, name := range []string{"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"} {
		ids, err := certs.ParseCiphers(name)
		if err != nil {
			t.Fatal(err)
		}
		f(certs.Config{MinVersion: tls.VersionTLS12, CipherSuites: ids}, 0, tls.VersionTLS12, tls.VersionTLS12)
	}
}

func TestParseCiphers(t *testing.T) {
	f := func(list, wrong string, want ...uint16) {
		t.Helper()
		got, err := certs.ParseCiphers(list)
		if wrong == "" && (err != nil || !slices.Equal(got, want)) || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%s: %x, %v", list, got, err)
		}
	}
	f("ECDHE-RSA-AES128-GCM-SHA256:AES256-SHA:ECDHE-RSA-AES128-GCM-SHA256", "",
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_CBC_SHA)
	f("HIGH:!aNULL", `"HIGH" is no cipher suite`)
	f("AES128-SHA:RC4-SHA", `"RC4-SHA" is no cipher suite`)
	f("AES128-SHA:", `"" is no cipher suite`)
	f("TLS_AES_128_GCM_SHA256", "TLS 1.3")
}

// Sessions are resumed only if wanted, at addresses alike, and not with certificates that have been replaced.
func TestResumption(t *testing.T) {
	a := certstest.New(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f := func(resume bool, then certs.Mode, between func(*certs.Certs), want bool) {
			t.Helper()
			c := served(t, a, certs.Config{Resume: resume}, a.PEM)
			client := a.Client("me")
			client.ClientSessionCache, client.MaxVersion = tls.NewLRUClientSessionCache(1), version
			if _, err := meet(t, c.TLS(certs.Usual)(), client); err != nil {
				t.Fatal(err)
			}
			between(c)
			if state, err := meet(t, c.TLS(then)(), client); err != nil || state.DidResume != want {
				t.Errorf("version %x: %v, resumed %v, want %v", version, err, state.DidResume, want)
			}
		}
		nothing := func(*certs.Certs) {}
		f(true, certs.Usual, nothing, true)
		f(false, certs.Usual, nothing, false)
		f(true, certs.Mutual, nothing, false)
		f(true, certs.Usual, func(c *certs.Certs) {
			chain, key := a.Issue("next", soon())
			if err := c.Load(files(chain, key, a.PEM)); err != nil {
				t.Fatal(err)
			}
		}, false)
	}
}
