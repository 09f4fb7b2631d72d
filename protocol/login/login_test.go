package login_test

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/memring/memring/protocol/login"
)

// pencil is the password "pencil" of RFC 7677, section 3, hashed by another implementation (Python's hashlib). With these keys it gives the
// server signature that stands there.
const pencil = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

func users(t testing.TB, file string, mechanisms ...string) *login.Users {
	t.Helper()
	u, err := login.New(login.Config{Mechanisms: mechanisms})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Load([]byte(file)); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestByWords(t *testing.T) {
	u := users(t, "foo:bar\nbaaaz:quux\r\n\ncolon:a:b\nblank:a b\nempty:\nfoo:second\nuser:"+pencil+"\nlast:line")
	f := func(words, want string) {
		t.Helper()
		user, readable := u.ByWords([]byte(words))
		switch {
		case !readable:
			t.Errorf("%q is not readable", words)
		case user == nil && want != "":
			t.Errorf("%q does not come in", words)
		case user != nil && user.Name != want:
			t.Errorf("%q comes in as %q", words, user.Name)
		}
	}
	f("foo bar", "foo")
	f("foo second", "foo")
	f("baaaz quux", "baaaz")
	f("colon a:b", "colon")
	f("blank a b", "blank")
	f("empty ", "empty")
	f("user pencil", "user")
	f("last line", "last")
	for _, wrong := range []string{
		"foo ", "foo ba", "foo barr", "foo bar ", "foo bar\n", " bar", "fo bar", "bar foo", "foo quux", "colon a", "empty x", "user pencils", "user " + pencil,
		"nobody bar", "nobody ", " ", "\x00 \x00", "last line\r",
	} {
		f(wrong, "")
	}
	if user, readable := u.ByWords([]byte("foo:bar")); readable || user != nil {
		t.Error("words without a blank are readable")
	}
	if cmds, errors := u.Stats().Cmds.Load(), u.Stats().Errors.Load(); cmds != 26 || errors != 18 {
		t.Errorf("%d logins, %d errors", cmds, errors)
	}
	u.Stats().Reset()
	if u.Stats().Cmds.Load() != 0 || u.Stats().Errors.Load() != 0 {
		t.Error("not reset")
	}
}

func TestLoadRefuses(t *testing.T) {
	f := func(file, line string) {
		t.Helper()
		u := users(t, "foo:bar")
		err := u.Load([]byte(file))
		if err == nil || !strings.HasPrefix(err.Error(), line) {
			t.Errorf("%q: %v", file, err)
			return
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells: %v", file, err)
		}
		if user, _ := u.ByWords([]byte("foo bar")); user == nil || u.Len() != 1 {
			t.Errorf("%q: who was known is gone", file)
		}
	}
	f("secret", "line 1")
	f("a:b\nsecret\n", "line 2")
	f(":secret", "line 1")
	f("a:SCRAM-SHA-256$", "line 1")
	f("a:SCRAM-SHA-256$secret", "line 1")
	f("a:"+pencil[:len(pencil)-4], "line 1")
	f("a:"+strings.Replace(pencil, "$4096", "$4095", 1), "line 1")
	f("a:"+strings.Replace(pencil, "$4096", "$1048577", 1), "line 1")
	f("a:"+strings.Replace(pencil, "W22Z", "!!!!", 1), "line 1")
	f(strings.Repeat("a:secret\n", 2<<20), "")
}

func TestLoadReplaces(t *testing.T) {
	u := users(t, "a:1\nb:2")
	if err := u.Load([]byte("b:3\n")); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]bool{"a 1": false, "b 2": false, "b 3": true} {
		if user, _ := u.ByWords([]byte(words)); (user != nil) != want {
			t.Errorf("%q: %v", words, user)
		}
	}
	if err := u.Load(nil); err != nil || u.Len() != 0 {
		t.Errorf("%v, %d users", err, u.Len())
	}
}

