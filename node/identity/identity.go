// Package identity proves to other members that this node is of their cluster, and checks that they are, by keys that are replaceable while in use.
//
//	cluster key --HKDF--> an authority that only the cluster has -> our certificate --+--> TLS 1.3 of lanes and of gossip's streams
//	      |                        certificates of an authority of one's own (node/certs) --> TLS 1.3 of lanes, instead
//	      +-----HKDF--> the key of gossip's datagrams (node/seal)
//
// Whoever has the cluster key can be any member. With an authority of one's own each node has a certificate for its id, and can only be itself on lanes; gossip has no
// other key than the cluster's.
package identity

import (
	"bytes"
	"crypto/cipher"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/certs"
)

// Config says who this node is.
type Config struct {
	Cluster string // its name: the same key is worth nothing in a cluster of another
	ID      string // of this node

	// Certs have the certificate of this node, and the authorities of all members. nil: the cluster key makes both.
	Certs *certs.Certs
}

// An Identity is this node's, and how it knows those of others. It serves many connections at once.
type Identity struct {
	cfg      Config
	keys     atomic.Pointer[keys]
	loads    atomic.Int64
	failures atomic.Int64
}

// New makes an identity without a cluster key.
func New(cfg Config) *Identity { return &Identity{cfg: cfg} }

// LoadKeys takes the content of a file of cluster keys: the first is used from now on, all are accepted. After an error those in use stay in use. No error tells a key.
func (i *Identity) LoadKeys(file certs.File) error {
	secrets, err := ParseKeys(file.Content)
	if k := i.keys.Load(); err == nil && k != nil && slices.EqualFunc(k.secrets, secrets, bytes.Equal) {
		return nil
	}
	next := (*keys)(nil)
	if err == nil {
		next, err = i.derive(secrets)
	}
	if err != nil {
		i.failures.Add(1)
		return fmt.Errorf("%s: %w", file.Name, err)
	}
	i.keys.Store(next)
	i.loads.Add(1)
	return nil
}

// Failed counts a load that could not even be tried.
func (i *Identity) Failed() { i.failures.Add(1) }

// Loads is the number of loads that brought other keys than those in use.
func (i *Identity) Loads() int64 { return i.loads.Load() }

// Failures is the number of loads of cluster keys in vain.
func (i *Identity) Failures() int64 { return i.failures.Load() }

// Keys is how many cluster keys are accepted.
func (i *Identity) Keys() int { return len(i.Datagrams()) }

// Datagrams gives the ciphers of gossip's datagrams: the first seals, all open. There are none without a cluster key.
func (i *Identity) Datagrams() []cipher.AEAD {
	if k := i.keys.Load(); k != nil {
		return k.datagrams
	}
	return nil
}

// Encrypts reports whether there is what TLS needs.
func (i *Identity) Encrypts() bool { return i != nil && (i.cfg.Certs != nil || i.keys.Load() != nil) }

// Authorities are those that must have signed what other members show on lanes, and others after each load: so who compares them knows whether there was one.
func (i *Identity) Authorities() *x509.CertPool {
	return i.onLanes().authorities
}

// A proof is what we show, and who must have signed what others show.
type proof struct {
	own         tls.Certificate
	authorities *x509.CertPool
}

// onLanes is what is shown on lanes.
func (i *Identity) onLanes() proof {
	if i.cfg.Certs != nil {
		loaded := i.cfg.Certs.TLS(certs.Mutual)()
		return proof{loaded.Certificates[0], loaded.ClientCAs}
	}
	return i.keys.Load().proof
}

// Call gives what a lane to a member uses. It must not be asked unless Encrypts.
func (i *Identity) Call(id string) *tls.Config {
	return i.onLanes().call(func(cert *x509.Certificate) error { return i.isFor(cert, id) })
}

// Meet gives what a lane from a member uses, and who it is with, once it is encrypted. It must not be asked unless Encrypts.
func (i *Identity) Meet() (*tls.Config, *Peer) {
	p, shown := &Peer{of: i}, i.onLanes()
	return shown.meet(func(chain []*x509.Certificate) { p.chain, p.known = chain, shown.authorities }), p
}

