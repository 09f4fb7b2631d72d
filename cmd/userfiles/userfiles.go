// Package userfiles reads users from a file, again when it changes, and changes it.
package userfiles

import (
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/memring/memring/cmd/stamp"
	"github.com/memring/memring/protocol/login"
)

// A File is a file of users. It is read whole, and after an error those are known who were.
type File struct {
	Path string
	log  *slog.Logger

	mu     sync.Mutex // guards the rest
	users  *login.Users
	seen   stamp.Stamp
	failed string // what went wrong the last time, so that it is told once
}

// New makes a file whose users are given by Load.
func New(path string, log *slog.Logger) *File { return &File{Path: path, log: log} }

// Load reads the file for the first time, into users.
func (f *File) Load(users *login.Users) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users = users
	return f.loadLocked()
}

// Reload reads the file, changed or not, and gives what is wrong with it.
func (f *File) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loadLocked()
}

func (f *File) loadLocked() error {
	now, err := stamp.Of(f.Path)
	if err != nil {
		return fmt.Errorf("the file of users: %w", err)
	}
	if now != f.seen && now.Exposed() {
		f.log.Warn("every user of this machine may read or change the file of users: chmod o= it", "file", f.Path)
	}
	f.seen = now // the one before what was read: if it has changed since, it is read once more
	content, err := os.ReadFile(f.Path)
	if err == nil {
		err = f.users.Load(content)
	}
	if err != nil {
		return fmt.Errorf("the file of users: %w", err)
	}
	return nil
}

// Refresh reads the file again if it has changed, and logs what is wrong with it. It is cheap: it may be called at every login.
func (f *File) Refresh() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now, err := stamp.Of(f.Path); err == nil && now == f.seen {
		return
	}
	failed := ""
	if err := f.loadLocked(); err != nil {
		failed = err.Error()
	} else {
		f.log.Info("the file of users has changed", "users", f.users.Len())
	}
	if failed != "" && failed != f.failed {
		f.log.Warn("the file of users cannot be read: who was known stays known", "err", failed)
	}
	f.failed = failed
}
