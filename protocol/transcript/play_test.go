package transcript

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// server answers each line by script, and flush_all and the closing get as every server does.
type server struct {
	script map[string]string
	pieces []int // the sizes of what was written
	ended  bool
}

func (s *server) answer(in []byte) (answers []byte, used int) {
	for !s.ended {
		end := bytes.IndexByte(in[used:], '\n')
		if end < 0 {
			return answers, used
		}
		said := strings.TrimRight(string(in[used:used+end]), "\r")
		used += end + 1
		switch reply, scripted := s.script[said]; {
		case scripted:
			answers = append(answers, reply...)
		case said == "flush_all":
			answers = append(answers, "OK\r\n"...)
		case said == "get transcript:end":
			answers = append(answers, "END\r\n"...)
		case said == "quit":
			s.ended = true
		default:
			answers = append(answers, "ERROR\r\n"...)
		}
	}
	return answers, used
}

type counted struct {
	Conn
	s *server
}

func (c counted) Write(p []byte) (int, error) {
	c.s.pieces = append(c.s.pieces, len(p))
	return c.Conn.Write(p)
}

func (s *server) dial() (Conn, error) {
	return counted{Conn: Alone(s.answer, func() bool { return s.ended }), s: s}, nil
}

func one(t *testing.T, source string) *Conversation {
	t.Helper()
	all, err := parse("file.txt", "== title\n"+source)
	if err != nil {
		t.Fatal(err)
	}
	return &all[0]
}

func TestPlay(t *testing.T) {
	script := map[string]string{
		"hi":          "hello\r\n",
		"nothing":     "",
		"more":        "one\r\ntwo\r\n",
		"half":        "one\r\ntw",
		"unique":      "is 17\r\n",
		"again 17":    "yes\r\n",
		"data":        "a\nb{}\x00\xff\\\r\n",
		"a a a ":      "thrice\r\n",
		"version":     "VERSION 1.6.45\r\n",
		"two uniques": "1 2\r\n1 1\r\n",
	}
	f := func(source, wantErr string) {
		t.Helper()
		s := &server{script: script}
		err := one(t, source).Play(s.dial, Options{Version: "v1"})
		if err == nil && wantErr != "" || err != nil && (wantErr == "" || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%q: %v, want %q", source, err, wantErr)
		}
	}
	f("> hi\n< hello", "")
	f("> hi\n>> hi\\r\\n\n< hello\n<< hello\\r\\n", "")
	f("> nothing\n> hi\n< hello", "")
	f("> data\n<< a\\nb\\{}\\0\\xff\\\\\\r\\n", "")
	f("> {3*a }\n< thrice", "")
	f("> version\n< VERSION {*}", "")
	f("> version\n< {*}1.6{*}", "")
	f("> unique\n< is {n}\n> again {n}\n< yes\n> unique\n< is {n}", "")
	f("> two uniques\n< {a} {b}\n< {a} {a}", "")
	f("> quit\nhangup", "")
	f("2> hi\n> hi\n2< hello\n< hello", "")
	f("> hi\n< else\n@v1: because\n@v1< hello", "")
	f("> hi\n< hello\n@v2: because\n@v2< else", "")
	f("> nothing\n< else\n@v1: it is silent\n> hi\n< hello", "")
	f("> quit\n< else\n@v1: because\n@v1 hangup", "")

	f("> hi\n< help", `file.txt:3: title: want "help\r\n", got "hello\r\n"`)
	f("> hi\n< hello\n> half\n< one\n< two", `want "two\r\n", got "tw"`)
	f("> nothing\n< {*}", `want "{*}\r\n", got ""`)
	f("> version\n< VERSION {n}", `want "VERSION {n}\r\n", got "VERSION 1.6.45\r\n"`)
	f("> two uniques\n< {a} {b}\n< {a} {b}", `got "1 1\r\n"`)
	f("> unique\n< {n} is", `got "is 17\r\n"`)
	f("> again {n}\n< yes", `got "ERROR\r\n"`)
	f("> more\n< one", `at the end, connection 1: want "END\r\n", got "two\r\n`)
	f("2> more\n2< one", `at the end, connection 2: want "END\r\n", got "two\r\n`)
	f("> hi\nhangup", `want the end, got "hello\r\n"`)
	f("> nothing\nhangup", "still open")
	f("> quit\n< BYE", `want "BYE\r\n", got ""`)
}

func TestCutIntoPieces(t *testing.T) {
	f := func(source string, cut int, want string) {
		t.Helper()
		s := &server{script: map[string]string{"hello": "hi\r\n"}}
		if err := one(t, source).Play(s.dial, Options{Cut: cut}); err != nil {
			t.Fatal(err)
		}
		n := strings.Count(fmt.Sprint(s.pieces), " ") + 1
		if got := fmt.Sprint(s.pieces); want != "" && !strings.Contains(got, want) || n > maxPieces+100 {
			t.Errorf("cut %d: pieces of %.100s, want %s", cut, got, want)
		}
	}
	f("> hello\n< hi", 0, "[11 7 20]")
	f("> hello\n< hi", 3, "3 3 3 2 3 3 1")
	f("> hello\n< hi", 1, "1 1 1 1 1 1 1")
	f("> {100000*x}\n< ERROR", 1, " 25 25 25")
}

func TestSkip(t *testing.T) {
	c := one(t, "@v1 skip: not there\n@v2 uncut: by luck\n> hi\n< hello")
	if c.Skip("v1") != "not there" || c.Skip("v2") != "" || c.Uncut("v2") != "by luck" || c.Uncut("v1") != "" {
		t.Errorf("%+v", c)
	}
}

func TestLoad(t *testing.T) {
	f := func(source, wantErr string) {
		t.Helper()
		_, err := Load(fstest.MapFS{"a.txt": {Data: []byte(source)}})
		if err == nil && wantErr != "" || err != nil && (wantErr == "" || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%q: %v, want %q", source, err, wantErr)
		}
	}
	f("# nothing\n\n", "")
	f("== a\n> x\n\n== b\n> x\n< y\n", "")
	f("> x\n", "a.txt:1: \"> x\" stands before any title")
	f("== a\n< x\n", "a.txt:2: \"< x\" is heard before anything was said")
	f("== a\n> x\ny\n", "a.txt:3: \"y\" is nothing said or heard")
	f("== a\n> x\n< y\n@v1< z\n", "a.txt:1: a: v1 differs without a reason")
	f("== a\n> x\n@v1: why\n@v1 y\n", "is nothing said or heard")
	f("== a\n> \\q\n", "is no escape")
	f("== a\n> \\\n", "is no escape")
	f("== a\n> \\xg0\n", "invalid syntax")
	f("== a\n> {2*\\q}\n", "is no escape")
	f("== a\n> {x\n", "a brace is not closed")
	f("== a\n> {X1}\n", "{X1} means nothing")
	f("== a\n> {999999999*x}\n", "means nothing")
	f("== a\n> x\n== a\n> x\n", `a.txt:3: "a" is already the title at a.txt:1`)
	if _, err := Load(fstest.MapFS{}); err == nil {
		t.Error("no files, and no complaint")
	}
}
