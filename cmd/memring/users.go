package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/memring/memring/node"
	"github.com/memring/memring/protocol/login"
)

// A userFile is a file of users, and the users known by it.
type userFile struct {
	named string // where the path comes from
	path  string
	users *login.Users
	log   *slog.Logger

	mu     sync.Mutex // guards the rest
	seen   fs.FileInfo
	failed string // what went wrong the last time, so that it is told once
}

// openUsers gives the node those who may log in, if anybody must: the file of -Y, which is read again on SIGHUP, or with -S that of
// $MEMCACHED_SASL_PWDB, which is read again whenever it has changed. It runs as the user of -u, as it does later.
func (o *options) openUsers() (err error) {
	if o.authFile == "" && !o.sasl {
		return nil
	}
	f := &userFile{named: "-Y", path: o.authFile, log: o.node.Log}
	var cfg login.Config
	if o.sasl {
		f.named, f.path = "$MEMCACHED_SASL_PWDB", o.saslPasswords
		cfg = login.Config{Fields: true, Refresh: f.refresh, Mechanisms: []string{login.Plain, login.Scram}}
		if chosen, given := saslMechanisms(o.saslSettings); given {
			cfg.Mechanisms = chosen
		}
	}
	if f.path == "" {
		return errors.New("-S: $MEMCACHED_SASL_PWDB must name a file of users")
	}
	if len(cfg.Mechanisms) == 0 && o.sasl {
		return fmt.Errorf("-S: $SASL_CONF_PATH chooses no mechanism that is there: %s, %s, %s", login.Plain, login.Scram, login.Cram)
	}
	if f.users, err = node.NewUsers(cfg); err != nil {
		return err
	}
	if err := f.load(); err != nil {
		return err
	}
	o.node.Users, o.users = f.users, f
	return nil
}

// load reads the file. After an error those are known who were.
func (f *userFile) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err == nil {
		err = f.loadLocked(info)
	}
	if err != nil {
		return fmt.Errorf("%s: the file of users: %w", f.named, err)
	}
	return nil
}

func (f *userFile) loadLocked(info fs.FileInfo) error {
	content, err := os.ReadFile(f.path)
	if err == nil {
		err = f.users.Load(content)
	}
	f.seen = info // the one before what was read: if it has changed since, it is read once more
	return err
}

// refresh reads the file again if it has changed. It is called at every login.
func (f *userFile) refresh() {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err == nil && f.seen != nil && os.SameFile(info, f.seen) && info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size() {
		return
	}
	if err == nil {
		err = f.loadLocked(info)
	}
	failed := ""
	if err != nil {
		failed = err.Error()
	}
	if failed != "" && failed != f.failed {
		f.log.Warn("the file of users cannot be read: who was known stays known", "err", err)
	}
	f.failed = failed
}

// saslSettingsFile is the name that memcached's SASL looks for in a folder.
const saslSettingsFile = "memcached.conf"

// saslMechanisms reads which mechanisms the file of SASL's settings chooses, if there is one: named is $SASL_CONF_PATH, the file or its folder,
// without which it may be where memcached's is.
func saslMechanisms(named string) (mechanisms []string, given bool) {
	places := []string{named, filepath.Join(named, saslSettingsFile)}
	if named == "" {
		places = []string{filepath.Join("/etc/sasl", saslSettingsFile), filepath.Join("/etc/sasl2", saslSettingsFile)}
	}
	for _, place := range places {
		if settings, err := os.ReadFile(place); err == nil {
			return login.MechanismsOf(settings)
		}
	}
	return nil, false
}

// reload does what SIGHUP asks for.
func (o *options) reload() {
	if o.certs == nil && o.users == nil {
		o.node.Log.Info("nothing to reload")
	}
	if o.certs != nil {
		_ = o.certs.Refresh() // which has told it
	}
	if o.users == nil {
		return
	}
	if err := o.users.load(); err != nil {
		o.node.Log.Warn("not reloaded: who was known stays known", "err", err)
		return
	}
	o.node.Log.Info("reloaded", "users", o.node.Users.Len())
}