// CallAny gives what a stream of gossip to any member uses. It must not be asked without a cluster key: that is what gossip goes by, whatever certificates lanes use, for who
// has only such a one could not be told by its datagrams.
func (i *Identity) CallAny() *tls.Config {
	return i.keys.Load().proof.call(func(*x509.Certificate) error { return nil })
}

// MeetAny gives what a stream of gossip from any member uses. It must not be asked without a cluster key.
func (i *Identity) MeetAny() *tls.Config {
	return i.keys.Load().proof.meet(func([]*x509.Certificate) {})
}

// call is for who opens a connection; who checks the certificate that has been found to be of this cluster.
func (p proof) call(who func(*x509.Certificate) error) *tls.Config {
	config := p.config()
	config.InsecureSkipVerify = true // of names that we do not have: VerifyConnection does it
	config.VerifyConnection = func(state tls.ConnectionState) error {
		err := verify(state.PeerCertificates, p.authorities, x509.ExtKeyUsageServerAuth)
		if err == nil {
			err = who(state.PeerCertificates[0])
		}
		return err
	}
	return config
}

// meet is for who takes a connection; known is told what has been found to be of this cluster.
func (p proof) meet(known func([]*x509.Certificate)) *tls.Config {
	config := p.config()
	config.ClientAuth = tls.RequireAnyClientCert
	config.VerifyConnection = func(state tls.ConnectionState) error {
		err := verify(state.PeerCertificates, p.authorities, x509.ExtKeyUsageClientAuth)
		if err == nil {
			known(state.PeerCertificates)
		}
		return err
	}
	return config
}

func (p proof) config() *tls.Config {
	return &tls.Config{
		Certificates:                []tls.Certificate{p.own},
		MinVersion:                  tls.VersionTLS13,
		SessionTicketsDisabled:      true, // lanes are few and long, and a session must not outlive its keys
		DynamicRecordSizingDisabled: true,
	}
}

// A Peer is who opened one connection to us. One goroutine at a time uses it.
type Peer struct {
	of    *Identity
	chain []*x509.Certificate
	known *x509.CertPool // which it was held against
	ended time.Time      // when that was found to hold no more; zero: not
}

// grace is how long what a member has proven holds when its key is taken away: for requests that are on their way, and until its own file is read.
const grace = 15 * time.Second

// Is gives an error unless it has proven to be that member.
func (p *Peer) Is(id string) error {
	if len(p.chain) == 0 {
		return errNoCertificate
	}
	return p.of.isFor(p.chain[0], id)
}

// Holds reports whether what it has proven is still accepted: not if the key, or the authority, was taken away, and grace has passed.
func (p *Peer) Holds() bool {
	authorities := p.of.Authorities()
	if authorities == p.known {
		return p.ended.IsZero() || time.Since(p.ended) < grace
	}
	p.known = authorities
	if verify(p.chain, authorities, x509.ExtKeyUsageClientAuth) == nil {
		p.ended = time.Time{}
		return true
	}
	if p.ended.IsZero() {
		p.ended = time.Now()
	}
	return time.Since(p.ended) < grace
}

var (
	errNoCertificate = errors.New("it shows no certificate")
	errStranger      = errors.New("its certificate is signed by nobody who signs for this cluster")
)

// verify checks what the other side has shown. TLS has checked that it has the private key.
func verify(chain []*x509.Certificate, authorities *x509.CertPool, use x509.ExtKeyUsage) error {
	if len(chain) == 0 {
		return errNoCertificate
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{use}})
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return errStranger
	}
	return err
}

// isFor checks that a certificate is that of a member: by a DNS name, by a SPIFFE id, or as the cluster key makes it.
func (i *Identity) isFor(cert *x509.Certificate, id string) error {
	if slices.Contains(cert.DNSNames, id) {
		return nil
	}
	for _, uri := range cert.URIs {
		if text := uri.String(); text == i.name(id).String() || text == "spiffe://"+i.cfg.Cluster+"/node/"+url.PathEscape(id) {
			return nil
		}
	}
	return fmt.Errorf("its certificate is not that of member %q", id)
}

// name is what a certificate calls a member that the cluster key has made it for.
func (i *Identity) name(id string) *url.URL {
	return &url.URL{Scheme: "urn", Opaque: "memring:" + url.PathEscape(i.cfg.Cluster) + ":" + url.PathEscape(id)}
}
