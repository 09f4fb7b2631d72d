package placement

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A happening is when a pace was told something, and by what: "c" a change, "h" a hasten, "u" an urgent.
type happening struct {
	at   time.Duration
	what byte
}

// every lists changes at a distance from each other.
func every(distance time.Duration, count int, what byte) (list []happening) {
	for i := range count {
		list = append(list, happening{time.Duration(i) * distance, what})
	}
	return list
}

const ms = time.Millisecond

func TestPace(t *testing.T) {
	// f plays happenings and wants tables due at these times.
	f := func(what string, play []happening, over time.Duration, want ...time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			changes, hasten, urgent := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
			pace := Pace{Changes: changes, Hasten: hasten, Urgent: urgent}
			ctx, cancel := context.WithCancel(context.Background())
			began, ended := time.Now(), make(chan struct{})
			var due []time.Duration
			go func() {
				defer close(ended)
				var end <-chan time.Time
				if over > 0 {
					end = time.After(over)
				}
				for pace.Next(ctx, end) {
					due = append(due, time.Since(began))
				}
			}()
			for _, h := range play {
				<-time.After(h.at - time.Since(began))
				note := map[byte]chan struct{}{'c': changes, 'h': hasten, 'u': urgent}[h.what]
				select {
				case note <- struct{}{}:
				default:
				}
				synctest.Wait()
			}
			<-time.After(10 * time.Second)
			cancel()
			<-ended
			if len(due) != len(want) {
				t.Errorf("%s: tables due at %v, want %v", what, due, want)
				return
			}
			for i := range due {
				if due[i].Round(ms) != want[i] {
					t.Errorf("%s: tables due at %v, want %v", what, due, want)
					return
				}
			}
		})
	}
	f("nothing", nil, 0)
	f("a join", []happening{{0, 'c'}}, 0, 150*ms)
	f("twenty within a tenth of a second", every(5*ms, 20, 'c'), 0, 245*ms)
	f("twenty in two seconds", every(100*ms, 20, 'c'), 0, 500*ms, 1300*ms, 2050*ms)
	f("two storms", append(every(100*ms, 9, 'c'), happening{3 * time.Second, 'c'}, happening{3100 * ms, 'c'}, happening{3200 * ms, 'c'},
		happening{3300 * ms, 'c'}, happening{3400 * ms, 'c'}, happening{3500 * ms, 'c'}), 0, 500*ms, 950*ms, 3500*ms, 3650*ms)
	f("two, far apart", []happening{{0, 'c'}, {3 * time.Second, 'c'}}, 0, 150*ms, 3150*ms)
	f("hastened", []happening{{0, 'c'}, {20 * ms, 'h'}}, 0, 20*ms)
	f("hastened without a change", []happening{{0, 'h'}}, 0, 0)
	f("hastened again and again, by members that are ahead by turns", every(50*ms, 20, 'h'), 0, 0, 400*ms, 800*ms, 1200*ms)
	f("urgent", []happening{{0, 'c'}, {20 * ms, 'u'}, {30 * ms, 'u'}}, 0, 20*ms, 30*ms)
	f("the end of a grace", nil, 700*ms, 700*ms)
}