func TestHash(t *testing.T) {
	first, err := login.Hash([]byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := login.Hash([]byte("correct horse"))
	if err != nil || first == second {
		t.Fatalf("%v: two hashes of a password are alike", err)
	}
	u := users(t, "a:"+first+"\nb:"+second+"\nclear:correct horse\n", login.Plain, login.Scram)
	for _, name := range []string{"a", "b", "clear"} {
		if user, _ := u.ByWords([]byte(name + " correct horse")); user == nil {
			t.Errorf("%s does not come in", name)
		}
		if !byScram(t, u, name, "correct horse") || byScram(t, u, name, "wrong") {
			t.Errorf("%s: SCRAM", name)
		}
	}
	if _, err := login.Hash(nil); err == nil {
		t.Error("an empty password is hashed")
	}
}

func TestMechanisms(t *testing.T) {
	u := users(t, "a:b", login.Scram, login.Plain)
	if got := u.Mechanisms(); got != "SCRAM-SHA-256 PLAIN" {
		t.Errorf("%q", got)
	}
	if _, err := login.New(login.Config{Mechanisms: []string{"GSSAPI"}}); err == nil {
		t.Error("a mechanism nobody knows is offered")
	}
}

func TestMechanismsOf(t *testing.T) {
	f := func(settings string, given bool, want ...string) {
		t.Helper()
		if got, ok := login.MechanismsOf([]byte(settings)); ok != given || !slices.Equal(got, want) {
			t.Errorf("%q: %q, given %v", settings, got, ok)
		}
	}
	f("", false)
	f("log_level: 5\n", false)
	f("mech_list: plain cram-md5\nlog_level: 5\n", true, login.Plain, login.Cram)
	f(" mech_list :GSSAPI  scram-sha-256 plain plain", true, login.Scram, login.Plain)
	f("mech_list: gssapi", true)
}

func TestFields(t *testing.T) {
	fresh := 0
	u, err := login.New(login.Config{Fields: true, Refresh: func() { fresh++ }})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Load([]byte("foo:bar:::\nuser:" + pencil + "\n")); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]bool{"foo bar": true, "foo bar:::": true, "foo bar:": false, "foo ": false, "user pencil": true, "user SCRAM-SHA-256$4096": false} {
		if user, _ := u.ByWords([]byte(words)); (user != nil) != want {
			t.Errorf("%q: %v", words, user)
		}
	}
	if x := u.Begin(); fresh != 6 {
		t.Errorf("refreshed %d times", fresh)
	} else if x.Start([]byte(login.Plain), nil); fresh != 7 {
		t.Error("not refreshed before an exchange")
	}
}

func TestPlain(t *testing.T) {
	u := users(t, "foo:bar\na@realm:b\nuser:"+pencil, login.Plain)
	f := func(mechanism, data string, want login.Verdict) {
		t.Helper()
		x := u.Begin()
		reply, got := x.Start([]byte(mechanism), []byte(data))
		if got != want || (x.User() != nil) != (want == login.In) || len(reply) > 0 {
			t.Errorf("%s %q: %d, %v", mechanism, data, got, x.User())
		}
		if _, again := x.Step([]byte(data)); again != login.Refused {
			t.Errorf("%s %q: goes on after its end", mechanism, data)
		}
	}
	f("PLAIN", "\x00foo\x00bar", login.In)
	f("plain", "\x00foo\x00bar", login.In)
	f("PLAIN", "foo\x00foo\x00bar", login.In)
	f("PLAIN", "\x00a@realm\x00b", login.In)
	f("PLAIN", "\x00user\x00pencil", login.In)
	f("PLAIN", "a@realm\x00foo\x00bar", login.Refused)
	f("PLAIN", "\x00foo\x00bar\x00", login.Refused)
	f("PLAIN", "\x00foo", login.Refused)
	f("PLAIN", "foo\x00bar", login.Refused)
	f("PLAIN", "", login.Refused)
	f("PLAIN", "\x00nobody\x00bar", login.Refused)
	f("SCRAM-SHA-256", "n,,n=foo,r=abc", login.Refused) // not offered
	f("CRAM-MD5", "", login.Refused)
	f("", "", login.Refused)
}

// byScram logs in as a client of another's making does.
func byScram(t testing.TB, u *login.Users, name, password string) bool {
	t.Helper()
	client, err := scram.SHA256.NewClient(name, password, "")
	if err != nil {
		t.Fatal(err)
	}
	c, x := client.NewConversation(), u.Begin()
	first, err := c.Step("")
	if err != nil {
		t.Fatal(err)
	}
	challenge, verdict := x.Start([]byte(login.Scram), []byte(first))
	if verdict != login.Continue {
		t.Fatalf("the first message of %s: %d", name, verdict)
	}
	final, err := c.Step(string(challenge))
	if err != nil {
		t.Fatal(err)
	}
	proof, verdict := x.Step([]byte(final))
	if verdict != login.Continue {
		return false
	}
	if x.User() != nil {
		t.Error("in before the end")
	}
	if _, err := c.Step(string(proof)); err != nil || !c.Valid() {
		t.Errorf("the server does not prove itself: %v", err)
	}
	_, verdict = x.Step(nil)
	if verdict == login.In && x.User().Name != name {
		t.Errorf("in as %q", x.User().Name)
	}
	return verdict == login.In
}

