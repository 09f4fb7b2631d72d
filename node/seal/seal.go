// Package seal seals datagrams: nobody else reads them, and each is good once at a receiver, for some seconds.
//
//	letter  1 | nonce 12 | AES-GCM( our cookie 8 | your cookie 8 | datagram )
//	stale   2 | nonce 12 | AES-GCM( our cookie 8 | nonce 12 of the letter that had none of our cookies )
//
// Whoever has recorded a letter can send it again later, and gossip would believe it: a member long gone would be alive. So a letter bears a cookie that its receiver has
// made up lately; each letter tells where it comes from which is good there. Who has no good one is told it in a stale, and sends the letter again.
// Who can take letters off the way, and write any sender on them, can have one go to another member as well, by the stale of that one: gossip is meant for all, and what is
// not names whom it is for.
// No clocks are compared, and a receiver keeps nothing of senders that it has not asked for.
package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"time"
)

const (
	kindLetter = 1
	kindStale  = 2

	nonceBytes  = 12
	tagBytes    = 16
	cookieBytes = 8

	// Overhead is how much longer a sealed datagram is.
	Overhead = 1 + nonceBytes + 2*cookieBytes + tagBytes

	// cookieLife is how long a cookie is told, and how much longer it is taken. Gossip remembers the dead for 30 s, so what is not older cannot bring one back.
	cookieLife = 10 * time.Second

	// maxRemembered bounds what is remembered of a cookie's time: letters received, and letters sent. A node sends and gets some ten a second, in a storm some hundred.
	// Of letters above it some pass twice, and some are not sent again.
	maxRemembered = 4096

	// maxCookies bounds the addresses whose cookies are known: four times as many members as there can be.
	maxCookies = 4096
)

// What is wrong with a datagram.
var (
	ErrForeign  = errors.New("sealed by no key of this cluster")
	ErrReplayed = errors.New("a copy of what came before")
	errStale    = errors.New("answers nothing that was sent")
)

// A nonce names a letter.
type nonce [nonceBytes]byte

// A sent letter may have to go again.
type sent struct {
	to       netip.AddrPort
	datagram []byte
	again    bool // it has
}

// An age is the time of one cookie of ours.
type age struct {
	cookie uint64
	began  time.Time
	seen   map[nonce]struct{}
	sent   map[nonce]sent
}

// A Seals seals what one node sends and opens what it gets.
type Seals struct {
	ciphers func() []cipher.AEAD

	mu      sync.Mutex // guards the rest
	now     age
	before  age                       // the one before; its cookie is 0 if that is too long ago
	cookies map[netip.AddrPort]uint64 // what others want to see
}

// New makes Seals. Of ciphers, asked for each datagram, the first seals and all open.
func New(ciphers func() []cipher.AEAD) *Seals {
	return &Seals{ciphers: ciphers, cookies: map[netip.AddrPort]uint64{}}
}

// Seal gives what to send instead of a datagram.
func (s *Seals) Seal(to netip.AddrPort, datagram []byte, now time.Time) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turnLocked(now)
	return s.sealLocked(to, datagram, false)
}

func (s *Seals) sealLocked(to netip.AddrPort, datagram []byte, again bool) []byte {
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 2*cookieBytes+len(datagram)), s.now.cookie)
	plain = binary.BigEndian.AppendUint64(plain, s.cookies[to])
	letter, n := s.close(kindLetter, append(plain, datagram...))
	if len(s.now.sent) < maxRemembered {
		s.now.sent[n] = sent{to, append([]byte(nil), datagram...), again}
	}
	return letter
}

// close encrypts. Nonces are random: each node's keys are the same.
func (s *Seals) close(kind byte, plain []byte) (whole []byte, n nonce) {
	_, _ = rand.Read(n[:]) // never fails
	whole = make([]byte, 1+nonceBytes, Overhead+len(plain))
	whole[0] = kind
	copy(whole[1:], n[:])
	return s.ciphers()[0].Seal(whole, n[:], plain, whole[:1]), n
}

// Opened is what came in a datagram: something for us, or something to send.
type Opened struct {
	Datagram []byte         // what was sealed; nil: nothing for us
	Reply    []byte         // to be sent to Whom; nil: nothing is
	Whom     netip.AddrPort // the sender, or to whom an earlier letter goes again
}

// Open reads what came from an address. The bytes may be anybody's, and so may the address. An error says why it is refused.
func (s *Seals) Open(from netip.AddrPort, letter []byte, now time.Time) (Opened, error) {
	if len(letter) < 1+nonceBytes {
		return Opened{}, ErrForeign
	}
	n, plain := nonce(letter[1:]), []byte(nil)
	err := error(ErrForeign)
	for _, c := range s.ciphers() {
		if plain, err = c.Open(nil, n[:], letter[1+nonceBytes:], letter[:1]); err == nil {
			break
		}
	}
	if err != nil {
		return Opened{}, ErrForeign
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turnLocked(now)
	switch {
	case letter[0] == kindLetter && len(plain) >= 2*cookieBytes:
		return s.readLocked(from, n, plain)
	case letter[0] == kindStale && len(plain) == cookieBytes+nonceBytes:
		return s.sendAgainLocked(plain)
	}
	return Opened{}, ErrForeign
}

func (s *Seals) readLocked(from netip.AddrPort, n nonce, plain []byte) (Opened, error) {
	theirs, ours := binary.BigEndian.Uint64(plain), binary.BigEndian.Uint64(plain[cookieBytes:])
	at := &s.now
	if ours != 0 && ours == s.before.cookie {
		at = &s.before
	}
	if ours != at.cookie {
		reply, _ := s.close(kindStale, append(binary.BigEndian.AppendUint64(nil, s.now.cookie), n[:]...))
		return Opened{Reply: reply, Whom: from}, nil
	}
	if _, seen := at.seen[n]; seen {
		return Opened{}, ErrReplayed
	}
	if len(at.seen) < maxRemembered {
		at.seen[n] = struct{}{}
	}
	s.learnLocked(from, theirs)
	return Opened{Datagram: plain[2*cookieBytes:]}, nil
}

// sendAgainLocked seals a letter with the cookie that its receiver has asked for. Once: that cookie is good for ten seconds.
func (s *Seals) sendAgainLocked(plain []byte) (Opened, error) {
	about := nonce(plain[cookieBytes:])
	letter, known := s.now.sent[about]
	if !known {
		letter, known = s.before.sent[about]
	}
	if !known || letter.again {
		return Opened{}, errStale
	}
	delete(s.now.sent, about)
	delete(s.before.sent, about)
	s.learnLocked(letter.to, binary.BigEndian.Uint64(plain))
	return Opened{Reply: s.sealLocked(letter.to, letter.datagram, true), Whom: letter.to}, nil
}

func (s *Seals) learnLocked(from netip.AddrPort, cookie uint64) {
	if _, known := s.cookies[from]; !known && len(s.cookies) >= maxCookies {
		clear(s.cookies) // all are told again
	}
	s.cookies[from] = cookie
}

// turnLocked makes up a new cookie when it is time.
func (s *Seals) turnLocked(now time.Time) {
	old := now.Sub(s.now.began)
	if s.now.cookie != 0 && old < cookieLife {
		return
	}
	if s.before = s.now; old >= 2*cookieLife {
		s.before = age{}
	}
	s.now = age{began: now, seen: map[nonce]struct{}{}, sent: map[nonce]sent{}}
	for s.now.cookie == 0 {
		var fresh [cookieBytes]byte
		_, _ = rand.Read(fresh[:]) // never fails
		s.now.cookie = binary.BigEndian.Uint64(fresh[:])
	}
}
