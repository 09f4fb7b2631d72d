// Package login tells who may come in: users, and the exchanges by which a client proves to be one of them.
//
//	file.go      "user:password" lines, in clear or hashed ---> Users
//	grant.go     what a user may ask for
//	edit.go      lines that are added, changed and taken out
//	key.go       what is kept of a password
//	exchange.go  SASL's steps: PLAIN, SCRAM-SHA-256, CRAM-MD5
//
// What is answered, and the time it takes, are the same for a user nobody knows and for a wrong password.
package login

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Config is what one can choose about logins.
type Config struct {
	// Mechanisms are those of SASL that are offered on the binary wire: Plain, Scram, Cram. None: nobody logs in there.
	Mechanisms []string

	// Fields makes a colon end a password, too, so that more may follow it: as memcached reads MEMCACHED_SASL_PWDB. What stands up to the end of
	// the line is the password as well.
	Fields bool

	// Refresh is called before each login, from any goroutine: it may Load what has changed, as memcached reads MEMCACHED_SASL_PWDB anew each
	// time. nil: nothing.
	Refresh func()

	// Hold calls answer, from any goroutine, after some tenths of a second: a wrong password is not told at once, so that guessing takes its
	// time. nil: at once.
	Hold func(answer func())
}

// The mechanisms there are. Cram is of old (RFC 2195), and only for users whose password is known in clear: offer it to those who need it.
const (
	Plain = "PLAIN"
	Scram = "SCRAM-SHA-256"
	Cram  = "CRAM-MD5"
)

func allMechanisms() []string { return []string{Plain, Scram, Cram} }

// A User is one who has come in, by one of its passwords. One goroutine at a time uses it.
type User struct {
	Name string

	users  *Users
	digest digest // of the password
	seen   uint64 // the number of the list that grant is from
	grant  *Grant
}

// Grant is what the user may ask for by now: a Load takes effect at once. It is nil when what it has come in by is gone, the user or that password;
// then it is nobody any more.
func (u *User) Grant() *Grant {
	if l := u.users.known.Load(); l.number != u.seen {
		u.grant, u.seen = l.grantOf(u), l.number
	}
	return u.grant
}

func (l *list) grantOf(u *User) *Grant {
	accounts := l.accounts[u.Name]
	for i := range accounts {
		if accounts[i].digest == u.digest {
			return &accounts[i].grant
		}
	}
	return nil
}

// enters gives the user who has come in by an account of the list.
func (u *Users) enters(name string, l *list, a *account) *User {
	return &User{Name: name, users: u, digest: a.digest, seen: l.number, grant: &a.grant}
}

// Users are all of them. Many sessions use them at once.
type Users struct {
	cfg   Config
	known atomic.Pointer[list]
	loads atomic.Uint64 // how many there were
	stats Stats

	// secret makes up what is told of users that nobody knows, and keeps passwords comparable in constant time. It is new in every process.
	secret [sha256.Size]byte

	// deriving holds one element for each derivation of keys under way. Each takes some milliseconds of a processor, which anybody may ask
	// for: those who are in already shall have the others.
	deriving chan struct{}
}

// maxDeriving bounds the derivations at a time. Who has to wait for one waits for as many as there are connections, at most.
const maxDeriving = 2

// Stats are counted since the start: a login that is under way is counted once it has ended.
type Stats struct {
	Cmds     atomic.Uint64 // logins tried, auth_cmds
	Errors   atomic.Uint64 // those refused, auth_errors
	Lockouts atomic.Uint64 // conversations ended since they had too many of these
	Denied   atomic.Uint64 // commands refused, of users who may not ask that
}

// Reset begins to count again.
func (s *Stats) Reset() {
	s.Cmds.Store(0)
	s.Errors.Store(0)
	s.Lockouts.Store(0)
	s.Denied.Store(0)
}

// New gives users of whom nobody is known yet: see Load.
func New(cfg Config) (*Users, error) {
	for _, m := range cfg.Mechanisms {
		if !slices.Contains(allMechanisms(), m) {
			return nil, fmt.Errorf("no mechanism to log in: %q", m)
		}
	}
	u := &Users{cfg: cfg, deriving: make(chan struct{}, maxDeriving)}
	_, _ = rand.Read(u.secret[:]) // never fails
	u.known.Store(newList())
	return u, nil
}

// Load makes the lines of a file (see Lines) all the users there are. After an error, which names the line but not what it says, they are who
// they were. Who is in stays in as long as the password is there by which it came in, with what is granted by now: see User.Grant.
//
// With Scram offered it takes about a millisecond for each password in clear.
func (u *Users) Load(file []byte) error {
	l, err := parse(file, u.cfg.Fields)
	if err != nil {
		return err
	}
	for name, accounts := range l.accounts {
		for i := range accounts {
			if a := &accounts[i]; !a.hashed {
				a.digest = u.digest(a.password)
				if u.offers(Scram) {
					a.keys = u.derive(a.password, u.salt(name), clearIterations)
				}
			}
		}
	}
	l.number = u.loads.Add(1)
	u.known.Store(l)
	return nil
}

// Len counts the users.
func (u *Users) Len() int { return len(u.known.Load().accounts) }

// Stats gives the live counters.
func (u *Users) Stats() *Stats { return &u.stats }

// Mechanisms names what is offered, with blanks between, in the order of preference.
func (u *Users) Mechanisms() string { return strings.Join(u.cfg.Mechanisms, " ") }

func (u *Users) offers(mechanism string) bool { return slices.Contains(u.cfg.Mechanisms, mechanism) }

// Refuse calls answer when a client may be told that it has not come in.
func (u *Users) Refuse(answer func()) {
	if u.cfg.Hold == nil {
		answer()
		return
	}
	u.cfg.Hold(answer)
}

// ByWords logs in by "user password", as on the text wire. Of what it cannot read memcached takes no count.
func (u *Users) ByWords(words []byte) (user *User, readable bool) {
	name, password, readable := bytes.Cut(words, []byte{' '})
	if !readable {
		return nil, false
	}
	u.refresh()
	return u.count(u.byPassword(name, password)), true
}

func (u *Users) refresh() {
	if u.cfg.Refresh != nil {
		u.cfg.Refresh()
	}
}

// count counts a login that has ended, with user in or nobody.
func (u *Users) count(user *User) *User {
	u.stats.Cmds.Add(1)
	if user == nil {
		u.stats.Errors.Add(1)
	}
	return user
}

// byPassword gives the user of that name and password; nil if there is none.
func (u *Users) byPassword(name, password []byte) (user *User) {
	l := u.known.Load()
	accounts := l.accounts[string(name)]
	digest := u.digest(password)
	derived := false
	for i := range accounts {
		a := &accounts[i]
		same := false
		if a.hashed {
			keys := u.derive(password, []byte(a.keys.Salt), a.keys.Iters)
			same, derived = subtle.ConstantTimeCompare(keys.StoredKey, a.keys.StoredKey) == 1, true
		} else {
			same = hmac.Equal(digest[:], a.digest[:])
		}
		if same && user == nil {
			user = u.enters(string(name), l, a)
		}
	}
	if l.hashed && !derived {
		u.derive(password, u.salt(string(name)), l.iterations) // for the time it takes
	}
	if len(accounts) == 0 {
		hmac.Equal(digest[:], u.secret[:])
	}
	return user
}
