package main

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/memring/memring/cmd/certfiles"
	"github.com/memring/memring/node"
	"github.com/memring/memring/node/certs"
)

// tlsWords are those that go with -Z. They are checked without it, too.
func (o *options) tlsWords() []word {
	t := &o.node.TLS
	text := func(to *string) func(string) error {
		return func(value string) error { *to = value; return nil }
	}
	return []word{
		{name: "ssl_chain_cert", value: "FILE", about: "-Z: our certificate and those between it and its authority, in PEM", set: text(&t.ChainFile)},
		{name: "ssl_key", value: "FILE", about: "-Z: its private key (default: it is in ssl_chain_cert)", set: text(&t.KeyFile)},
		{name: "ssl_keyformat", value: "PEM|DER", about: "-Z: how ssl_key is written, also as 1 or 2 (default PEM)", set: numbered(&t.KeyFormat, 1, "PEM", "DER")},
		{name: "ssl_verify_mode", value: "0-3", about: "-Z: 1 checks a certificate that a client has, 2 and 3 require one (default 0)", set: whole(&t.VerifyMode, 0, 3)},
		{name: "ssl_ca_cert", value: "FILE", about: "-Z: the authorities for certificates of clients, in PEM", set: text(&t.AuthorityFile)},
		{
			name: "ssl_min_version", value: "0-3", about: "-Z: least version, also as tlsv1.0 to tlsv1.3 (default 2, for 1.2)",
			set: numbered(&t.MinVersion, 0, "tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3"),
		},
		{name: "ssl_ciphers", value: "NAME:NAME...", about: "-Z: suites up to TLS 1.2, by OpenSSL's names; Go chooses among them", set: func(value string) error {
			_, err := certs.ParseCiphers(value)
			t.Ciphers = value
			return err
		}},
		{name: "ssl_session_cache", about: "-Z: let clients resume their sessions, by tickets", set: func(string) error { t.SessionCache = true; return nil }},
		{name: "ssl_wbuf_size", value: "KILOBYTES", idle: true, set: scaled(&t.WriteBufferBytes, 1<<10)},
		{name: "ssl_kernel_tls", idle: true, set: func(string) error { t.KernelTLS = true; return nil }},
	}
}

// numbered reads one of some names, or its number; the first has the number first.
func numbered(to *int, first int, names ...string) func(string) error {
	return func(value string) error {
		for i, name := range names {
			if value == name || value == strconv.Itoa(first+i) {
				*to = first + i
				return nil
			}
		}
		return fmt.Errorf("must be one of %s, or a number from %d to %d", strings.Join(names, ", "), first, first+len(names)-1)
	}
}

// openCerts reads the certificates for -Z. As in memcached it is done before another user is become, whom the key may not be readable for.
func (o *options) openCerts() (err error) {
	t := &o.node.TLS
	if !t.Enabled {
		return nil
	}
	cfg := certs.Config{
		MinVersion: tls.VersionTLS10 + uint16(t.MinVersion),
		ClientAuth: [...]tls.ClientAuthType{tls.NoClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert, tls.RequireAndVerifyClientCert}[t.VerifyMode],
		Resume:     t.SessionCache,
	}
	if t.Ciphers != "" {
		cfg.CipherSuites, _ = certs.ParseCiphers(t.Ciphers) // checked by its word
	}
	t.Certs = certs.New(cfg)
	err = o.follow(certfiles.Certificates("TLS certificates",
		certfiles.Flag{Name: "-o ssl_chain_cert", Path: t.ChainFile},
		certfiles.Flag{Name: "-o ssl_key", Path: t.KeyFile},
		certfiles.Flag{Name: "-o ssl_ca_cert", Path: t.AuthorityFile},
		t.KeyFormat == 2, t.Certs, o.node.Log))
	if err != nil {
		return err
	}
	t.Refresh = o.refresh
	asks := t.VerifyMode > 0 || slices.ContainsFunc(o.node.Listen, func(l node.Listener) bool { return l.TLS == certs.Mutual })
	if asks && t.AuthorityFile == "" {
		o.node.Log.Warn("clients are asked for certificates, and none is good enough: -o ssl_ca_cert names no authority for them")
	}
	if !slices.ContainsFunc(o.node.Listen, func(l node.Listener) bool { return l.TLS != certs.None }) {
		o.node.Log.Warn("-Z: no address for clients has TLS: a unix socket never has, and notls: says so")
	}
	if len(o.node.UDP) > 0 {
		o.node.Log.Warn("-Z: UDP is not encrypted")
	}
	return nil
}
