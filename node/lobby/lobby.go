// Package lobby bounds how many connections may be there whose other side has not yet shown who it is.
package lobby

import (
	"container/list"
	"sync"
)

// A Lobby has so many places. Who comes when all are taken has the one turned away that has been in there longest: a member is through within some milliseconds, so who
// keeps places without a word keeps out nobody but others of that kind.
type Lobby struct {
	places int

	mu     sync.Mutex // guards inside
	inside list.List  // of func(), in the order of their coming
}

// New makes a lobby of so many places, at least one.
func New(places int) *Lobby { return &Lobby{places: places} }

// Enter takes a place until leave is called, once or more often. turnAway is called if others need the place before that; it must not wait.
func (l *Lobby) Enter(turnAway func()) (leave func()) {
	l.mu.Lock()
	me := l.inside.PushBack(turnAway)
	var longest func()
	if l.inside.Len() > l.places {
		longest = l.inside.Remove(l.inside.Front()).(func())
	}
	l.mu.Unlock()
	if longest != nil {
		longest()
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.inside.Remove(me) // of no effect if it is out
	}
}
