package uses

import (
	"fmt"
	"slices"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// A pair is a holder and its replica, of the same size; what is set at the one is mirrored at the other.
type pair struct {
	t               testing.TB
	clock           *storage.Clock
	holder, replica *storage.Store
	teller          *Teller
	silent          bool // the replica answers nothing
	messages        int
	late            []func()
}

func newPair(t testing.TB, maxBytes int64) *pair {
	t.Helper()
	p := &pair{t: t}
	p.clock = storage.NewManualClock(2_000_000_000)
	open := func() *storage.Store {
		store, err := storage.Open(storage.Config{MaxBytes: maxBytes, MaxItemBytes: 64 << 10, Clock: p.clock})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		return store
	}
	p.holder, p.replica = open(), open()
	params := ring.DefaultParams()
	params.Copies = 2
	table, err := ring.Build([]ring.Member{{ID: "holder", Weight: 1}, {ID: "replica", Weight: 1}}, params)
	if err != nil {
		t.Fatal(err)
	}
	p.teller = New(Config{
		Self: "holder", Store: p.holder, Clock: p.clock, Table: func() *ring.Table { return table }, Holds: func(uint32) bool { return true },
		Send: func(id string, req *protocol.Request) *protocol.Pending {
			if id != "replica" {
				t.Errorf("%s is told", id)
			}
			p.messages++
			pending := protocol.NewPending(nil)
			Door{p.replica}.Handle(req, &pending.Response)
			if pending.Response.Status != protocol.OK {
				t.Errorf("answered with status %d", pending.Response.Status)
			}
			pending.Complete()
			return pending
		},
		Await: func(pending *protocol.Pending, then func(*protocol.Response)) {
			answer := func() { pending.Wait(); then(&pending.Response); pending.Release() }
			if p.silent {
				p.late = append(p.late, answer)
			} else {
				answer()
			}
		},
	})
	return p
}

func (p *pair) set(key string, value []byte) {
	p.t.Helper()
	held := p.holder.Hold([]byte(key))
	_, err := held.Put(storage.Item{Value: value})
	it, _ := held.Item()
	it.Value = slices.Clone(it.Value)
	held.Release()
	if err != nil {
		p.t.Fatal(err)
	}
	copy := p.replica.Hold([]byte(key))
	defer copy.Release()
	if err := copy.Mirror(it); err != nil {
		p.t.Fatal(err)
	}
}

func hits(s *storage.Store, keys []string) (n int) {
	for _, key := range keys {
		if _, _, found := s.Get(nil, []byte(key)); found {
			n++
		}
	}
	return n
}

// pass lets seconds pass, each with a round.
func (p *pair) pass(seconds int) {
	for range seconds {
		p.clock.Advance(1)
		for range 100 {
			p.teller.step()
		}
	}
}

// Full stores through which much goes that nobody asks for: what is asked for again and again at its holder is at the replica too when the holder is gone.
func TestWhatIsHotOutlivesItsHolder(t *testing.T) {
	f := func(told bool) (kept float64) {
		t.Helper()
		p := newPair(t, 4<<20)
		var hot []string
		for i := range 500 {
			hot = append(hot, fmt.Sprint("hot", i))
			p.set(hot[i], make([]byte, 500))
		}
		for cold := range 40_000 { // five times what there is room for
			if p.set(fmt.Sprint("cold", cold), make([]byte, 500)); cold%500 == 0 {
				if n := hits(p.holder, hot); n < len(hot)*99/100 {
					t.Fatalf("the holder itself has %d of %d", n, len(hot))
				}
				if told {
					p.pass(1)
				} else {
					p.clock.Advance(1)
				}
			}
		}
		return float64(hits(p.replica, hot)) / float64(len(hot))
	}
	told, untold := f(true), f(false)
	t.Logf("of what is hot the replica has %.3f, and without being told %.3f", told, untold)
	if told < 0.99 || untold > 0.5 {
		t.Errorf("of what is hot the replica has %.3f, want .99 at least; and without being told %.3f", told, untold)
	}
}

// Nothing is told of what is not used, of one use no more than a round or two, and nothing while a replica does not answer.
func TestWhatIsTold(t *testing.T) {
	p := newPair(t, 4<<20)
	for i := range 3000 {
		p.set(fmt.Sprint("key", i), []byte("v"))
	}
	if p.pass(3); p.messages > 0 {
		t.Errorf("%d messages of what is not used", p.messages)
	}
	for i := range 2500 {
		hits(p.holder, []string{fmt.Sprint("key", i)})
	}
	if p.pass(1); p.messages != 3 {
		t.Errorf("%d messages of 2500 uses, want 3", p.messages)
	}
	p.pass(2)
	before := p.messages
	if p.pass(3); p.messages > before {
		t.Errorf("%d messages of old uses", p.messages-before)
	}
	p.silent = true
	for range 10 {
		hits(p.holder, []string{"key1"})
		p.pass(1)
	}
	if p.messages > before+1 {
		t.Errorf("%d messages to who does not answer", p.messages-before)
	}
	for _, answer := range p.late {
		answer()
	}
	p.silent = false
	if p.pass(1); p.messages != before+2 {
		t.Errorf("%d messages when it has answered, want 2", p.messages-before)
	}
}

// What it costs to look at 5,000 items, of which a fifth was used: ten times a second.
func BenchmarkStep(b *testing.B) {
	p := newPair(b, 64<<20)
	p.teller.cfg.Send = func(string, *protocol.Request) *protocol.Pending { return protocol.Answered(protocol.OK) }
	for i := range 100_000 {
		p.set(fmt.Sprint("key", i), make([]byte, 100))
		if i%5 == 0 {
			hits(p.holder, []string{fmt.Sprint("key", i)})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if p.teller.cursor == (storage.Cursor{}) {
			p.teller.began, p.teller.since = 0, 0
		}
		p.teller.step()
	}
}