func TestScram(t *testing.T) {
	u := users(t, "foo:bar\nuser:"+pencil+"\ncom,ma=x:é", login.Scram)
	f := func(name, password string, want bool) {
		t.Helper()
		if got := byScram(t, u, name, password); got != want {
			t.Errorf("%s %s: %v", name, password, got)
		}
	}
	f("foo", "bar", true)
	f("user", "pencil", true)
	f("com,ma=x", "é", true)
	f("com,ma=x", "e\u0301", true) // the same letter, written otherwise
	f("foo", "pencil", false)
	f("user", "bar", false)
	f("nobody", "bar", false)
	if cmds, errors := u.Stats().Cmds.Load(), u.Stats().Errors.Load(); cmds != 7 || errors != 3 {
		t.Errorf("%d logins, %d errors", cmds, errors)
	}
}

// A user nobody knows is answered as one who is known: with a salt of its own, always the same, and as many iterations.
func TestScramTellsNoUser(t *testing.T) {
	factors := func(u *login.Users, name string) string {
		x := u.Begin()
		challenge, verdict := x.Start([]byte(login.Scram), []byte("n,,n="+name+",r=abc"))
		if verdict != login.Continue {
			t.Fatalf("%s: %d", name, verdict)
		}
		_, factors, _ := strings.Cut(string(challenge), ",")
		return factors
	}
	u := users(t, "foo:bar", login.Scram)
	a, b, c := factors(u, "foo"), factors(u, "nobody"), factors(u, "else")
	if a == b || b == c || len(a) != len(b) || a[strings.LastIndex(a, ","):] != b[strings.LastIndex(b, ","):] {
		t.Errorf("foo %s, nobody %s, else %s", a, b, c)
	}
	if again := factors(u, "nobody"); again != b {
		t.Errorf("nobody %s, then %s", b, again)
	}
	if other := factors(users(t, "foo:bar", login.Scram), "nobody"); other == b {
		t.Error("the salt of nobody is known before")
	}
}

func TestCram(t *testing.T) {
	u := users(t, "foo:bar\nfoo:new\na b:c\nuser:"+pencil, login.Cram)
	f := func(name, password string, want bool) {
		t.Helper()
		x := u.Begin()
		challenge, verdict := x.Start([]byte(login.Cram), nil)
		if verdict != login.Continue {
			t.Fatalf("verdict %d", verdict)
		}
		h := hmac.New(md5.New, []byte(password))
		h.Write(challenge)
		_, verdict = x.Step([]byte(name + " " + hex.EncodeToString(h.Sum(nil))))
		if (verdict == login.In) != want || want && x.User().Name != name {
			t.Errorf("%s %s: %d", name, password, verdict)
		}
	}
	f("foo", "bar", true)
	f("foo", "new", true)
	f("a b", "c", true)
	f("foo", "c", false)
	f("nobody", "bar", false)
	f("user", "pencil", false) // its password is not known in clear
	f("user", "", false)

	var seen []string
	for range 3 {
		x := u.Begin()
		challenge, _ := x.Start([]byte(login.Cram), nil)
		if slices.Contains(seen, string(challenge)) {
			t.Error("a challenge comes again")
		}
		seen = append(seen, string(challenge))
	}
}

// Who begins once more is nobody until the end; who steps without a beginning is refused, and counted.
func TestExchangeBeginsAgain(t *testing.T) {
	u := users(t, "foo:bar", login.Plain, login.Scram)
	x := u.Begin()
	if _, verdict := x.Step([]byte("\x00foo\x00bar")); verdict != login.Refused {
		t.Errorf("a step without a beginning: %d", verdict)
	}
	x.Start([]byte(login.Plain), []byte("\x00foo\x00bar"))
	if x.User() == nil {
		t.Fatal("not in")
	}
	if x.Start([]byte(login.Scram), []byte("n,,n=foo,r=abc")); x.User() != nil {
		t.Error("still in")
	}
	if _, verdict := x.Start([]byte(login.Plain), []byte("\x00foo\x00bar")); verdict != login.In {
		t.Errorf("a new beginning: %d", verdict)
	}
	if cmds, errors := u.Stats().Cmds.Load(), u.Stats().Errors.Load(); cmds != 3 || errors != 1 {
		t.Errorf("%d logins, %d errors", cmds, errors)
	}
}

