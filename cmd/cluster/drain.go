package cluster

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/output"
)

const (
	// drainTimeout is for how long a drain is watched by default: --drain-timeout of a node is 30 s unless said otherwise.
	drainTimeout = 5 * time.Minute
	// pollEvery is how often the status is asked for meanwhile.
	pollEvery = 250 * time.Millisecond
)

func (c *command) drain() *cobra.Command {
	var timeout time.Duration
	drain := &cobra.Command{
		Use:   "drain MEMBER",
		Short: "Have a member hand over all it has and leave, and wait until it is gone; exit code 4 if that takes longer than --timeout.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.watchDrain(cmd.OutOrStdout(), args[0], timeout)
		},
	}
	timeoutFlag(drain.Flags(), &timeout, drainTimeout, "longest wait for the member to be gone, a `DURATION`; it goes on after that")
	return drain
}

// watchDrain begins a drain and tells how far it is until the member is gone, or a later run of it is there.
func (c *command) watchDrain(w io.Writer, member string, timeout time.Duration) error {
	before, err := c.look(c.node.Address)
	if err != nil {
		return err
	}
	if err := c.tell("drain", member); err != nil {
		return err
	}
	// The one that is asked may be the one that goes, so others are asked as well.
	addresses := []string{c.node.Address}
	for _, m := range before.members {
		if client := m.Get("client"); m.ID != member && client != "" && !strings.HasSuffix(client, ":0") {
			addresses = append(addresses, client)
		}
	}
	first, _ := before.member(member)
	p := newProgress(w, c.asJSON, member, first)
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		switch now, there, err := c.find(addresses, member, first.Get("boot")); {
		case err != nil:
			p.last = err.Error()
		case !there:
			return p.done()
		default:
			p.last = ""
			p.tell(now)
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return p.giveUp(timeout)
		}
	}
}

// find asks one after the other for a run of a member; there is false when one answers that it is gone.
func (c *command) find(addresses []string, member, boot string) (now Line, there bool, err error) {
	for _, address := range addresses {
		v, failure := c.look(address)
		if failure != nil {
			err = failure
			continue
		}
		now, there = v.member(member)
		return now, there && now.Get("boot") == boot, nil
	}
	return Line{}, false, err
}

// A progress tells how far a drain is.
type progress struct {
	*output.Progress
	member string
	began  time.Time
	last   string // why the last question was not answered

	partitions, bytes        int64 // that there were to hand over
	itemsBefore, bytesBefore int64 // that had been sent by then
	share                    float64
}

func newProgress(w io.Writer, asJSON bool, member string, first Line) *progress {
	return &progress{
		Progress: output.NewProgress(w, member, asJSON), member: member, began: time.Now(),
		partitions: left(first), bytes: number(first, "bytes"),
		itemsBefore: number(first, "items_out"), bytesBefore: number(first, "bytes_out"),
	}
}

// left counts the partitions that a member still has to do with.
func left(m Line) int64 {
	return number(m, "held") + number(m, "wanted") + number(m, "arriving") + number(m, "given")
}

// tell shows how far it is. Partitions go many at a time, when all of a move has arrived; so what has been sent counts as well.
func (p *progress) tell(now Line) {
	if now.Get("held") == "" { // it does not answer any more
		return
	}
	items, bytes := number(now, "items_out")-p.itemsBefore, number(now, "bytes_out")-p.bytesBefore
	p.share = max(p.share, min(float64(bytes)/float64(max(p.bytes, 1)), 0.99), 1-float64(left(now))/float64(max(p.partitions, 1)))
	p.Tell(p.share, fmt.Sprintf("%s, %d partitions left, %d items (%d MB) sent", now.Get("state"), left(now), items, bytes>>20), map[string]any{
		"member": p.member, "state": now.Get("state"), "percent": int(100 * p.share), "partitions_left": left(now), "items_sent": items, "bytes_sent": bytes,
		"seconds": time.Since(p.began).Seconds(),
	})
}

// done tells the end.
func (p *progress) done() error {
	took := time.Since(p.began).Round(100 * time.Millisecond)
	return p.Done(fmt.Sprintf("%s has left after %v", p.member, took), map[string]any{"member": p.member, "state": "gone", "percent": 100, "seconds": took.Seconds()})
}

func (p *progress) giveUp(after time.Duration) error {
	p.GiveUp()
	why := ""
	if p.last != "" {
		why = ": " + p.last
	}
	return output.Exit(output.Timeout, fmt.Errorf("%s is still there after %v (--timeout); it goes on leaving%s", p.member, after, why))
}
