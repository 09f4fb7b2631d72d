package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/protocol/login"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mayLogIn(u *login.Users, words string) bool {
	user, _ := u.ByWords([]byte(words))
	return user != nil
}

// With -Y the file is read at the start, on SIGHUP and when it has changed; one that is wrong changes nothing.
func TestAuthFile(t *testing.T) {
	var logged bytes.Buffer
	o := &options{authFile: filepath.Join(t.TempDir(), "users"), node: node.Config{Log: slog.New(slog.NewTextHandler(&logged, nil))}}
	if err := o.openUsers(); err == nil || !strings.Contains(err.Error(), "-Y") {
		t.Errorf("no file: %v", err)
	}
	write(t, o.authFile, "secret")
	if err := o.openUsers(); err == nil || strings.Contains(err.Error(), "secret") || o.node.Users != nil {
		t.Errorf("a line without a colon: %v", err)
	}
	write(t, o.authFile, "foo:bar")
	if err := o.openUsers(); err != nil {
		t.Fatal(err)
	}
	write(t, o.authFile, "foo:other")
	if mayLogIn(o.node.Users, "foo bar") {
		t.Error("the file has changed, and was not read")
	}
	write(t, o.authFile, "foo:new")
	o.reload()
	if mayLogIn(o.node.Users, "foo bar") || !mayLogIn(o.node.Users, "foo new") {
		t.Error("not reloaded")
	}
	write(t, o.authFile, "secret")
	if o.reload(); !mayLogIn(o.node.Users, "foo new") || !strings.Contains(logged.String(), "not reloaded") || strings.Contains(logged.String(), "secret") {
		t.Errorf("after a wrong file: %s", &logged)
	}
}

// What a node says of who reaches it, by its flags.
func TestTellsWhoReachesIt(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		root := command(func(string) string { return "" }, func(o *options) error {
			var logged bytes.Buffer
			o.node.Log = slog.New(slog.NewTextHandler(&logged, nil))
			if err := o.openUsers(); err != nil {
				return err
			}
			o.tellWhoReachesIt()
			if got := logged.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%q: %q, want %q", args, got, want)
			}
			return nil
		})
		root.SetArgs(args)
		if err := root.Execute(); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	users := filepath.Join(t.TempDir(), "users")
	write(t, users, "foo:bar")
	f("-l 0.0.0.0 opens")
	f("-l 0.0.0.0 opens", "-Y", users)
	f("", "-l", "127.0.0.1")
	f("may read and change everything", "--insecure-peers", "-l", "0.0.0.0")
	f("at=\":11211, 192.0.2.1:7\"", "--insecure-peers", "-l", "*,127.0.0.1:5,192.0.2.1:7")
	f("", "--insecure-peers", "-l", "0.0.0.0", "-Y", users)
	f("", "-s", filepath.Join(filepath.Dir(users), "socket"))
}

// With -S the file is read again whenever it has changed, as memcached does.
func TestSASLFile(t *testing.T) {
	var logged bytes.Buffer
	dir := t.TempDir()
	o := &options{sasl: true, node: node.Config{Log: slog.New(slog.NewTextHandler(&logged, nil))}}
	if err := o.openUsers(); err == nil || !strings.Contains(err.Error(), "MEMCACHED_SASL_PWDB") {
		t.Errorf("no file is named: %v", err)
	}
	o.saslPasswords, o.saslSettings = filepath.Join(dir, "passwords"), dir
	write(t, o.saslPasswords, "")
	if err := o.openUsers(); err != nil {
		t.Fatal(err)
	}
	if got := o.node.Users.Mechanisms(); got != "PLAIN SCRAM-SHA-256" {
		t.Errorf("mechanisms %q", got)
	}
	if mayLogIn(o.node.Users, "foo bar") {
		t.Error("in without a line")
	}
	write(t, o.saslPasswords, "foo:bar:more\n")
	if !mayLogIn(o.node.Users, "foo bar") {
		t.Error("the file has changed, and was not read")
	}
	write(t, o.saslPasswords, "foo:baz\n") // in another moment, if not of another size
	if err := os.Chtimes(o.saslPasswords, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if mayLogIn(o.node.Users, "foo bar") || !mayLogIn(o.node.Users, "foo baz") {
		t.Error("the file has changed once more, and was not read")
	}
	if err := os.Remove(o.saslPasswords); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !mayLogIn(o.node.Users, "foo baz") {
			t.Error("unknown since the file is gone")
		}
	}
	if n := strings.Count(logged.String(), "cannot be read"); n != 1 {
		t.Errorf("told %d times: %s", n, &logged)
	}
}

// With -S and -Y one file is for both: a password in clear goes up to the end of the line, as with -Y.
func TestOneFileForBothLogins(t *testing.T) {
	o := &options{sasl: true, authFile: filepath.Join(t.TempDir(), "users"), saslPasswords: "/none"}
	write(t, o.authFile, "foo:bar:more")
	if err := o.openUsers(); err != nil {
		t.Fatal(err)
	}
	if users := o.node.Users; !mayLogIn(users, "foo bar:more") || mayLogIn(users, "foo bar") || users.Mechanisms() != "PLAIN SCRAM-SHA-256" {
		t.Errorf("mechanisms %q", users.Mechanisms())
	}
}

func TestSASLMechanisms(t *testing.T) {
	dir := t.TempDir()
	f := func(settings string, want []string, wrong bool) {
		t.Helper()
		path := filepath.Join(dir, "memcached.conf")
		write(t, path, settings)
		for _, named := range []string{dir, path} {
			o := &options{sasl: true, saslSettings: named, saslPasswords: os.DevNull}
			switch err := o.openUsers(); {
			case (err != nil) != wrong:
				t.Errorf("%q: %v", settings, err)
			case err == nil && !slices.Equal(strings.Fields(o.node.Users.Mechanisms()), want):
				t.Errorf("%q: %s", settings, o.node.Users.Mechanisms())
			}
		}
	}
	f("mech_list: plain cram-md5\n", []string{login.Plain, login.Cram}, false)
	f("log_level: 5\n", []string{login.Plain, login.Scram}, false)
	f("mech_list: gssapi\n", nil, true)
}
