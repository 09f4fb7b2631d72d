package storage

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// models are what a store should hold that many goroutines use at once: each key is of one model, and whoever asks for its item or changes it
// holds that model, so that what happened in which order is known. That others are at work beside it in the same stripe is the test.
type models struct {
	s      *Store
	clock  *Clock
	all    sync.RWMutex // held alone by whoever does what concerns all keys: time, a flush, a drop
	mu     []sync.Mutex // each guards the model of the same place
	of     []*model
	events atomic.Int64
}

const (
	sharedModels = 16
	keysPerModel = 500
)

// step does one step on one of the models, or something to all.
func (ms *models) step(rnd *rand.Rand) {
	if rnd.IntN(100) == 0 {
		ms.all.Lock()
		defer ms.all.Unlock()
		ms.stepAll(rnd)
		return
	}
	ms.all.RLock()
	defer ms.all.RUnlock()
	i := rnd.IntN(len(ms.of))
	ms.mu[i].Lock()
	defer ms.mu[i].Unlock()
	ms.of[i].step(keysPerModel)
}

func (ms *models) stepAll(rnd *rand.Rand) {
	switch op := rnd.IntN(200); {
	case op == 0:
		ms.s.FlushAll(0, 0)
		for _, m := range ms.of {
			m.flushed()
		}
	case op < 5:
		eighth := rnd.IntN(8)
		ms.s.Drop(inEighth(eighth))
		for _, m := range ms.of {
			m.dropped(eighth)
		}
	default:
		ms.clock.Advance(rnd.Int64N(3))
	}
}

// look reads a key without holding its model: what is there may change, but is always a whole value of this key. At times it looks ahead to many.
func (ms *models) look(t testing.TB, rnd *rand.Rand, buf []byte) []byte {
	keys := make([][]byte, 1+rnd.IntN(8)/7*maxProspects)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "%d-key-%d", rnd.IntN(len(ms.of)), rnd.IntN(keysPerModel))
	}
	if len(keys) > 1 {
		ms.s.LookAhead(keys)
	}
	key := keys[0]
	it, out, ok := ms.s.Get(buf[:0], key)
	if ok {
		checkValue(t, key, it.Value)
	}
	return out
}

// walk goes round once, through one eighth of the partitions after the other, and misses nothing that was there from the beginning to the end.
func (ms *models) walk(t testing.TB) {
	began, met := ms.events.Add(1), map[string]bool{}
	for eighth := range 8 {
		for c, more := (Cursor{}), true; more; {
			c, more = ms.s.Walk(c, inEighth(eighth), func(key []byte, it Item) bool {
				checkValue(t, key, it.Value)
				if met[string(key)] {
					t.Errorf("walk: %s met twice", key)
				}
				met[string(key)] = true
				return true
			})
		}
	}
	ms.all.RLock()
	defer ms.all.RUnlock()
	for i := range ms.of {
		ms.wasMet(t, i, began, met)
	}
}

// wasMet compares what a walk has met with the items of a model that have been there since it began.
func (ms *models) wasMet(t testing.TB, i int, began int64, met map[string]bool) {
	ms.mu[i].Lock()
	defer ms.mu[i].Unlock()
	m := ms.of[i]
	for key, since := range m.since {
		if since > began || met[key] {
			continue
		}
		it, out, ok := m.s.Get(m.buf[:0], []byte(key))
		m.buf = out
		m.compare("get", key, it, ok)
		if ok {
			t.Errorf("walk: %s not met", key)
		}
	}
}

func TestModelAtOnce(t *testing.T) { modelAtOnce(t, 20_000, 8<<20) }

// modelAtOnce plays the model by many goroutines, while others look, walk and crawl: no wrong value, no more missing than were evicted, no item
// that was there all the while not met by a walk, none met twice, and counters that add up. With and without evictions, so many steps each.
func modelAtOnce(t *testing.T, steps int, maxBytes int64) {
	t.Helper()
	for _, noEvict := range []bool{false, true} {
		total := newModel(t, Config{MaxBytes: maxBytes, MaxItemBytes: 2 << 20, NoEvict: noEvict, Partitions: manyPartitions}, 2<<20-300, nil)
		ms := &models{s: total.s, clock: total.clock, mu: make([]sync.Mutex, sharedModels)}
		for i := range sharedModels {
			ms.of = append(ms.of, &model{
				t: t, s: total.s, clock: total.clock, draw: rand.New(rand.NewPCG(uint64(i), 3)).IntN, maxLen: total.maxLen,
				items: map[string]Item{}, last: map[string]uint64{}, since: map[string]int64{}, events: &ms.events,
				prefix: fmt.Sprintf("%d-", i), shared: true,
			})
		}
		walks := ms.play(t, steps)
		for _, m := range ms.of {
			maps.Copy(total.items, m.items)
			total.lost += m.lost
			total.stored += m.stored
		}
		total.finish()
		t.Logf("%d steps, -M %t, %d walks meanwhile: %+v", steps, noEvict, walks, total.s.Stats())
		total.s.Close()
	}
}

// play lets four goroutines do the steps, and says how many walks there were meanwhile.
func (ms *models) play(t testing.TB, steps int) (walks int) {
	var workers, others sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 4))
			for range steps / 4 {
				ms.step(rnd)
			}
		})
	}
	stop := make(chan struct{})
	again := func(do func()) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	rnd, buf := rand.New(rand.NewPCG(0, 5)), []byte(nil)
	again(func() { buf = ms.look(t, rnd, buf) })
	again(func() { ms.walk(t); walks++ })
	again(func() { ms.s.Crawl(500) })
	workers.Wait()
	close(stop)
	others.Wait()
	return walks
}
