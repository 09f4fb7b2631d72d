// Package certfiles reads certificates and keys from files, and again when they change.
//
//	Follow (ten seconds), SIGHUP, refresh_certs -> Refresh: read, Load -> the connections that come use them
package certfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/memring/memring/cmd/stamp"
	"github.com/memring/memring/node/certs"
)

const (
	// lookEvery is how often the files are looked at: whoever replaces one waits longer than that before the old one is worthless.
	lookEvery = 10 * time.Second

	// maxBytes bounds a file: far more than a chain, or all the authorities of a system, so that a wrong path cannot fill the memory.
	maxBytes = 4 << 20
)

// Config says which files, and what is done with them.
type Config struct {
	Name   string                         // of what is in them, for the log: "TLS certificates"
	Flags  []Flag                         // those without a path are not read
	Load   func(files []certs.File) error // uses their contents, in the order of Flags, or says what is wrong
	Failed func()                         // counts that they could not be read
	Tell   func()                         // tells of what is in use; nil: there is nothing to tell
	Log    *slog.Logger
}

// Certificates is the Config of certificates: only the chain must have a path. keyDER: the key is in DER, not in PEM.
func Certificates(name string, chain, key, authorities Flag, keyDER bool, into *certs.Certs, log *slog.Logger) Config {
	if key.Secret = true; key.Path == "" {
		chain.Secret = true
	}
	return Config{
		Name: name, Flags: []Flag{chain, key, authorities}, Failed: into.Failed, Log: log,
		Load: func(files []certs.File) error {
			return into.Load(certs.Files{Chain: files[0], Key: files[1], KeyDER: keyDER, Authorities: files[2]})
		},
		Tell: func() {
			status := into.Status()
			log.Info(name+" loaded", "expires", status.Expires)
			if now := time.Now(); now.After(status.Expires) || now.Before(status.Begins) {
				log.Warn("others will refuse our certificate: it is not good now", "of", name, "from", status.Begins, "to", status.Expires)
			}
		},
	}
}

// A Flag names a file, and is how errors name it: "-o ssl_key".
type Flag struct {
	Name, Path string
	Secret     bool // others than its owner and group should not read it
}

// Files are files that belong together.
type Files struct {
	cfg Config

	mu   sync.Mutex    // guards the rest
	seen []stamp.Stamp // the files as they were when they were last tried
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
	read := make([]certs.File, len(f.cfg.Flags))
	for i, flag := range f.cfg.Flags {
		read[i].Name = flag.Name + "=" + flag.Path
		if flag.Path == "" {
			continue
		}
		content, err := readBounded(flag.Path)
		if err != nil {
			f.cfg.Failed()
			return fmt.Errorf("%s: %w", read[i].Name, err)
		}
		read[i].Content = content
		if flag.Secret && f.seen[i].Exposed() {
			f.cfg.Log.Warn("every user of this machine may read or change a file that is a secret: chmod o= it", "file", read[i].Name)
		}
	}
	return f.cfg.Load(read)
}

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
func (f *Files) look() []stamp.Stamp {
	stamps := make([]stamp.Stamp, len(f.cfg.Flags))
	for i, flag := range f.cfg.Flags {
		if flag.Path != "" {
			stamps[i], _ = stamp.Of(flag.Path)
		}
	}
	return stamps
}

// Refresh reads the files again, and tells what has come of it. After an error what is in use stays in use.
func (f *Files) Refresh() error {
	err := f.load()
	if err != nil {
		f.cfg.Log.Warn("the "+f.cfg.Name+" are not replaced: those in use stay", "err", err)
		return err
	}
	f.Tell()
	return nil
}

// Tell tells of what is in use.
func (f *Files) Tell() {
	if f.cfg.Tell != nil {
		f.cfg.Tell()
	}
}

// refreshIfChanged does not try again what has failed: only what has changed since.
func (f *Files) refreshIfChanged() {
	f.mu.Lock()
	changed := !slices.Equal(f.look(), f.seen)
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
	for _, flag := range f.cfg.Flags {
		if flag.Path == "" {
			continue
		}
		if _, err := readBounded(flag.Path); err != nil {
			f.cfg.Log.Warn("the user of -u cannot read a file again: what replaces it will not be used", "file", flag.Path, "err", err)
		}
	}
}
