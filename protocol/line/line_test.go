package line

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
)

func TestCut(t *testing.T) {
	f := func(buf string, limit int, wantText string, wantUsed int) {
		t.Helper()
		text, used := Cut([]byte(buf), limit)
		if string(text) != wantText || used != wantUsed {
			t.Errorf("Cut(%q, %d) = %q, %d; want %q, %d", buf, limit, text, used, wantText, wantUsed)
		}
	}
	f("", 10, "", 0)
	f("get a", 10, "", 0)
	f("get a\r", 10, "", 0)
	f("get a\r\n", 10, "get a", 7)
	f("get a\nget b\n", 10, "get a", 6)
	f("\n", 10, "", 1)
	f("\r\n", 10, "", 2)
	f("a\r\r\n", 10, "a\r", 4)
	f("a\rb\n", 10, "a\rb", 4)
	f("12345\n", 5, "12345", 6)
	f("123456\n", 5, "", 0)
	f("12345\r\n", 6, "12345", 7)
}

func TestWord(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		rest := []byte(text)
		for _, w := range want {
			var word []byte
			if word, rest = Word(rest); string(word) != w {
				t.Errorf("%q: word %q, want %q", text, word, w)
			}
		}
		if word, _ := Word(rest); len(word) != 0 {
			t.Errorf("%q: %q is too much", text, word)
		}
		last := ""
		if len(want) > 0 {
			last = want[len(want)-1]
		}
		if word := LastWord([]byte(text)); string(word) != last {
			t.Errorf("%q: last word %q, want %q", text, word, last)
		}
	}
	f("")
	f(" ")
	f("a", "a")
	f(" a ", "a")
	f("get a  b", "get", "a", "b")
	f("get\ta b\t ", "get\ta", "b\t")
	f("\x00 \r", "\x00", "\r")
}

func TestNumbers(t *testing.T) {
	u := func(word string, limit, want uint64, wantOK bool) {
		t.Helper()
		if n, ok := Uint([]byte(word), limit); ok != wantOK || ok && n != want {
			t.Errorf("Uint(%q, %d) = %d, %v; want %d, %v", word, limit, n, ok, want, wantOK)
		}
	}
	u("0", math.MaxUint64, 0, true)
	u("007", math.MaxUint64, 7, true)
	u("18446744073709551615", math.MaxUint64, math.MaxUint64, true)
	u("18446744073709551616", math.MaxUint64, 0, false)
	u("99999999999999999999", math.MaxUint64, 0, false)
	u("0018446744073709551615", math.MaxUint64, math.MaxUint64, true)
	u("00018446744073709551615", math.MaxUint64, 0, false) // 23 digits
	u("4294967295", math.MaxUint32, math.MaxUint32, true)
	u("4294967296", math.MaxUint32, 0, false)
	u("7", 5, 0, false)
	u("5", 5, 5, true)
	u("", 5, 0, false)
	for _, bad := range []string{"-1", "+1", "1x", "x1", " 1", "1 ", "1\r", "0x1", "1.0", "\x00", "٣"} {
		u(bad, math.MaxUint64, 0, false)
	}

	i := func(word string, want int64, wantOK bool) {
		t.Helper()
		if n, ok := Int([]byte(word), math.MaxInt32); ok != wantOK || ok && n != want {
			t.Errorf("Int(%q) = %d, %v; want %d, %v", word, n, ok, want, wantOK)
		}
	}
	i("0", 0, true)
	i("-0", 0, true)
	i("-1", -1, true)
	i("2147483647", math.MaxInt32, true)
	i("-2147483648", math.MinInt32, true)
	i("2147483648", 0, false)
	i("-2147483649", 0, false)
	for _, bad := range []string{"", "-", "--1", "+1", "1-", "x"} {
		i(bad, 0, false)
	}
}

func TestBlock(t *testing.T) {
	f := func(buf string, n int, want string, wantOK bool) {
		t.Helper()
		if data, ok := Block([]byte(buf), n); string(data) != want || ok != wantOK || cap(data) != n {
			t.Errorf("Block(%q, %d) = %q (cap %d), %v", buf, n, data, cap(data), ok)
		}
	}
	f("\r\n", 0, "", true)
	f("ab\r\nget", 2, "ab", true)
	f("\r\n\r\n", 2, "\r\n", true)
	f("abcd", 2, "ab", false)
	f("ab\n\r", 2, "ab", false)
	f("ab\r\r", 2, "ab", false)
}

