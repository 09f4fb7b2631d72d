package membership_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/placement"
)

// A follower makes tables of a membership as node does, and counts them. (That other members hasten it is left out.)
type follower struct {
	members *membership.Membership
	grace   time.Duration

	mu     sync.Mutex // guards the rest
	now    placement.Placement
	tables int
}

// follow follows memberships until stop is called.
func follow(grace time.Duration, nodes ...*membership.Membership) (followers []*follower, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, m := range nodes {
		f := &follower{members: m, grace: grace}
		followers = append(followers, f)
		all.Go(func() {
			pace := placement.Pace{Changes: m.Changes()}
			for f.adopt(); pace.Next(ctx, f.now.Over()); {
				f.adopt()
			}
		})
	}
	return followers, func() { cancel(); all.Wait() }
}

func (f *follower) adopt() {
	here, lost := f.members.Everybody()
	f.mu.Lock()
	defer f.mu.Unlock()
	next := placement.Of(here, lost, f.grace, time.Now())
	if !next.Same(&f.now) {
		f.tables++
	}
	f.now = next
}

// counted gives how many tables were made since the last look, the least and the most of all followers.
func counted(followers []*follower) (least, most int) {
	for i, f := range followers {
		f.mu.Lock()
		if most = max(most, f.tables); i == 0 || f.tables < least {
			least = f.tables
		}
		f.tables = 0
		f.mu.Unlock()
	}
	return least, most
}

// settled reports whether so many are placed everywhere, so many of them down.
func settled(followers []*follower, placed, down int) bool {
	for _, f := range followers {
		f.mu.Lock()
		count := 0
		for _, m := range f.now.Placed {
			if f.now.Down(m.ID) {
				count++
			}
		}
		ok := len(f.now.Placed) == placed && count == down
		f.mu.Unlock()
		if !ok {
			return false
		}
	}
	return true
}

// within waits until holds, and says how long that was.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	for began := time.Now(); ; <-time.After(5 * time.Millisecond) {
		if holds() {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			t.Fatalf("waited %v in vain: %s", limit, what)
		}
	}
}

// Twenty that start at once make one table when the first has come, and one or two more: not twenty.
func TestTwentyThatStartAtOnceMakeFewTables(t *testing.T) {
	membership.Virtually(t, 20, func(nodes []*membership.Membership, _ func(int, string) *membership.Membership) {
		followers, stop := follow(0, nodes...)
		defer stop()
		took := within(t, 2*time.Second, "all twenty have their places", func() bool { return settled(followers, 20, 0) })
		<-time.After(2 * time.Second)
		least, most := counted(followers)
		t.Logf("placed after %v; tables of each: %d to %d", took, least, most)
		if most > 3 {
			t.Errorf("%d tables", most)
		}
	})
}

// A newcomer is in all tables within a second, and within one after it has left in order it is in none.
func TestANewcomerIsInAllTablesWithinASecond(t *testing.T) {
	membership.Virtually(t, 5, func(nodes []*membership.Membership, start func(int, string) *membership.Membership) {
		const grace = 20 * time.Second
		followers, stop := follow(grace, nodes...)
		defer stop()
		within(t, 2*time.Second, "all to have their places", func() bool { return settled(followers, 5, 0) })
		newcomer := start(6, "m6")
		its, stopIts := follow(grace, newcomer)
		within(t, time.Second, "it has its place everywhere", func() bool { return settled(append(its, followers...), 6, 0) })
		stopIts()
		if err := newcomer.Leave(5 * time.Second); err != nil {
			t.Error(err)
		}
		within(t, time.Second, "its place is gone", func() bool { return settled(followers, 5, 0) })
	})
}

// A member that comes and goes costs the others no table while it is back within its grace, but the one that says that it is down, and the one that it is back.
func TestAFlappingMemberMovesNothing(t *testing.T) {
	membership.Virtually(t, 5, func(nodes []*membership.Membership, start func(int, string) *membership.Membership) {
		within(t, 2*time.Second, "the others to be seen", func() bool { return len(nodes[0].Members()) == 5 })
		followers, stop := follow(20*time.Second, nodes[:4]...)
		defer stop()
		within(t, 2*time.Second, "all to have their places", func() bool { return settled(followers, 5, 0) })
		counted(followers)
		flapping := nodes[4]
		for round := range 5 {
			flapping.Stop()
			if round%2 == 0 { // seen as down before it is back
				within(t, 5*time.Second, "it is down", func() bool { return settled(followers, 5, 1) })
			}
			flapping = start(5, "m5")
			within(t, 5*time.Second, "it is back", func() bool { return settled(followers, 5, 0) })
		}
		<-time.After(21 * time.Second)
		least, most := counted(followers)
		t.Logf("tables of each, for five times down, three of them seen: %d to %d", least, most)
		if !settled(followers, 5, 0) || most > 3+5 {
			t.Errorf("%d tables; settled %v", most, settled(followers, 5, 0))
		}
	})
}

// All members are killed and restarted one after the other: nobody's place is given away.
func TestRestartOfAllOneAfterTheOther(t *testing.T) {
	const count = 7
	membership.Virtually(t, count, func(nodes []*membership.Membership, start func(int, string) *membership.Membership) {
		within(t, 2*time.Second, "all to be seen", func() bool { return len(nodes[0].Members()) == count })
		watcher := start(count+1, "watcher")
		followers, stop := follow(20*time.Second, watcher)
		defer stop()
		within(t, 2*time.Second, "all to have their places", func() bool { return settled(followers, count+1, 0) })
		counted(followers)
		for i := count; i >= 1; i-- { // the first, whom all others ask, comes last
			nodes[i-1].Stop()
			within(t, 5*time.Second, "it is down", func() bool { return settled(followers, count+1, 1) })
			if i == 1 {
				break // who starts as m1 has nobody to ask: it would wait to be found
			}
			start(i, fmt.Sprintf("m%d", i))
			within(t, 5*time.Second, "it is back", func() bool { return settled(followers, count+1, 0) })
		}
		_, most := counted(followers)
		t.Logf("tables for %d restarts: %d", count, most)
		if most > 2*count {
			t.Errorf("%d tables for %d restarts", most, count)
		}
	})
}

// Two processes of one id: the later has the place, whoever of them is heard of last, and they do not take turns.
func TestTwoProcessesOfOneIDDoNotTakeTurns(t *testing.T) {
	membership.Virtually(t, 4, func(nodes []*membership.Membership, start func(int, string) *membership.Membership) {
		followers, stop := follow(20*time.Second, nodes...)
		defer stop()
		within(t, 2*time.Second, "all to have their places", func() bool { return settled(followers, 4, 0) })
		counted(followers)
		late := start(5, "m4")
		<-time.After(20 * time.Second)
		least, most := counted(followers)
		t.Logf("tables of each: %d to %d", least, most)
		if most != 1 || least != 1 || !settled(followers, 4, 0) {
			t.Errorf("%d to %d tables", least, most)
		}
		late.Stop() // killed: the earlier is the member again
		<-time.After(20 * time.Second)
		if _, most := counted(followers); most > 2 || !settled(followers, 4, 0) {
			t.Errorf("%d tables once the later is gone", most)
		}
	})
}
