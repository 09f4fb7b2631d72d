package handover

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frametest"
)

// See frametest: what members say to each other here stays as it is while the frames' version does.
func TestBytesOfTheVersion(t *testing.T) {
	set := func(part int) piece.Set {
		s := piece.NewSet(16)
		s.Add(part)
		return s
	}
	a := ask{from: Member{ID: "a", Boot: 1}, view: 2, count: 3, flushed: 4, parts: set(5), again: set(6), salvage: set(7), orphans: set(8)}
	h := handout{
		boot: 1, view: 2, move: 3, clock: 4, flushed: 5, flushIn: 6, flushMark: 7, number: 8, bytes: 9, leaving: 10,
		given: set(0), whole: set(1), follows: set(2), contests: set(3), keeps: set(4), wants: set(5), copied: set(6), halves: set(7), salvaged: set(8),
	}
	var said frametest.Said
	said.Add("a Takeover", a.append(nil))
	said.Add("its answer", h.append(nil))
	said.Check(t)
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
