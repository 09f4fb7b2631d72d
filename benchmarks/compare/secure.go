package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// trusting takes any certificate: the load is of no value to anyone.
func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// securePair is pair for servers that have a second port, which is encrypted.
func (s *speed) securePair(ctx context.Context) (servers [2]*server, end func() error, err error) {
	directory, err := os.MkdirTemp("", "memring-compare")
	if err != nil {
		return servers, func() error { return nil }, err
	}
	chain, key := filepath.Join(directory, "chain.pem"), filepath.Join(directory, "key.pem")
	if err := certify(chain, key); err != nil {
		return servers, func() error { return os.RemoveAll(directory) }, err
	}
	secure := *s.bench
	secure.certificate = [2]string{chain, key}
	servers, stop, err := secure.pair(ctx, s.threads, s.pinned)
	return servers, func() error { return errors.Join(stop(), os.RemoveAll(directory)) }, err
}

// secured is r with a second port, the encrypted one.
func (r recipe) secured(certificate [2]string) (recipe, error) {
	ports, err := lastingPorts(1)
	if err != nil {
		return r, err
	}
	r.secure = "127.0.0.1:" + ports[0]
	plainly := r.args
	r.args = func() ([]string, string, error) {
		args, addr, err := plainly()
		if i := slices.Index(args, "-l"); err == nil {
			args[i+1] = "notls:" + addr + "," + r.secure
		}
		return append(args, "-Z", "-o", fmt.Sprintf("ssl_chain_cert=%s,ssl_key=%s", certificate[0], certificate[1])), addr, err
	}
	return r, nil
}

// door is where a server is asked.
func (s *server) door(encrypted bool) string {
	if encrypted {
		return s.secure
	}
	return s.addr
}

// certify writes a certificate that nobody but trusting would take, and its key.
func certify(chain, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	write := func(path, kind string, bytes []byte) error {
		return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600)
	}
	return errors.Join(write(chain, "CERTIFICATE", certificate), write(key, "PRIVATE KEY", secret))
}
