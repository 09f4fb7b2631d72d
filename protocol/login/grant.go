package login

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/memring/memring/protocol"
)

// A Grant is what a user may ask for.
type Grant struct {
	Rights   protocol.Rights // always with Public and Common
	Prefixes []string        // of the keys that Read and Write are for; none: all keys. What Admin is for has no key
}

// everything is granted to whom a line says nothing else of, as to memcached's users.
func everything() Grant { return Grant{Rights: protocol.AllRights} }

// Unlimited reports whether it is for all that a client may ask at all.
func (g *Grant) Unlimited() bool { return g.Rights == protocol.AllRights && len(g.Prefixes) == 0 }

// Allows reports whether req may be asked. Explain concerns a key as well, though it is not sent to its owner alone; and Export shows all keys.
func (g *Grant) Allows(req *protocol.Request) bool {
	switch {
	case req.Needs()&^g.Rights != 0:
		return false
	case req.Op == protocol.Export:
		return len(g.Prefixes) == 0
	case req.Op.Keyed(), req.Op == protocol.Explain:
		return g.Covers(req.Key)
	}
	return true
}

// Covers reports whether a key is one of those that the grant is for.
func (g *Grant) Covers(key []byte) bool {
	for _, prefix := range g.Prefixes {
		if len(key) >= len(prefix) && string(key[:len(prefix)]) == prefix {
			return true
		}
	}
	return len(g.Prefixes) == 0
}

// What a line may say behind a hashed password, each between blanks.
const (
	rightsWord = "rights=" // of read, write, admin, with commas; at least one
	prefixWord = "prefix=" // %XX for a byte that cannot stand there (RFC 3986); as often as there are prefixes
)

// A rightName is how a right is called in files and flags.
type rightName struct {
	name  string
	right protocol.Rights
}

func rightNames() []rightName {
	return []rightName{{"read", protocol.Read}, {"write", protocol.Write}, {"admin", protocol.Admin}}
}

// NewGrant gives what words for rights and prefixes of keys grant. Without rights it is all of them, or with prefixes, read and write.
func NewGrant(rights, prefixes []string) (Grant, error) {
	g := Grant{Rights: protocol.Public | protocol.Common}
	for _, word := range rights {
		found := false
		for _, r := range rightNames() {
			if r.name == word {
				g.Rights, found = g.Rights|r.right, true
			}
		}
		if !found {
			return Grant{}, errors.New("a right is one of read, write and admin")
		}
	}
	if len(rights) == 0 {
		if g.Rights |= protocol.Read | protocol.Write; len(prefixes) == 0 {
			g.Rights |= protocol.Admin
		}
	}
	for _, prefix := range prefixes {
		if prefix == "" || len(prefix) > protocol.MaxKeyBytes {
			return Grant{}, fmt.Errorf("a prefix has 1 to %d bytes", protocol.MaxKeyBytes)
		}
		g.Prefixes = append(g.Prefixes, prefix)
	}
	return g, nil
}

// parseGrant reads the words behind a hashed password. One that it does not know is an error: it might say that the user may do less.
func parseGrant(words []byte) (Grant, error) {
	var rights, prefixes []string
	for word := range bytes.SplitSeq(words, []byte{' '}) {
		said := string(word)
		switch {
		case said == "":
		case strings.HasPrefix(said, rightsWord) && rights == nil:
			rights = strings.Split(said[len(rightsWord):], ",")
		case strings.HasPrefix(said, prefixWord):
			prefix, err := url.PathUnescape(said[len(prefixWord):])
			if err != nil {
				return Grant{}, errors.New("in a prefix % stands before two hexadecimal digits")
			}
			prefixes = append(prefixes, prefix)
		default:
			return Grant{}, fmt.Errorf("behind the password stand only %s, once, and %s", rightsWord, prefixWord)
		}
	}
	return NewGrant(rights, prefixes)
}

// RightNames names what is granted beside Public and Common, with commas between.
func (g *Grant) RightNames() string {
	var names []string
	for _, r := range rightNames() {
		if g.Rights&r.right != 0 {
			names = append(names, r.name)
		}
	}
	return strings.Join(names, ",")
}

// words are how a line says it.
func (g *Grant) words() string {
	text := rightsWord + g.RightNames()
	for _, prefix := range g.Prefixes {
		text += " " + prefixWord + url.PathEscape(prefix)
	}
	return text
}
