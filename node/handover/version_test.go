package handover

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// See frame's TestBytesOfTheVersion: what members say to each other here stays as it is while the frames' version does.
func TestBytesOfTheVersion(t *testing.T) {
	const version = 1
	if frame.Version != version {
		t.Fatalf("the version is %d: say here what its bytes are", frame.Version)
	}
	f := func(what string, got []byte, want string) {
		t.Helper()
		if got := fmt.Sprintf("%x", got); got != want {
			t.Errorf("%s of version %d is changed (see protocol/DESIGN.md, \"Versions\"): got %s, want %s", what, version, got, want)
		}
	}
	set := func(part int) piece.Set {
		s := piece.NewSet(16)
		s.Add(part)
		return s
	}
	a := ask{from: Member{ID: "a", Boot: 1}, view: 2, count: 3, flushed: 4, parts: set(5), again: set(6), salvage: set(7), orphans: set(8)}
	f("a Takeover", a.append(nil), "0100000000000000020000000000000003000000000000000400000000000000"+"2000400080000001"+"61")
	h := handout{
		boot: 1, view: 2, move: 3, clock: 4, flushed: 5, flushIn: 6, flushMark: 7, number: 8, bytes: 9, leaving: 10,
		given: set(0), whole: set(1), follows: set(2), contests: set(3), keeps: set(4), wants: set(5), copied: set(6), halves: set(7), salvaged: set(8),
	}
	f("its answer", h.append(nil), "0100000000000000020000000000000003000000000000000400000000000000"+"050000000000000006000000000000000700000000000000"+
		"080000000000000009000000000000000a00000000000000"+"010002000400080010002000400080000001")
}

// What another build says otherwise, though it should not, is told and counted, and nothing of it is believed.
func TestAnswersThatCannotBeReadAreTold(t *testing.T) {
	s := &stage{members: map[string]*Handover{}}
	s.enter(t, "a")
	h := s.members["a"]
	var log bytes.Buffer
	h.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	var good, other handout
	for i, set := range good.sets() {
		*set = piece.NewSet(len(h.parts))
		set.Add(i)
	}
	f := func(value []byte, want bool) {
		t.Helper()
		if got := h.read(&other, "b", &protocol.Response{Status: protocol.OK, Value: value}); got != want {
			t.Errorf("%d bytes: read %v, want %v", len(value), got, want)
		}
	}
	said := good.append(nil)
	f(said, true)
	if log.Len() > 0 {
		t.Error(log.String())
	}
	f(append(said, 0), false)
	f(said[:len(said)-1], false)
	if told := log.String(); strings.Count(told, "member=b") != 2 || h.Stats().Unread.Load() != 2 {
		t.Errorf("counted %d, and told %s", h.Stats().Unread.Load(), told)
	}
}
