// Package certs keeps the certificate that clients on TLS are shown, and the authorities that must have signed theirs, replaceable while in use.
//
//	contents of files -> Load: parse, check, swap -> the next connection's *tls.Config
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// Config is what stays the same whatever is loaded.
type Config struct {
	MinVersion   uint16             // of TLS: tls.VersionTLS10 to tls.VersionTLS13
	CipherSuites []uint16           // up to TLS 1.2; those of 1.3 are always all there. nil: Go's choice
	ClientAuth   tls.ClientAuthType // what is asked of clients where Mode is Usual
	Resume       bool               // whether clients may resume their sessions, by tickets
}

// A Mode is what is asked of the clients at an address.
type Mode uint8

const (
	None   Mode = iota // no TLS
	Usual              // TLS, and what Config.ClientAuth says
	Basic              // TLS; no certificate is asked for
	Mutual             // TLS; a certificate that one of the authorities has signed
)

// A File is the content of a file, and how errors name it.
type File struct {
	Name    string
	Content []byte
}

// Files are what is loaded.
type Files struct {
	Chain       File // PEM: the certificate, then those between it and its authority
	Key         File // its private key, in PEM or in DER; without content it is in Chain
	KeyDER      bool
	Authorities File // PEM: who must have signed the certificates of clients; without content nobody has
}

// Certs are the certificates in use. They serve many connections at once.
type Certs struct {
	cfg      Config
	current  atomic.Pointer[generation]
	failures atomic.Int64
}

// A generation is what one Load has brought. Its configurations have ticket keys of their own: no session outlives the certificates that it
// was begun with, or passes from an address that asks for nothing to one that asks for a certificate.
type generation struct {
	configs [Mutual + 1]*tls.Config
	status  Status
}

// Status tells of the last Load that went well, and how many did not.
type Status struct {
	Refreshed time.Time // when it was
	Begins    time.Time // when the certificate begins to be good,
	Expires   time.Time // and when it ends; of its chain the one that ends first
	Failures  int64
}

// New makes certificates that are yet to be loaded.
func New(cfg Config) *Certs { return &Certs{cfg: cfg} }

// Load checks the contents of files and, if they are good, has the connections that come from now on use them. After an error those in use stay
// in use. An error begins with the name of the file that is to blame.
func (c *Certs) Load(files Files) error {
	next, err := c.parse(files)
	if err != nil {
		c.failures.Add(1)
		return err
	}
	c.current.Store(next)
	return nil
}

// Failed counts a Load that could not even be tried.
func (c *Certs) Failed() { c.failures.Add(1) }

// TLS gives what a connection at an address of that mode uses, asked for when it begins. It must not be asked before the first Load.
func (c *Certs) TLS(mode Mode) func() *tls.Config {
	return func() *tls.Config { return c.current.Load().configs[mode] }
}

// Status tells how old what is loaded is.
func (c *Certs) Status() Status {
	status := Status{Failures: c.failures.Load()}
	if now := c.current.Load(); now != nil {
		status.Refreshed, status.Begins, status.Expires = now.status.Refreshed, now.status.Begins, now.status.Expires
	}
	return status
}

// Resume tells whether clients may resume their sessions.
func (c *Certs) Resume() bool { return c.cfg.Resume }

func (c *Certs) parse(files Files) (*generation, error) {
	chain, err := parseChain(files.Chain)
	if err != nil {
		return nil, err
	}
	pair, err := parsePair(files)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool() // never nil: that would mean those of the system
	if len(files.Authorities.Content) > 0 {
		signers, err := parseChain(files.Authorities)
		if err != nil {
			return nil, err
		}
		for _, signer := range signers {
			authorities.AddCert(signer)
		}
	}
	next := &generation{status: Status{Refreshed: time.Now(), Begins: chain[0].NotBefore, Expires: chain[0].NotAfter}}
	for _, cert := range chain {
		if cert.NotAfter.Before(next.status.Expires) {
			next.status.Expires = cert.NotAfter
		}
	}
	for mode, auth := range map[Mode]tls.ClientAuthType{Usual: c.cfg.ClientAuth, Basic: tls.NoClientCert, Mutual: tls.RequireAndVerifyClientCert} {
		next.configs[mode] = &tls.Config{
			Certificates:                []tls.Certificate{pair},
			MinVersion:                  c.cfg.MinVersion,
			CipherSuites:                c.cfg.CipherSuites,
			ClientAuth:                  auth,
			ClientCAs:                   authorities,
			SessionTicketsDisabled:      !c.cfg.Resume,
			DynamicRecordSizingDisabled: true, // small records are for browsers that show a page while it comes
		}
	}
	return next, nil
}

// parseChain reads the certificates of a file, at least one. What else is in it is passed over.
func parseChain(file File) (chain []*x509.Certificate, err error) {
	for block, rest := pem.Decode(file.Content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d of the file: %w", file.Name, len(chain)+1, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s: no certificate in PEM format is in there", file.Name)
	}
	return chain, nil
}

// parsePair reads the private key, and holds it against a chain that is known to be good.
func parsePair(files Files) (pair tls.Certificate, err error) {
	key := files.Key
	if len(key.Content) == 0 {
		key = files.Chain
	} else if files.KeyDER {
		key.Content = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key.Content})
	}
	if err = unlocked(key.Content); err == nil {
		pair, err = tls.X509KeyPair(files.Chain.Content, key.Content)
	}
	if err != nil {
		return pair, fmt.Errorf("%s: the private key: %w", key.Name, err)
	}
	return pair, nil
}

// unlocked refuses a key that needs a passphrase.
func unlocked(content []byte) error {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return errors.New("it is encrypted, and nobody is there to give its passphrase: store it decrypted, readable by this user only")
		}
	}
	return nil
}