// Nobody comes in by bytes that were made without the password, whatever they are and in however many steps.
func FuzzExchange(f *testing.F) {
	f.Add("PLAIN", []byte("\x00foo\x00baz"), []byte(nil), []byte(nil))
	f.Add("SCRAM-SHA-256", []byte("n,,n=foo,r=abc"), []byte("c=biws,r=abc,p=AAAA"), []byte(nil))
	f.Add("CRAM-MD5", []byte(nil), []byte("foo 00"), []byte("x"))
	u := users(f, "foo:a password that no fuzzer finds\nuser:"+pencil, login.Plain, login.Scram, login.Cram)
	f.Fuzz(func(t *testing.T, mechanism string, first, second, third []byte) {
		if strings.Contains(string(first)+string(second)+string(third), "pencil") {
			t.Skip("this one it knows")
		}
		x, before := u.Begin(), u.Stats().Cmds.Load()
		verdicts := make([]login.Verdict, 0, 3)
		_, verdict := x.Start([]byte(mechanism), first)
		verdicts = append(verdicts, verdict)
		for _, data := range [][]byte{second, third} {
			_, verdict := x.Step(data)
			verdicts = append(verdicts, verdict)
		}
		ends := uint64(0)
		for _, v := range verdicts {
			if v == login.In || x.User() != nil {
				t.Fatalf("%v: in", verdicts)
			}
			if v == login.Refused {
				ends++
			}
		}
		if got := u.Stats().Cmds.Load() - before; got != ends {
			t.Fatalf("%v: %d counted", verdicts, got)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("foo:bar\nuser:" + pencil + "\r\n\nx:y"))
	f.Add([]byte("a:SCRAM-SHA-256$4096:$:\n:"))
	u, err := login.New(login.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		before := u.Len()
		if u.Load(file) != nil {
			if u.Len() != before {
				t.Fatal("half of a file was taken")
			}
			return
		}
		// Who is in the file in clear comes in.
		for text := range strings.Lines(string(file)) {
			name, password, _ := strings.Cut(strings.TrimRight(text, "\r\n"), ":")
			if name == "" || strings.Contains(name, " ") || strings.HasPrefix(password, "SCRAM-SHA-256$") {
				continue
			}
			if user, _ := u.ByWords([]byte(name + " " + password)); user == nil {
				t.Fatalf("%q does not come in", text)
			}
		}
	})
}

func BenchmarkByWords(b *testing.B) {
	f := func(name, file, words string) {
		b.Run(name, func(b *testing.B) {
			u, in := users(b, file), []byte(words)
			for b.Loop() {
				u.ByWords(in)
			}
		})
	}
	hash, err := login.Hash([]byte("bar"))
	if err != nil {
		b.Fatal(err)
	}
	f("clear", "foo:bar", "foo bar")
	f("nobody", "foo:bar", "nob bar")
	f("hashed", "foo:"+hash, "foo bar")
	f("nobody among hashed", "foo:"+hash, "nob bar")
}

// Logins go on while the file is read again and again: each sees all of one file, or all of the other.
func TestLoadDuringLogins(t *testing.T) {
	u := users(t, "a:1\nb:1", login.Plain)
	var running sync.WaitGroup
	running.Go(func() {
		for i := range 200 {
			if err := u.Load([]byte([]string{"a:1\nb:1", "b:1\nc:1"}[i%2])); err != nil {
				t.Error(err)
			}
		}
	})
	for range 4 {
		running.Go(func() {
			for range 200 {
				if user, _ := u.ByWords([]byte("b 1")); user == nil {
					t.Error("b is unknown")
				}
				x := u.Begin()
				if _, verdict := x.Start([]byte(login.Plain), []byte("\x00b\x001")); verdict != login.In {
					t.Error("b is refused")
				}
			}
		})
	}
	running.Wait()
}
