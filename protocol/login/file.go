package login

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A list is what a file says of its users. It does not change once it is in use.
type list struct {
	accounts   map[string][]account // by name; several of one name are several passwords of that user
	hashed     bool                 // whether any of them is
	iterations int                  // what a user nobody knows is said to have: as those who are hashed, so that it cannot be told from them
}

// An account is a name with one of its passwords, in clear or hashed.
type account struct {
	password []byte // in clear
	digest   digest // of it, in this process
	hashed   bool   // only keys are known
	keys     keys   // of a password in clear only if Scram is offered
}

func newList() *list { return &list{accounts: map[string][]account{}, iterations: clearIterations} }

// maxFileBytes bounds a file of users: some hundred thousand of them. Whoever has more has another way to keep them.
const maxFileBytes = 16 << 20

// parse reads lines "user:password", which end in LF or CR LF, the last perhaps in neither; empty ones are nothing. A password that begins
// with "SCRAM-SHA-256$" is a hashed one, as Hash makes it. The name ends at the first colon, and the password with the line: memcached's rules
// for its -Y, but for any number of users and longer lines. With fields see Config.Fields.
func parse(file []byte, fields bool) (*list, error) {
	if len(file) > maxFileBytes {
		return nil, fmt.Errorf("%d bytes of users are more than %d", len(file), maxFileBytes)
	}
	l, number := newList(), 0
	for text := range bytes.Lines(file) {
		number++
		text = bytes.TrimRight(text, "\r\n")
		if len(text) == 0 {
			continue
		}
		name, password, ok := bytes.Cut(text, []byte{':'})
		if !ok || len(name) == 0 {
			return nil, fmt.Errorf("line %d: not \"user:password\"", number)
		}
		a := account{password: bytes.Clone(password)}
		if a.hashed = bytes.HasPrefix(password, []byte(hashPrefix)); a.hashed {
			var err error
			if a.keys, err = parseHash(string(password)); err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			a.password = nil
			if !l.hashed {
				l.hashed, l.iterations = true, a.keys.Iters
			}
		}
		l.accounts[string(name)] = append(l.accounts[string(name)], a)
		if field, _, more := bytes.Cut(a.password, []byte{':'}); more && fields {
			l.accounts[string(name)] = append(l.accounts[string(name)], account{password: field})
		}
	}
	return l, nil
}

// MechanismsOf reads what a file of SASL's settings says may be used to log in, "mech_list: plain cram-md5", as far as we know it. given is
// false if it says nothing of that.
func MechanismsOf(settings []byte) (mechanisms []string, given bool) {
	for text := range strings.Lines(string(settings)) {
		name, value, _ := strings.Cut(text, ":")
		if strings.TrimSpace(name) != "mech_list" {
			continue
		}
		given, mechanisms = true, nil
		for _, m := range strings.Fields(strings.ToUpper(value)) {
			if slices.Contains(allMechanisms(), m) && !slices.Contains(mechanisms, m) {
				mechanisms = append(mechanisms, m)
			}
		}
	}
	return mechanisms, given
}
