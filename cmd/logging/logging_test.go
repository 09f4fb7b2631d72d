package logging

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Without a terminal it is JSON, and JSON says what text says.
func TestFormats(t *testing.T) {
	var text, written bytes.Buffer
	for to, format := range map[*bytes.Buffer]Format{&text: Text, &written: Auto} {
		New(to, format, new(slog.LevelVar)).With("node", "a").Info("it stops", "at_most", 1500*time.Millisecond, "signal", os.Signal(syscall.SIGTERM),
			"at", netip.MustParseAddr("::1"), "members", 3, "err", os.ErrNotExist)
	}
	var got map[string]any
	if err := json.Unmarshal(written.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, &written)
	}
	delete(got, "time")
	want := map[string]any{"level": "INFO", "msg": "it stops", "node": "a", "at_most": "1.5s", "signal": "terminated", "at": "::1", "members": 3., "err": "file does not exist"}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %v, want %v", name, got[name], value)
		}
	}
	if line := `level=INFO msg="it stops" node=a at_most=1.5s signal=terminated at=::1 members=3 err="file does not exist"` + "\n"; !strings.HasSuffix(text.String(), line) {
		t.Errorf("text: %s", &text)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError} {
		if level, err := ParseLevel(name); level != want || err != nil {
			t.Errorf("%s: %v, %v", name, level, err)
		}
	}
	for name, want := range map[string]Format{"auto": Auto, "text": Text, "json": JSON} {
		if format, err := ParseFormat(name); format != want || err != nil {
			t.Errorf("%s: %v, %v", name, format, err)
		}
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("a level that there is not")
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("a format that there is not")
	}
}

// A storm of one message is cut short, others go on, and what was left out is told.
func TestStorms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written bytes.Buffer
		log := New(&written, Text, new(slog.LevelVar))
		for range 3 * calmBurst {
			log.With("peer", "b").Warn("storm")
		}
		log.Info("still here")
		if n := strings.Count(written.String(), "storm"); n != calmBurst || !strings.Contains(written.String(), "still here") {
			t.Errorf("%d lines of the storm", n)
		}
		written.Reset()
		time.Sleep(calmWhile)
		log.Warn("storm")
		log.Warn("storm")
		if got := written.String(); strings.Count(got, "left_out=100") != 1 || strings.Count(got, "storm") != 2 {
			t.Errorf("afterwards: %s", got)
		}
	})
}

// Who looks for a fault sees all, from when he asks for it.
func TestLevels(t *testing.T) {
	var written bytes.Buffer
	level := new(slog.LevelVar)
	log := New(&written, JSON, level)
	log.Debug("detail")
	if level.Set(slog.LevelDebug); written.Len() > 0 {
		t.Errorf("too early: %s", &written)
	}
	for range 2 * calmBurst {
		log.Debug("detail")
	}
	if n := strings.Count(written.String(), "detail"); n != 2*calmBurst {
		t.Errorf("%d lines", n)
	}
}

// Messages that are all different do not fill the memory.
func TestMessagesAreForgotten(t *testing.T) {
	h := newCalm(slog.DiscardHandler)
	for i := range 3 * calmMessages {
		h.shared.count(strings.Repeat("x", i), time.Time{})
	}
	if n := len(h.shared.of); n > calmMessages {
		t.Errorf("%d are known", n)
	}
}
