// Package watch tells those who watch a node what happens on it, as it happens ("watch").
//
//	executor, store, server, crawler -> Board.Post -> the buffer of each watcher -> protocol.Stream -> its connection
//
// While nobody watches, asking Wanted is one load of memory. Whoever posts never waits for a watcher: what one does not fetch in time is dropped
// and counted, and he is told how much.
package watch

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/memring/memring/protocol"
)

// Kinds is a set of what can be watched.
type Kinds uint32

// The kinds. memcached has more, of what happens in its proxy.
const (
	Fetchers  Kinds = 1 << iota // keys looked up, for whatever reason, found or not
	Mutations                   // items stored, or not
	Deletions
	Evictions
	ConnEvents // connections that begin and end
	SysEvents  // what goes on in the background
)

const (
	maxWatchers = 20        // as memcached
	maxBytes    = 256 << 10 // that wait for a watcher: some thousand lines, fetched ten times a second
)

// A Board is where it is posted what happens.
type Board struct {
	wanted atomic.Uint32 // the kinds of all watchers

	mu       sync.Mutex // guards the rest, and each watcher's lines
	watchers []*watcher
	number   uint64 // of the line
	stats    Stats
}

// Stats are counted since the start, but for Watchers.
type Stats struct {
	Watchers             int
	Posted, Sent, Missed uint64 // lines; of those for watchers, sent and dropped
}

// A watcher is one who watches.
type watcher struct {
	board  *Board
	kinds  Kinds
	greets bool // he has not been told OK
	lines  []byte
	count  uint64 // of lines
	missed uint64
}

// Wanted reports whether anybody watches one of kinds.
func (b *Board) Wanted(kinds Kinds) bool { return Kinds(b.wanted.Load())&kinds != 0 }

// Post tells all who watch one of kinds. milli is the Unix time in milliseconds; what is "type=..." and all that follows, without an end.
func (b *Board) Post(kinds Kinds, milli int64, what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.number++
	b.stats.Posted++
	for _, w := range b.watchers {
		switch {
		case w.kinds&kinds == 0:
		case len(w.lines) >= maxBytes:
			w.missed++
			b.stats.Missed++
		default:
			w.lines = fmt.Appendf(w.lines, "ts=%d.%06d gid=%d %s\n", milli/1000, milli%1000*1000, b.number, what)
			w.count++
		}
	}
}

// Watch begins to tell of kinds; false if there are too many watchers.
func (b *Board) Watch(kinds Kinds) (stream protocol.Stream, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.watchers) >= maxWatchers {
		return nil, false
	}
	w := &watcher{board: b, kinds: kinds, greets: true}
	b.watchers = append(b.watchers, w)
	b.number++ // it counts as a line, as in memcached
	b.sumLocked()
	return w, true
}

// Escape gives a key as it stands in a line: all but letters, digits and -._~ is %XX.
func Escape(key []byte) string { return strings.ReplaceAll(url.QueryEscape(string(key)), "+", "%20") }

// Stats gives the counters as they are now.
func (b *Board) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.stats
	now.Watchers = len(b.watchers)
	return now
}

func (b *Board) sumLocked() {
	var all Kinds
	for _, w := range b.watchers {
		all |= w.kinds
	}
	b.wanted.Store(uint32(all))
}

// Next implements protocol.Stream.
func (w *watcher) Next(dst []byte) (piece []byte, more bool) {
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	if w.greets {
		w.greets = false
		dst = append(dst, "OK\r\n"...)
	}
	dst = append(dst, w.lines...)
	if w.missed > 0 {
		dst = fmt.Appendf(dst, "skipped=%d\n", w.missed)
	}
	w.board.stats.Sent += w.count
	w.lines, w.count, w.missed = w.lines[:0], 0, 0
	return dst, true
}

// Close implements protocol.Stream.
func (w *watcher) Close() {
	w.board.mu.Lock()
	defer w.board.mu.Unlock()
	w.board.watchers = slices.DeleteFunc(w.board.watchers, func(other *watcher) bool { return other == w })
	w.board.sumLocked()
}
