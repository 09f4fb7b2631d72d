package peer

import (
	"math"
	"testing"
	"time"

	"github.com/memring/memring/protocol"
	"pgregory.net/rapid"
)

// Seats against a plain list of what they mean, from any number on: they wrap around.
func TestSeatsKeepTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := math.MaxUint32 - rapid.Uint32Range(0, 200).Draw(t, "start")
		s := seats{head: start, awaited: start, tail: start}
		var model []seat
		first := start
		now := time.Duration(0)
		t.Repeat(map[string]func(*rapid.T){
			"take": func(*rapid.T) {
				now++
				one := seat{pending: new(protocol.Pending), due: now + 10, bytes: 3}
				s.take(one)
				model = append(model, one)
			},
			"give": func(t *rapid.T) {
				batch := make([]seat, rapid.IntRange(0, 5).Draw(t, "n"))
				from, n := s.give(batch)
				if from != first || n != min(len(batch), len(model)) {
					t.Fatalf("gave %d from %d, want %d from %d", n, from, min(len(batch), len(model)), first)
				}
				for i := range n {
					if batch[i] != model[i] {
						t.Fatalf("seat %d is %v, want %v", from, batch[i], model[i])
					}
				}
				model, first = model[n:], first+uint32(n)
			},
			"overdue": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(0, 12).Draw(t, "passed"))
				for i := range model {
					if model[i].pending != nil && model[i].due <= now {
						if got := s.overdue(now); got != model[i].pending {
							t.Fatalf("overdue is %p, want %p", got, model[i].pending)
						}
						model[i].pending = nil
					}
				}
				if got := s.overdue(now); got != nil {
					t.Fatalf("overdue too early: %p", got)
				}
			},
			"": func(t *rapid.T) {
				if s.len() != len(model) || s.bytes != 3*len(model) {
					t.Fatalf("%d seats of %d bytes, want %d", s.len(), s.bytes, len(model))
				}
				for n := s.awaited; n != s.tail; n++ {
					if s.at(n).pending == nil {
						t.Fatalf("seat %d is awaited by nobody", n)
					}
				}
			},
		})
	})
}
