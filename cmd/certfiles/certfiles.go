// Package certfiles reads the certificates of TLS from files, and again when they change.
//
//	Follow (ten seconds), SIGHUP, refresh_certs -> Refresh: read, certs.Load -> the connections that come use them
package certfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/memring/memring/node/certs"
)

const (
	// lookEvery is how often the files are looked at: whoever replaces one waits longer than that before the old one is worthless.
	lookEvery = 10 * time.Second

	// maxBytes bounds a file: far more than a chain, or all the authorities of a system, so that a wrong path cannot fill the memory.
	maxBytes = 4 << 20
)

// Config says which files.
type Config struct {
	Chain, Key, Authorities Flag // as in certs.Files; only the chain is needed
	KeyDER                  bool // the key is in DER, not in PEM
	Certs                   *certs.Certs
	Log                     *slog.Logger
}

// A Flag names a file, and is how errors name it: "-o ssl_key".
type Flag struct{ Name, Path string }

// Files are the files of one set of certificates.
type Files struct {
	cfg Config

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

// Open reads the files for the first time. An error names the flag to change.
func Open(cfg Config) (*Files, error) {
	f := &Files{cfg: cfg}
	return f, f.load()
}

// load reads the files and, if they are good, has them used.
func (f *Files) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = f.look() // before they are read: if one changes meanwhile it is read once more
	var read [3]certs.File
	for i, flag := range f.flags() {
		read[i].Name = flag.Name + "=" + flag.Path
		if flag.Path == "" {
			continue
		}
		content, err := readBounded(flag.Path)
		if err != nil {
			f.cfg.Certs.Failed()
			return fmt.Errorf("%s: %w", read[i].Name, err)
		}
		read[i].Content = content
	}
	return f.cfg.Certs.Load(certs.Files{Chain: read[0], Key: read[1], KeyDER: f.cfg.KeyDER, Authorities: read[2]})
}

func (f *Files) flags() [3]Flag { return [3]Flag{f.cfg.Chain, f.cfg.Key, f.cfg.Authorities} }

// readBounded reads a file that is neither empty nor too large. Its errors leave out the path.
func readBounded(path string) (content []byte, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("not a file") // reading a pipe would wait, the second time at the latest
	case info.Size() == 0:
		err = errors.New("the file is empty")
	case info.Size() > maxBytes:
		err = fmt.Errorf("the file has more than %d bytes", maxBytes)
	default:
		content, err = os.ReadFile(path)
	}
	var named *fs.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	return content, err
}

// look gives the files as they are now; what cannot be seen is as if it was not there.
func (f *Files) look() (stamps [3]stamp) {
	for i, flag := range f.flags() {
		if resolved, err := filepath.EvalSymlinks(flag.Path); flag.Path != "" && err == nil {
			if info, err := os.Stat(resolved); err == nil {
				stamps[i] = stamp{resolved, info.ModTime(), info.Size()}
			}
		}
	}
	return stamps
}

// Refresh reads the files again, and tells what has come of it. After an error the certificates in use stay in use.
func (f *Files) Refresh() error {
	err := f.load()
	if err != nil {
		f.cfg.Log.Warn("the TLS certificates are not replaced: those in use stay", "err", err)
		return err
	}
	f.Tell()
	return nil
}

// Tell tells how long the certificate in use is good.
func (f *Files) Tell() {
	status := f.cfg.Certs.Status()
	f.cfg.Log.Info("TLS certificates loaded", "expires", status.Expires)
	if now := time.Now(); now.After(status.Expires) || now.Before(status.Begins) {
		f.cfg.Log.Warn("clients will refuse our TLS certificate: it is not good now", "from", status.Begins, "to", status.Expires)
	}
}

// refreshIfChanged does not try again what has failed: only what has changed since.
func (f *Files) refreshIfChanged() {
	f.mu.Lock()
	changed := f.look() != f.seen
	f.mu.Unlock()
	if changed {
		_ = f.Refresh() // which has told it
	}
}

// Follow looks at the files until stop is called, which waits for that to end.
func (f *Files) Follow() (stop func()) { return Every(f.refreshIfChanged) }

// Every has look called every ten seconds until stop is called, which waits for that to end.
func Every(look func()) (stop func()) {
	var following sync.WaitGroup
	ended := make(chan struct{})
	following.Go(func() {
		ticks := time.NewTicker(lookEvery)
		defer ticks.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticks.C:
				look()
			}
		}
	})
	return func() { close(ended); following.Wait() }
}

// CheckReadable tells, when the process has become another user, of files that this one cannot read again.
func (f *Files) CheckReadable() {
	for _, flag := range f.flags() {
		if flag.Path == "" {
			continue
		}
		if _, err := readBounded(flag.Path); err != nil {
			f.cfg.Log.Warn("the user of -u cannot read a file of TLS: what replaces it will not be used", "file", flag.Path, "err", err)
		}
	}
}
