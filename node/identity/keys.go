package identity

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"time"
)

const (
	// minKeyBytes is what 24 random bytes have in base64, and 16 in hexadecimal digits: nobody finds them by trying, which needs nothing but one packet to try on.
	minKeyBytes = 32
	maxKeyBytes = 1024
	// maxKeys bounds how many are accepted at a time: a rotation needs two, and each is tried on what strangers send.
	maxKeys = 8
)

// keys are what was made of the cluster keys.
type keys struct {
	secrets   [][]byte
	datagrams []cipher.AEAD
	proof     proof
}

// ParseKeys reads a file of cluster keys: one a line, without blank lines and those that begin with #.
func ParseKeys(content []byte) (secrets [][]byte, err error) {
	number := 0
	for line := range bytes.Lines(content) {
		number++
		secret := bytes.TrimSpace(line)
		switch {
		case len(secret) == 0 || secret[0] == '#' || slices.ContainsFunc(secrets, func(known []byte) bool { return bytes.Equal(known, secret) }):
			continue
		case len(secret) < minKeyBytes:
			return nil, fmt.Errorf("line %d: a key has at least %d characters (openssl rand -base64 32 makes one)", number, minKeyBytes)
		case len(secret) > maxKeyBytes:
			return nil, fmt.Errorf("line %d: a key has at most %d characters", number, maxKeyBytes)
		case len(secrets) == maxKeys:
			return nil, fmt.Errorf("line %d: more than %d keys", number, maxKeys)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return nil, errors.New("no key is in there: a line with at least 32 characters (openssl rand -base64 32 makes one)")
	}
	return secrets, nil
}

// derive makes all that is needed of the cluster keys.
func (i *Identity) derive(secrets [][]byte) (*keys, error) {
	k := &keys{secrets: secrets, proof: proof{authorities: x509.NewCertPool()}}
	for n, secret := range secrets {
		datagrams, err := i.datagramCipher(secret)
		if err != nil {
			return nil, err
		}
		k.datagrams = append(k.datagrams, datagrams)
		authority, signer, err := i.authority(secret)
		if err != nil {
			return nil, err
		}
		k.proof.authorities.AddCert(authority)
		if n > 0 {
			continue
		}
		if k.proof.own, err = i.issue(authority, signer); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// expand makes 32 bytes of a secret, other ones for each purpose and each cluster (HKDF with SHA-256, RFC 5869).
func (i *Identity) expand(secret []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, []byte("memring cluster key, version 1"), purpose+"\x00"+i.cfg.Cluster, 32)
}

func (i *Identity) datagramCipher(secret []byte) (cipher.AEAD, error) {
	key, err := i.expand(secret, "gossip datagrams")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// begins and ends are those of all certificates that the cluster key makes: the clocks of members may differ. A certificate lives as long as its process, for its private
// key is nowhere else; what ends it earlier is that its cluster key is accepted no more.
var (
	begins = time.Unix(0, 0).UTC()
	ends   = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC) // "no well-defined expiration date" (RFC 5280, 4.1.2.5)
)

// authority makes the authority of a secret: the same on all members, so that none has to be told.
func (i *Identity) authority(secret []byte) (*x509.Certificate, ed25519.PrivateKey, error) {
	seed, err := i.expand(secret, "authority")
	if err != nil {
		return nil, nil, err
	}
	signer := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "memring cluster key"}, NotBefore: begins, NotAfter: ends,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	authority, err := x509.ParseCertificate(der)
	return authority, signer, err
}

// issue makes a certificate for this process.
func (i *Identity) issue(authority *x509.Certificate, signer ed25519.PrivateKey) (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: begins, NotAfter: ends, URIs: []*url.URL{i.name(i.cfg.ID)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, public, signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
