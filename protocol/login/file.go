package login

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A list is what a file says of its users. It does not change once it is in use.
type list struct {
	number     uint64               // of the Load that has brought it
	accounts   map[string][]account // by name; several of one name are several passwords of that user
	hashed     bool                 // whether any of them is
	iterations int                  // what a user nobody knows is said to have: as those who are hashed, so that it cannot be told from them
}

// An account is a name with one of its passwords, in clear or hashed.
type account struct {
	password []byte // in clear
	hashed   bool   // only keys are known
	digest   digest // by which this password is told from others: in this process, or if it is hashed anywhere
	keys     keys   // of a password in clear only if Scram is offered
	grant    Grant
}

func newList() *list { return &list{accounts: map[string][]account{}, iterations: clearIterations} }

// maxFileBytes bounds a file of users: some hundred thousand of them. Whoever has more has another way to keep them.
const maxFileBytes = 16 << 20

// A Line is what one line of a file says.
type Line struct {
	Name   string
	Hashed bool // whether its password is
	Grant  Grant

	password []byte // in clear
	keys     keys   // if it is hashed
	text     []byte // as it stands there, with its end
}

// Lines reads a file. Its lines end in LF or CR LF, the last perhaps in neither; empty ones are nothing.
//
//	user:password                                                  all rights
//	user:SCRAM-SHA-256$... rights=read,write prefix=a: prefix=b:   as Add writes it; see NewGrant for what may be left out
//
// The name ends at the first colon. A password in clear ends with the line, so nothing can stand behind it: these are memcached's rules for its -Y,
// but for any number of users and longer lines.
func Lines(file []byte) (lines []Line, err error) {
	if len(file) > maxFileBytes {
		return nil, fmt.Errorf("%d bytes of users are more than %d", len(file), maxFileBytes)
	}
	number := 0
	for text := range bytes.Lines(file) {
		number++
		said := bytes.TrimRight(text, "\r\n")
		if len(said) == 0 {
			continue
		}
		l, err := parseLine(said)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		l.text = text
		lines = append(lines, l)
	}
	return lines, nil
}

func parseLine(said []byte) (l Line, err error) {
	name, password, ok := bytes.Cut(said, []byte{':'})
	if !ok || len(name) == 0 {
		return l, errors.New(`not "user:password"`)
	}
	l = Line{Name: string(name), password: password, Grant: everything()}
	if l.Hashed = bytes.HasPrefix(password, []byte(hashPrefix)); !l.Hashed {
		return l, nil
	}
	hash, words, _ := bytes.Cut(password, []byte{' '})
	l.password = nil
	if l.keys, err = parseHash(string(hash)); err == nil {
		l.Grant, err = parseGrant(words)
	}
	return l, err
}

// parse makes a list of the lines of a file. With fields see Config.Fields.
func parse(file []byte, fields bool) (*list, error) {
	lines, err := Lines(file)
	if err != nil {
		return nil, err
	}
	l := newList()
	for i := range lines {
		said := &lines[i]
		a := account{password: bytes.Clone(said.password), hashed: said.Hashed, keys: said.keys, grant: said.Grant}
		if a.hashed {
			copy(a.digest[:], a.keys.StoredKey)
			if !l.hashed {
				l.hashed, l.iterations = true, a.keys.Iters
			}
		}
		l.accounts[said.Name] = append(l.accounts[said.Name], a)
		if field, _, more := bytes.Cut(a.password, []byte{':'}); more && fields {
			l.accounts[said.Name] = append(l.accounts[said.Name], account{password: field, grant: said.Grant})
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
