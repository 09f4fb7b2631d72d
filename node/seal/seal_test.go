package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"net/netip"
	"testing"
	"testing/quick"
	"time"
)

func gcm(t testing.TB, key byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	c, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func with(ciphers ...cipher.AEAD) *Seals { return New(func() []cipher.AEAD { return ciphers }) }

var (
	addrA, addrB = netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	start        = time.Unix(1000, 0)
)

// A world is two who write to each other.
type world struct {
	t    *testing.T
	a, b *Seals
	now  time.Time
	wire [][]byte // all that a has sent
}

func newWorld(t *testing.T) *world {
	return &world{t: t, a: with(gcm(t, 1)), b: with(gcm(t, 1)), now: start}
}

// send has a write to b, and gives what arrives, and how many datagrams that took.
func (w *world) send(text string) (got string, datagrams int) {
	w.t.Helper()
	letter := w.a.Seal(addrB, []byte(text), w.now)
	for range 5 {
		w.wire = append(w.wire, letter)
		datagrams++
		opened, err := w.b.Open(addrA, letter, w.now)
		if err != nil {
			w.t.Fatalf("%s: %v", text, err)
		}
		if opened.Datagram != nil {
			return string(opened.Datagram), datagrams
		}
		if opened.Reply == nil || opened.Whom != addrA {
			w.t.Fatalf("%s: neither read nor asked for again", text)
		}
		datagrams++
		if opened, err = w.a.Open(addrB, opened.Reply, w.now); err != nil || opened.Whom != addrB {
			w.t.Fatalf("%s: %+v, %v", text, opened, err)
		}
		letter = opened.Reply
	}
	return "", datagrams
}

func TestLettersArrive(t *testing.T) {
	w := newWorld(t)
	f := func(after time.Duration, want int) {
		t.Helper()
		w.now = w.now.Add(after)
		text := w.now.String()
		if got, n := w.send(text); got != text || n != want {
			t.Errorf("got %q in %d datagrams, want %d", got, n, want)
		}
	}
	f(0, 3) // a cookie has to be asked for
	f(time.Second, 1)
	f(8*time.Second, 1)
	f(2*time.Second, 1) // b has a new one, and takes the old one still
	f(10*time.Second, 3)
	f(time.Hour, 3)

	// Who is written to learns the cookie by that.
	letter := w.b.Seal(addrA, []byte("back"), w.now)
	if opened, err := w.a.Open(addrB, letter, w.now); err != nil || string(opened.Datagram) != "back" {
		t.Errorf("%+v, %v", opened, err)
	}
}

// Whatever was recorded is never read again: not at once, not later, not by others, not by a later start of its receiver.
func TestReplaysAreWorthNothing(t *testing.T) {
	w := newWorld(t)
	for n := range 5 {
		w.send(fmt.Sprint(n))
		w.now = w.now.Add(3 * time.Second)
	}
	again, other := with(gcm(t, 1)), with(gcm(t, 1))
	for step := range 40 {
		for n, letter := range w.wire {
			for name, at := range map[string]*Seals{"b": w.b, "b started again": again, "another": other, "a": w.a} {
				for _, from := range []netip.AddrPort{addrA, addrB} {
					if opened, _ := at.Open(from, letter, w.now); opened.Datagram != nil {
						t.Fatalf("letter %d is read once more by %s, after %d s", n, name, step)
					}
				}
			}
		}
		w.now = w.now.Add(time.Second)
	}
	if got, _ := w.send("new"); got != "new" {
		t.Errorf("%q after all that", got)
	}
}

// A stale is good once, and for what was sent: else whoever has recorded one could have letters sent.
func TestStalesAreGoodOnce(t *testing.T) {
	w := newWorld(t)
	opened, err := w.b.Open(addrA, w.a.Seal(addrB, []byte("x"), w.now), w.now)
	if err != nil || opened.Reply == nil {
		t.Fatalf("%+v, %v", opened, err)
	}
	for n := range 3 {
		if sent, err := w.a.Open(addrB, opened.Reply, w.now); (sent.Reply != nil) != (n == 0) || (err == nil) != (n == 0) {
			t.Errorf("the %d. time: %+v, %v", n+1, sent, err)
		}
	}
}

func TestForeignLettersAreRefused(t *testing.T) {
	w := newWorld(t)
	w.send("known")
	f := func(name string, letter []byte) {
		t.Helper()
		if opened, err := w.b.Open(addrA, letter, w.now); err != ErrForeign || opened.Datagram != nil || opened.Reply != nil {
			t.Errorf("%s: %+v, %v", name, opened, err)
		}
	}
	f("plain bytes", []byte("hello, this is long enough to be something"))
	f("another key", with(gcm(t, 2)).Seal(addrB, []byte("x"), w.now))
	good := w.a.Seal(addrB, []byte("a good letter"), w.now)
	for n := range good {
		f(fmt.Sprintf("cut at %d", n), good[:n])
		changed := bytes.Clone(good)
		changed[n] ^= 0x40
		f(fmt.Sprintf("changed at %d", n), changed)
	}
	if opened, err := w.b.Open(addrA, good, w.now); err != nil || string(opened.Datagram) != "a good letter" {
		t.Errorf("%+v, %v", opened, err)
	}
	if err := quick.Check(func(letter []byte) bool {
		opened, err := w.b.Open(addrA, letter, w.now)
		return err != nil && opened.Datagram == nil && opened.Reply == nil
	}, nil); err != nil {
		t.Error(err)
	}
}

// Keys are replaced without a letter lost: the new one is known to all before anybody uses it.
func TestKeysAreReplaced(t *testing.T) {
	w := newWorld(t)
	first, second := gcm(t, 1), gcm(t, 2)
	for n, step := range [][2][]cipher.AEAD{
		{{first, second}, {first}}, {{first, second}, {first, second}}, {{second, first}, {first, second}}, {{second}, {second, first}}, {{second}, {second}},
	} {
		w.a.ciphers = func() []cipher.AEAD { return step[0] }
		w.b.ciphers = func() []cipher.AEAD { return step[1] }
		w.now = w.now.Add(25 * time.Second) // b asks, too
		if got, _ := w.send("text"); got != "text" {
			t.Errorf("step %d: %q", n, got)
		}
	}
}

// What is kept has bounds, and letters still arrive when they are reached.
func TestSealsKeepOnlySoMuch(t *testing.T) {
	w := newWorld(t)
	for n := range 2 * maxRemembered {
		w.b.Seal(netip.AddrPortFrom(addrA.Addr(), uint16(n)), []byte("x"), w.now)
		if got, _ := w.send("x"); n < maxRemembered/2 && got != "x" {
			t.Fatalf("%d: %q", n, got)
		}
	}
	for n := range 2 * maxCookies {
		w.b.mu.Lock()
		w.b.learnLocked(netip.AddrPortFrom(addrB.Addr(), uint16(n)), 1)
		w.b.mu.Unlock()
	}
	if len(w.b.now.seen) > maxRemembered || len(w.b.now.sent) > maxRemembered || len(w.b.cookies) > maxCookies {
		t.Errorf("%d seen, %d sent, %d cookies", len(w.b.now.seen), len(w.b.now.sent), len(w.b.cookies))
	}
}

func TestOverhead(t *testing.T) {
	letter := with(gcm(t, 1)).Seal(addrB, make([]byte, 100), start)
	if len(letter) != 100+Overhead {
		t.Errorf("%d bytes, want %d", len(letter), 100+Overhead)
	}
}
