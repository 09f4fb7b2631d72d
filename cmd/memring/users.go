package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/memring/memring/cmd/userfiles"
	"github.com/memring/memring/node"
	"github.com/memring/memring/protocol/login"
)

// openUsers gives the node those who may log in, if anybody must: the file of -Y, or with -S alone that of $MEMCACHED_SASL_PWDB. Either is read again when it has
// changed, which is looked at before each login and every ten seconds, and on SIGHUP. It runs as the user of -u, as it does later.
func (o *options) openUsers() (err error) {
	if o.authFile == "" && !o.sasl {
		return nil
	}
	named, path := "-Y", o.authFile
	var cfg login.Config
	if o.sasl {
		cfg.Mechanisms = []string{login.Plain, login.Scram}
		if chosen, given := saslMechanisms(o.saslSettings); given {
			cfg.Mechanisms = chosen
		}
	}
	if path == "" {
		named, path, cfg.Fields = "$MEMCACHED_SASL_PWDB", o.saslPasswords, true
	}
	if path == "" {
		return errors.New("-S: $MEMCACHED_SASL_PWDB must name a file of users")
	}
	if len(cfg.Mechanisms) == 0 && o.sasl {
		return fmt.Errorf("-S: $SASL_CONF_PATH chooses no mechanism that is there: %s, %s, %s", login.Plain, login.Scram, login.Cram)
	}
	file := userfiles.New(path, o.node.Log)
	cfg.Refresh = file.Refresh
	users, err := node.NewUsers(cfg)
	if err != nil {
		return err
	}
	if err := file.Load(users); err != nil {
		return fmt.Errorf("%s: %w", named, err)
	}
	o.node.Users, o.users = users, file
	return nil
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
	if o.config == "" && len(o.files) == 0 && o.users == nil {
		o.node.Log.Info("nothing to reload")
	}
	_ = o.refresh() // which has told it
	if o.users == nil {
		return
	}
	if err := o.users.Reload(); err != nil {
		o.node.Log.Warn("not reloaded: who was known stays known", "err", err)
		return
	}
	o.node.Log.Info("reloaded", "users", o.node.Users.Len())
}
