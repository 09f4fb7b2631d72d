// Package lobby bounds what connections cost whose other side has not yet shown who it is: how many there are, and how many compute.
package lobby

import (
	"container/list"
	"sync"
)

// A Lobby has so many places. When all are taken and one more comes, somebody is turned away: of those from the address that has the most places, who has been in there
// longest. A member is through within some milliseconds. So who keeps places without a word, or comes again and again, keeps out nobody but others of that kind, and those of
// the same address.
type Lobby struct {
	places int

	mu     sync.Mutex // guards inside
	inside list.List  // of guest, in the order of their coming
}

// A guest is one who has a place.
type guest struct {
	from     string
	turnAway func()
}

// New makes a lobby of so many places, at least one.
func New(places int) *Lobby { return &Lobby{places: places} }

// Enter takes a place until leave is called, once or more often, for who comes from an address, of which the port is not a part. turnAway is called if others need the place
// before that; it must not wait.
func (l *Lobby) Enter(from string, turnAway func()) (leave func()) {
	l.mu.Lock()
	me := l.inside.PushBack(guest{from, turnAway})
	var out func()
	if l.inside.Len() > l.places {
		out = l.inside.Remove(l.longestOfMostLocked()).(guest).turnAway
	}
	l.mu.Unlock()
	if out != nil {
		out()
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.inside.Remove(me) // of no effect if it is out
	}
}

// longestOfMostLocked gives who is to go.
func (l *Lobby) longestOfMostLocked() *list.Element {
	places, most := map[string]int{}, 0
	for e := l.inside.Front(); e != nil; e = e.Next() {
		from := e.Value.(guest).from
		places[from]++
		most = max(most, places[from])
	}
	e := l.inside.Front()
	for places[e.Value.(guest).from] < most {
		e = e.Next()
	}
	return e
}
