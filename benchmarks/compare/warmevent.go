package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/memring/memring/benchmarks/warm"
)

// A happening is an event under load, as it goes on.
type happening struct {
	*warmth
	ground *ground
	name   string
	run    *warm.Run
	times  warm.Times
	victim *node // that goes, if one does

	mu    sync.Mutex // guards what follows
	addrs []string   // of all nodes, also of those that are down
	moved time.Duration
	ratio float64 // of the last stillFor
}

// watch waits for the quiet time to pass, has it happen, and waits until it is over.
func (h *happening) watch(ctx context.Context) error {
	for _, n := range h.ground.running() {
		h.follow(n)
	}
	ctx, cancel := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() { h.look(ctx) })
	defer looking.Wait()
	defer cancel()

	if err := pause(ctx, h.times.Event-h.run.Now()); err != nil {
		return err
	}
	h.happens()
	bounded, done := context.WithTimeoutCause(ctx, actBound, fmt.Errorf("not done within %v", actBound))
	defer done()
	if err := h.act(bounded); err != nil {
		if bounded.Err() != nil {
			return context.Cause(bounded)
		}
		return err
	}
	return h.settle(ctx)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// happens notes the time.
func (h *happening) happens() {
	h.times.Event = h.run.Now()
	h.times.Detected = h.times.Event
}

// act does what the event is, until the nodes know of it.
func (h *happening) act(ctx context.Context) error {
	g := h.ground
	switch h.name {
	case "join":
		return h.join(ctx)
	case "drain":
		h.victim = g.nodes[drained]
		if !g.cluster { // an operator takes it out of the clients' list first
			g.unlist(h.victim)
			if err := pause(ctx, unlistedFor); err != nil {
				return err
			}
		}
		if err := h.victim.end(ctx); err != nil {
			return err
		}
	case "restart":
		h.victim = g.nodes[hurt]
		if err := h.victim.end(ctx); err != nil {
			return err
		}
		if err := h.victim.again(ctx); err != nil {
			return err
		}
	case "kill":
		h.victim = g.nodes[hurt]
		h.victim.kill()
		err := g.see(ctx, len(g.running()))
		if g.cluster {
			h.times.Detected = h.run.Now()
		}
		return err
	}
	return g.see(ctx, len(g.running()))
}

// join begins with the start of a memring, which then joins by itself; of a memcached that runs already clients must be told.
func (h *happening) join(ctx context.Context) error {
	g := h.ground
	if err := g.add(ctx); err != nil {
		return err
	}
	h.follow(g.nodes[len(g.nodes)-1])
	if g.cluster {
		return g.see(ctx, len(g.running()))
	}
	h.happens()
	g.list()
	return nil
}

func (h *happening) follow(n *node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addrs = append(h.addrs, n.addr)
}

// settle waits until neither items nor the hit ratio have moved for a while, or no longer.
func (h *happening) settle(ctx context.Context) error {
	acted := h.run.Now()
	steady := h.steady()
	for now := acted; ; now = h.run.Now() {
		h.mu.Lock()
		moved, ratio := h.moved, h.ratio
		h.mu.Unlock()
		h.times.End, h.times.Settled = now, max(moved, acted)
		still := now-h.times.Settled >= stillFor && ratio >= steady-warm.PointsBar/2
		if still && now-h.times.Event >= leastAfter || now-acted >= h.after {
			return nil
		}
		if err := pause(ctx, warm.Step); err != nil {
			return err
		}
	}
}

// A count is what the run had come to at a time.
type count struct {
	at         time.Duration
	gets, hits uint64
}

// since gives the ratio between two counts, in hundreds.
func (c count) since(earlier count) float64 {
	if c.gets == earlier.gets {
		return 0
	}
	return 100 * float64(c.hits-earlier.hits) / float64(c.gets-earlier.gets)
}

func (h *happening) count() count {
	gets, hits := h.run.Ratio()
	return count{h.run.Now(), gets, hits}
}

// steady is the hit ratio that the load has when nothing misses that the database has.
func (h *happening) steady() float64 {
	c := h.config
	return 100 * float64(100-c.Updates-c.Absent) / float64(100-c.Updates)
}

// look looks at the nodes at each step, tells a person how it goes, and ends with ctx.
func (h *happening) look(ctx context.Context) {
	const kept = int(stillFor / warm.Step)
	var counts []count
	items := map[string]uint64{}
	for pause(ctx, warm.Step) == nil {
		h.mu.Lock()
		addrs := h.addrs
		h.mu.Unlock()
		moved := false
		for _, addr := range addrs {
			n := itemsOf(addr)
			moved = moved || max(n, items[addr])-min(n, items[addr]) > h.ground.items/2000
			items[addr] = n
		}
		counts = append(counts, h.count())
		counts = counts[max(len(counts)-kept-1, 0):]
		now := counts[len(counts)-1]
		h.mu.Lock()
		if h.ratio = now.since(counts[0]); moved {
			h.moved = now.at
		}
		h.mu.Unlock()
		h.progress.Begin("%s, %s: hit ratio %.2f %%", h.ground.name, h.name, now.since(counts[max(len(counts)-2, 0)]))
		h.progress.At(uint64(now.at), uint64(connecting+h.quiet+h.after))
	}
}
