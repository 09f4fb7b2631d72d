package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memring/memring/node"
)

// What `memring user` writes is what -Y reads; a password is never an argument, and never told.
func TestUserCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	run := func(stdin string, args ...string) (said string, err error) {
		t.Helper()
		root := command(func(string) string { return "" }, func(*options) error { t.Error("serves"); return nil })
		var out bytes.Buffer
		root.SetIn(strings.NewReader(stdin))
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append([]string{"user"}, args...))
		err = root.Execute()
		return out.String(), err
	}
	fine := func(stdin string, args ...string) string {
		t.Helper()
		said, err := run(stdin, args...)
		if err != nil {
			t.Errorf("%q: %v", args, err)
		}
		return said
	}
	wrong := func(want, stdin string, args ...string) {
		t.Helper()
		before, _ := os.ReadFile(path)
		if said, err := run(stdin, args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(said+err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Errorf("%q changed the file", args)
		}
	}
	wrong("no such file", "", "remove", path, "shop")
	fine("a secret\n", "add", path, "shop", "--prefix", "shop:", "--prefix", "a,b")
	fine("root secret", "add", path, "root", "--rights", "read,write,admin")
	fine("x\r\n", "add", path, "reader", "--rights=read")
	wrong("there is such a user", "secret\n", "add", path, "shop")
	wrong("--rights", "secret\n", "add", path, "other", "--rights", "all")
	wrong("an empty password", "\n", "add", path, "other")
	wrong("an empty password", "", "passwd", path, "shop")
	wrong("no such user", "secret", "passwd", path, "other")
	wrong("no such user", "", "remove", path, "other")
	wrong("accepts 2 arg", "", "add", path, "other", "secret")
	want := "USER    PASSWORD  RIGHTS            PREFIXES\n" +
		"shop    hashed    read,write        [\"shop:\" \"a,b\"]\n" +
		"root    hashed    read,write,admin  -\n" +
		"reader  hashed    read              -\n"
	if got := fine("", "list", path); got != want {
		t.Errorf("%s", got)
	}
	if got := fine("", "list", path, "--json"); !strings.Contains(got, `"rights": [`) || strings.Contains(got, "SCRAM") {
		t.Errorf("%s", got)
	}
	fine("new secret\n", "passwd", path, "shop")
	fine("", "remove", path, "reader")

	o := &options{authFile: path, node: node.Config{Log: slog.New(slog.DiscardHandler)}}
	if err := o.openUsers(); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]bool{"shop a secret": false, "shop new secret": true, "root root secret": true, "reader x": false} {
		if mayLogIn(o.node.Users, words) != want {
			t.Errorf("%s: %v", words, !want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
