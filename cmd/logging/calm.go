package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// calmWhile is the while in which calmBurst records of one message are written at most. A cluster of a hundred says less when all is well, and a fault that comes a
	// thousand times a second tells no more the thousandth time.
	calmWhile = 10 * time.Second
	calmBurst = 50

	// calmMessages is of how many messages it is known how often they came: far more than there are, for they are constants of the program.
	calmMessages = 1000
)

// A calm handler leaves out what comes too often: of one message more than calmBurst records in calmWhile. The next one that is written says, as "left_out", how many were
// not. What is below the level of info is asked for, to find a fault, and is all written.
type calm struct {
	slog.Handler
	shared *counts // by all handlers that were made of one
}

type counts struct {
	mu sync.Mutex // guards all
	of map[string]*count
}

// A count is of one message.
type count struct {
	since   time.Time
	written int // since then
	leftOut int // and not told of
}

func newCalm(h slog.Handler) calm { return calm{h, &counts{of: map[string]*count{}}} }

// Handle implements slog.Handler.
func (c calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return c.Handler.Handle(ctx, r)
	}
	leftOut, write := c.shared.count(r.Message, r.Time)
	if !write {
		return nil
	}
	if leftOut > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("left_out", leftOut))
	}
	return c.Handler.Handle(ctx, r)
}

// count counts one record of a message, and tells whether it is to be written, and how many before it were not.
func (c *counts) count(message string, now time.Time) (leftOut int, write bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.of[message]
	if of == nil {
		if len(c.of) >= calmMessages {
			clear(c.of)
		}
		of = &count{since: now}
		c.of[message] = of
	}
	if now.Sub(of.since) >= calmWhile {
		of.since, of.written = now, 0
	}
	if of.written >= calmBurst {
		of.leftOut++
		return 0, false
	}
	of.written++
	leftOut, of.leftOut = of.leftOut, 0
	return leftOut, true
}

// WithAttrs implements slog.Handler.
func (c calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	return calm{c.Handler.WithAttrs(attrs), c.shared}
}

// WithGroup implements slog.Handler.
func (c calm) WithGroup(name string) slog.Handler {
	return calm{c.Handler.WithGroup(name), c.shared}
}
