package login

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/memring/memring/protocol"
)

// Errors of who changes a file.
var (
	ErrUserThere  = errors.New("there is such a user already")
	ErrUserAbsent = errors.New("there is no such user")
)

// Add gives the file with one more user, whose password is hashed.
func Add(file []byte, name string, password []byte, grant Grant) (changed []byte, err error) {
	switch lines, err := Lines(file); {
	case err != nil:
		return nil, err
	case index(lines, name) >= 0:
		return nil, ErrUserThere
	}
	text, err := lineOf(name, password, grant)
	if err != nil {
		return nil, err
	}
	if len(file) > 0 && file[len(file)-1] != '\n' {
		file = append(bytes.Clone(file), '\n')
	}
	return append(bytes.Clone(file), text...), nil
}

// SetPassword gives the file with another password for a user, hashed, in the place of all that it has. What it may do stays, as its first line says it.
func SetPassword(file []byte, name string, password []byte) (changed []byte, err error) {
	lines, err := Lines(file)
	if err != nil {
		return nil, err
	}
	at := index(lines, name)
	if at < 0 {
		return nil, ErrUserAbsent
	}
	text, err := lineOf(name, password, lines[at].Grant)
	if err != nil {
		return nil, err
	}
	for i := range lines {
		switch {
		case i == at:
			changed = append(changed, text...)
		case lines[i].Name != name:
			changed = append(changed, lines[i].text...)
		}
	}
	return changed, nil
}

// Remove gives the file without a user, however many passwords it has.
func Remove(file []byte, name string) (changed []byte, err error) {
	lines, err := Lines(file)
	if err != nil {
		return nil, err
	}
	if index(lines, name) < 0 {
		return nil, ErrUserAbsent
	}
	for i := range lines {
		if lines[i].Name != name {
			changed = append(changed, lines[i].text...)
		}
	}
	return changed, nil
}

func index(lines []Line, name string) int {
	for i := range lines {
		if lines[i].Name == name {
			return i
		}
	}
	return -1
}

// lineOf makes a line that Lines can read, for a user who can log in on every wire: on that of lines the name ends at a blank, and name and password
// go into one data block.
func lineOf(name string, password []byte, grant Grant) (text []byte, err error) {
	switch {
	case name == "" || !utf8.ValidString(name) || strings.ContainsRune(name, ':') || strings.ContainsFunc(name, notInNames):
		return nil, errors.New("a name has neither blanks nor colons nor control characters")
	case len(name)+1+len(password) > protocol.MaxLoginBytes:
		return nil, fmt.Errorf("name and password have more than %d bytes", protocol.MaxLoginBytes-1)
	}
	hash, err := Hash(password)
	if err != nil {
		return nil, err
	}
	return []byte(name + ":" + hash + " " + grant.words() + "\n"), nil
}

func notInNames(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
