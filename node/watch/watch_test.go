package watch

import (
	"strings"
	"testing"
)

func TestWatchersAreToldWhatTheyWatch(t *testing.T) {
	var b Board
	f := func(kinds Kinds, want bool) {
		t.Helper()
		if b.Wanted(kinds) != want {
			t.Errorf("wanted(%d) is %v", kinds, !want)
		}
	}
	f(Fetchers|Mutations|Deletions, false)
	gets, _ := b.Watch(Fetchers)
	all, _ := b.Watch(Fetchers | Deletions)
	f(Fetchers, true)
	f(Mutations, false)
	b.Post(Fetchers, 1_800_000_000_007, "type=a")
	b.Post(Deletions, 1_800_000_000_010, "type=b")
	hear := func(from interface {
		Next([]byte) ([]byte, bool)
	}, want string,
	) {
		t.Helper()
		if got, more := from.Next(nil); string(got) != want || !more {
			t.Errorf("%q, want %q", got, want)
		}
	}
	first := "ts=1800000000.007000 gid=3 type=a\n"
	hear(gets, "OK\r\n"+first)
	hear(all, "OK\r\n"+first+"ts=1800000000.010000 gid=4 type=b\n")
	hear(all, "")
	all.Close()
	f(Deletions, false)
	f(Fetchers, true)
	gets.Close()
	f(Fetchers, false)
}

// Who does not fetch costs a bounded buffer, and learns what he has missed; there are few of them.
func TestSlowWatchersMiss(t *testing.T) {
	var b Board
	slow, _ := b.Watch(Fetchers)
	const posted = 10_000
	line := strings.Repeat("x", 100)
	for range posted {
		b.Post(Fetchers, 0, line)
	}
	got, _ := slow.Next(nil)
	s := b.Stats()
	if s.Posted != posted || s.Sent+s.Missed != posted || s.Missed == 0 || len(got) > maxBytes+1000 {
		t.Errorf("%d bytes, %+v", len(got), s)
	}
	if !strings.Contains(string(got[len(got)-20:]), "skipped=") {
		t.Errorf("ends with %q", got[len(got)-20:])
	}
	for range maxWatchers - 1 {
		if _, ok := b.Watch(Fetchers); !ok {
			t.Fatal("refused")
		}
	}
	if _, ok := b.Watch(Fetchers); ok || b.Stats().Watchers != maxWatchers {
		t.Error("one too many")
	}
}
