package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/certs"
)

const (
	// certLook is how often the files of certificates are looked at: whoever replaces one waits longer than that before the old one is worthless.
	certLook = 10 * time.Second

	// maxCertBytes bounds such a file: far more than a chain, or all the authorities of a system, so that a wrong path cannot fill the memory.
	maxCertBytes = 4 << 20
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

// certFiles are the files that the certificates for clients come from.
type certFiles struct {
	set   *node.TLS
	certs *certs.Certs
	log   *slog.Logger

	mu   sync.Mutex // guards the rest
	seen [3]stamp   // the files as they were when they were last tried
}

// A stamp tells one state of a file from another. Its path has no links left in it: where Kubernetes mounts certificates it replaces a link to
// the folder they are in.
type stamp struct {
	path    string
	changed time.Time
	size    int64
}

// openCerts reads the certificates for -Z. As in memcached it is done before another user is become, whom the key may not be readable for.
func (o *options) openCerts() error {
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
	f := &certFiles{set: t, certs: certs.New(cfg), log: o.node.Log}
	if err := f.load(); err != nil {
		return err
	}
	asks := t.VerifyMode > 0 || slices.ContainsFunc(o.node.Listen, func(l node.Listener) bool { return l.TLS == certs.Mutual })
	if asks && t.AuthorityFile == "" {
		o.node.Log.Warn("clients are asked for certificates, and none is good enough: -o ssl_ca_cert names no authority for them")
	}
	if len(o.node.UDP) > 0 {
		o.node.Log.Warn("-Z: UDP is not encrypted")
	}
	o.certs, t.Certs, t.Refresh = f, f.certs, f.refresh
	return nil
}

// load reads the files and, if they are good, has them used.
func (f *certFiles) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = f.look() // before they are read: if one changes meanwhile it is read once more
	var files certs.Files
	var err error
	for _, part := range []struct {
		word, path string
		to         *certs.File
	}{
		{"ssl_chain_cert", f.set.ChainFile, &files.Chain},
		{"ssl_key", f.set.KeyFile, &files.Key},
		{"ssl_ca_cert", f.set.AuthorityFile, &files.Authorities},
	} {
		part.to.Name = fmt.Sprintf("-o %s=%s", part.word, part.path)
		if part.path != "" && err == nil {
			if part.to.Content, err = readBounded(part.path); err != nil {
				err = fmt.Errorf("%s: %w", part.to.Name, err)
			}
		}
	}
	files.KeyDER = f.set.KeyFormat == 2
	if err != nil {
		f.certs.Failed()
		return err
	}
	return f.certs.Load(files)
}

// readBounded reads a file that is neither empty nor too large. Its errors leave out the path.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err == nil {
		defer file.Close()
		var content []byte
		content, err = io.ReadAll(io.LimitReader(file, maxCertBytes+1))
		switch {
		case err != nil:
		case len(content) == 0:
			err = errors.New("the file is empty")
		case len(content) > maxCertBytes:
			err = fmt.Errorf("the file has more than %d bytes", maxCertBytes)
		default:
			return content, nil
		}
	}
	var named *fs.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	return nil, err
}

func (f *certFiles) paths() [3]string {
	return [3]string{f.set.ChainFile, f.set.KeyFile, f.set.AuthorityFile}
}

// look gives the files as they are now; what cannot be seen is as if it was not there.
func (f *certFiles) look() (stamps [3]stamp) {
	for i, path := range f.paths() {
		if resolved, err := filepath.EvalSymlinks(path); path != "" && err == nil {
			if info, err := os.Stat(resolved); err == nil {
				stamps[i] = stamp{resolved, info.ModTime(), info.Size()}
			}
		}
	}
	return stamps
}

// refresh is load for a running node: it tells what has come of it.
func (f *certFiles) refresh() error {
	err := f.load()
	if err != nil {
		f.log.Warn("the TLS certificates are not replaced: those in use stay", "err", err)
		return err
	}
	f.tell()
	return nil
}

// tell tells how long the certificate in use is good.
func (f *certFiles) tell() {
	status := f.certs.Status()
	f.log.Info("TLS certificates loaded", "expires", status.Expires)
	if now := time.Now(); now.After(status.Expires) || now.Before(status.Begins) {
		f.log.Warn("clients will refuse our TLS certificate: it is not good now", "from", status.Begins, "to", status.Expires)
	}
}

// refreshIfChanged does not try again what has failed: only what has changed since.
func (f *certFiles) refreshIfChanged() {
	f.mu.Lock()
	changed := f.look() != f.seen
	f.mu.Unlock()
	if changed {
		_ = f.refresh() // which has told it
	}
}

// follow looks at the files until stop is called, which waits for that to end.
func (f *certFiles) follow() (stop func()) {
	var following sync.WaitGroup
	ended := make(chan struct{})
	following.Go(func() {
		look := time.NewTicker(certLook)
		defer look.Stop()
		for {
			select {
			case <-ended:
				return
			case <-look.C:
				f.refreshIfChanged()
			}
		}
	})
	return func() { close(ended); following.Wait() }
}

// checkReadable tells, when another user has been become, of files that this one cannot read again.
func (f *certFiles) checkReadable() {
	for _, path := range f.paths() {
		if path == "" {
			continue
		}
		if _, err := readBounded(path); err != nil {
			f.log.Warn("the user of -u cannot read a file of TLS: when it is replaced, this will not be seen", "file", path, "err", err)
		}
	}
}
