package login_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/login"
)

func granted(t testing.TB, rights, prefixes []string) login.Grant {
	t.Helper()
	g, err := login.NewGrant(rights, prefixes)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Whoever is added comes in by every way there is, with what was granted; the lines of others stay as they are, to the byte.
func TestEdit(t *testing.T) {
	file := []byte("foo:bar\r\n\ncolon:a:b")
	prefixes := []string{"shop:", "a b%\x00,é"}
	file, err := login.Add(file, "new", []byte("a secret"), granted(t, []string{"read"}, prefixes))
	if err != nil || !strings.HasPrefix(string(file), "foo:bar\r\n\ncolon:a:b\nnew:SCRAM-SHA-256$") || strings.Contains(string(file), "secret") {
		t.Fatalf("%q, %v", file, err)
	}
	check := func(words string, rights protocol.Rights, prefixes int) {
		t.Helper()
		u := users(t, string(file), login.Plain, login.Scram)
		name, password, _ := strings.Cut(words, " ")
		user, _ := u.ByWords([]byte(words))
		if user == nil || !byScram(t, u, name, password) {
			t.Errorf("%q does not come in: %v\n%s", words, user, file)
			return
		}
		if g := user.Grant(); g.Rights != rights || len(g.Prefixes) != prefixes {
			t.Errorf("%q: %+v", words, g)
		}
	}
	const read = protocol.Public | protocol.Common | protocol.Read
	check("new a secret", read, 2)
	check("foo bar", protocol.AllRights, 0)
	check("colon a:b", protocol.AllRights, 0)

	if _, err := login.Add(file, "foo", []byte("x"), login.Grant{}); !errors.Is(err, login.ErrUserThere) {
		t.Errorf("added twice: %v", err)
	}
	for _, name := range []string{"", "a b", "a:b", "a\n", "\xff"} {
		if _, err := login.Add(file, name, []byte("x"), login.Grant{}); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
	for _, password := range []string{"", strings.Repeat("x", protocol.MaxLoginBytes)} {
		if _, err := login.Add(file, "name", []byte(password), login.Grant{}); err == nil {
			t.Errorf("%.10q is a password", password)
		}
	}

	file = append(file, "new:second\n"...)
	if file, err = login.SetPassword(file, "new", []byte("third")); err != nil {
		t.Fatal(err)
	}
	check("new third", read, 2)
	if u := users(t, string(file)); u.Len() != 3 || strings.Contains(string(file), "second") {
		t.Errorf("%d users: %s", u.Len(), file)
	}
	if file, err = login.SetPassword(file, "foo", []byte("hashed now")); err != nil {
		t.Fatal(err)
	}
	check("foo hashed now", protocol.AllRights, 0)
	if file, err = login.Remove(file, "foo"); err != nil || strings.Contains(string(file), "foo") {
		t.Errorf("%v: %s", err, file)
	}
	check("new third", read, 2)
	check("colon a:b", protocol.AllRights, 0)
	if _, err := login.Remove(file, "foo"); !errors.Is(err, login.ErrUserAbsent) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := login.SetPassword(file, "foo", []byte("x")); !errors.Is(err, login.ErrUserAbsent) {
		t.Errorf("nobody's password is set: %v", err)
	}
	for name, edit := range map[string]func() ([]byte, error){
		"add":    func() ([]byte, error) { return login.Add([]byte("a:b\nbad\n"), "n", []byte("x"), login.Grant{}) },
		"set":    func() ([]byte, error) { return login.SetPassword([]byte("a:b\nbad\n"), "a", []byte("x")) },
		"remove": func() ([]byte, error) { return login.Remove([]byte("a:b\nbad\n"), "a") },
	} {
		if _, err := edit(); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s, in a file that is no good: %v", name, err)
		}
	}
}

func TestGrants(t *testing.T) {
	f := func(words string, rights string, prefixes ...string) {
		t.Helper()
		lines, err := login.Lines([]byte("user:" + pencil + words))
		if err != nil {
			t.Errorf("%q: %v", words, err)
			return
		}
		g := lines[0].Grant
		if got := strings.Join(g.Prefixes, "|"); g.RightNames() != rights || got != strings.Join(prefixes, "|") {
			t.Errorf("%q: %s, %q", words, g.RightNames(), got)
		}
	}
	f("", "read,write,admin")
	f("  ", "read,write,admin")
	f(" rights=read", "read")
	f(" rights=write,read", "read,write")
	f("  rights=admin ", "admin")
	f(" prefix=a:", "read,write", "a:")
	f(" prefix=a:,b prefix=b%20%25 rights=read", "read", "a:,b", "b %")
	f(" prefix="+strings.Repeat("x", 250), "read,write", strings.Repeat("x", 250))

	for _, words := range []string{
		" rights=", " rights=reads", " rights=read,", " rights=Read", " rights=read rights=write", " right=read", " read", " prefix=", " prefix=%2", " prefix=%zz",
		" prefix=" + strings.Repeat("x", 251), " rights=read quota=7", " rights=none",
	} {
		if _, err := login.Lines([]byte("a:b\nuser:" + pencil + words)); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%q: %v", words, err)
		}
	}
}

// What a Load says of who is in holds from then on: other rights, none, or those of nobody.
func TestGrantsFollowTheFile(t *testing.T) {
	u := users(t, "foo:bar\nuser:"+pencil+" rights=read\ngone:x", login.Plain, login.Scram, login.Cram)
	enter := func(words string) *login.User {
		t.Helper()
		user, _ := u.ByWords([]byte(words))
		if user == nil {
			t.Fatalf("%q does not come in", words)
		}
		return user
	}
	foo, user, gone := enter("foo bar"), enter("user pencil"), enter("gone x")
	load := func(file string) {
		t.Helper()
		if err := u.Load([]byte(file)); err != nil {
			t.Fatal(err)
		}
	}
	is := func(user *login.User, want string) {
		t.Helper()
		got := "nobody"
		if g := user.Grant(); g != nil {
			got = g.RightNames()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", user.Name, got, want)
		}
	}
	is(foo, "read,write,admin")
	is(user, "read")
	load("foo:bar\nuser:" + pencil + " rights=write,admin")
	is(foo, "read,write,admin")
	is(user, "write,admin")
	is(gone, "nobody")
	load("foo:second\nfoo:bar\ngone:x\n")
	is(foo, "read,write,admin")
	is(user, "nobody")
	is(gone, "read,write,admin")
	load("foo:second\n")
	is(foo, "nobody")
}