// Every status that is an error has an error line, and none more than one.
func TestAppendError(t *testing.T) {
	f := func(status protocol.Status, message, want string) {
		t.Helper()
		if got := AppendError([]byte("x"), status, []byte(message)); string(got) != "x"+want+"\r\n" {
			t.Errorf("status %d: %q, want %q", status, got, want)
		}
	}
	f(protocol.UnknownCommand, "", "ERROR")
	f(protocol.BadFormat, "", "CLIENT_ERROR bad command line format")
	f(protocol.TooLarge, "", "SERVER_ERROR object too large for cache")
	f(protocol.PeerTimeout, "", "SERVER_ERROR peer timeout")
	f(protocol.PeerLost, "", "SERVER_ERROR peer unreachable")
	f(protocol.PeerOverloaded, "", "SERVER_ERROR peer overloaded")
	f(protocol.PeerMoved, "n2", "SERVER_ERROR partition is moving")
	f(protocol.ClientError, "no", "CLIENT_ERROR no")
	f(protocol.Pipelined, "watch", "ERROR cannot pipeline other commands before watch")
	f(protocol.ServerError, "why\r\nSTORED", "SERVER_ERROR why")
	f(protocol.ServerError, "", "SERVER_ERROR ")
	f(protocol.Unset, "", "SERVER_ERROR no answer")

	for status := protocol.Unset; status.Known(); status++ {
		got := AppendError(nil, status, []byte("m"))
		if !bytes.HasSuffix(got, []byte("\r\n")) || bytes.Count(got, []byte("\n")) != 1 || !bytes.Contains(got, []byte("ERROR")) {
			t.Errorf("status %d: %q is not one error line", status, got)
		}
		outcome := status < protocol.UnknownCommand
		if strings.Contains(string(got), "no answer") != outcome {
			t.Errorf("status %d: %q", status, got)
		}
	}
}

// Uint agrees with strconv wherever both take a word; words are what they are made of.
func FuzzLine(f *testing.F) {
	f.Add("set k 0 -1 5\r\n")
	f.Add("18446744073709551616\n")
	f.Add("  a \r b\n")
	f.Fuzz(func(t *testing.T, in string) {
		text, used := Cut([]byte(in), MaxBytes)
		if used > len(in) || used > 0 && in[used-1] != '\n' {
			t.Fatalf("Cut(%q) used %d", in, used)
		}
		var words []string
		for rest := text; ; {
			var word []byte
			if word, rest = Word(rest); len(word) == 0 {
				break
			}
			words = append(words, string(word))
		}
		want := strings.FieldsFunc(string(text), func(r rune) bool { return r == ' ' })
		if strings.Join(words, " ") != strings.Join(want, " ") {
			t.Fatalf("%q: words %q, want %q", text, words, want)
		}
		for _, word := range words {
			n, ok := Uint([]byte(word), math.MaxUint64)
			reference, err := strconv.ParseUint(word, 10, 64)
			if ok && (err != nil || n != reference) || !ok && err == nil && len(word) <= maxDigits {
				t.Fatalf("Uint(%q) = %d, %v; strconv: %d, %v", word, n, ok, reference, err)
			}
		}
	})
}

func TestNothingAllocated(t *testing.T) {
	buf, dst := []byte("set some:key 0 86400 100 noreply\r\n"), make([]byte, 0, 100)
	n := testing.AllocsPerRun(100, func() {
		text, _ := Cut(buf, MaxBytes)
		_, rest := Word(text)
		_, rest = Word(rest)
		Uint(LastWord(rest), math.MaxUint64)
		dst = AppendError(dst[:0], protocol.ServerError, text)
	})
	if n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}

func BenchmarkWords(b *testing.B) {
	buf := []byte("set some:key:of:usual:length 0 86400 100\r\n")
	for b.Loop() {
		text, _ := Cut(buf, MaxBytes)
		for word, rest := Word(text); len(word) > 0; word, rest = Word(rest) {
		}
	}
}

func BenchmarkUint(b *testing.B) {
	word := []byte("1234567890")
	for b.Loop() {
		Uint(word, math.MaxUint64)
	}
}
