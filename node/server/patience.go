package server

import (
	"errors"
	"os"
	"time"
)

// What a client must take of its answers, or it is closed: partBytes at a time, each within its patience. Whoever reads at all takes them within
// milliseconds; over the slowest line it is a matter of a second or two.
const (
	partBytes = 64 << 10

	// restPatience is for who holds nothing that others may want, only buffers that each connection may have (and with them a place of -c).
	restPatience = time.Minute

	// partPatience is for who holds a share of what all have together: a grown read buffer, or long answers (session.Answers).
	partPatience = 10 * time.Second

	// wantedPatience is for that while somebody waits for it, and for who is told that there is no memory for him. It is some times what a client
	// takes that has other things to do, and budget.Patience: who waits is served once or refused, and tries again.
	wantedPatience = time.Second

	// looks is how often a share's holder looks whether it is wanted.
	looks = 500 * time.Millisecond
)

// patience is how long c's client has for a part of its answers, as things are.
func (c *conn) patience() time.Duration {
	some, wanted := c.session.Holds()
	switch large := c.large != nil; {
	case c.refused || wanted || large && c.server.budget.Wanted():
		return wantedPatience
	case some || large:
		return partPatience
	default:
		return restPatience
	}
}

// writeSlowly writes p to a socket that does not take it at once.
func (c *conn) writeSlowly(p []byte) (sent int, err error) {
	c.leaveSeat()
	since, before := time.Now(), 0 // the part of now: when it was begun, and what was sent before it
	for {
		patience := c.patience()
		until := since.Add(patience)
		if look := time.Now().Add(looks); patience < restPatience && look.Before(until) {
			until = look
		}
		if err := c.net.SetWriteDeadline(until); err != nil {
			return sent, err
		}
		n, err := c.writeWaiting(p[sent:])
		switch sent += n; {
		case err == nil || !errors.Is(err, os.ErrDeadlineExceeded):
			return sent, err
		case sent-before >= partBytes:
			since, before = time.Now(), sent
		case time.Since(since) >= c.patience():
			c.server.stats.SlowKicks.Add(1)
			return sent, err
		}
	}
}
