//go:build chaos

package main

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// A member that hung, and was taken for dead, does not answer from its old memory when it wakes (CLUSTER.md 4.3, C5): neither its own clients nor
// those of others, nor do its deleted items come back.
func TestChaosAPausedMemberForgets(t *testing.T) {
	nodes := startCluster(t, 3)
	victim, other := nodes[1], memcache.New(nodes[0].address)
	other.Timeout = answerBound
	defer other.Close()
	const keys = 600
	set := func(n int, value string) error {
		return other.Set(&memcache.Item{Key: fmt.Sprintf("k%d", n), Value: []byte(value)})
	}
	for n := range keys {
		waitFor(t, "a key is written", func() error { return set(n, "old") })
	}
	if err := victim.running.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the others agree", func() error { return agree([]*process{nodes[0], nodes[2]}) })
	for n := range keys {
		waitFor(t, "a key is written anew", func() error {
			if n%3 == 0 {
				if err := other.Delete(fmt.Sprintf("k%d", n)); err != nil && !errors.Is(err, memcache.ErrCacheMiss) {
					return err
				}
				return nil
			}
			return set(n, "new")
		})
	}
	// The first requests after it wakes are already there when it does.
	reader := memcache.New(victim.address)
	reader.Timeout = 10 * time.Second
	defer reader.Close()
	early := make(chan error, keys)
	for n := range 20 {
		go func() { _, err := expectFresh(reader, n); early <- err }()
	}
	if err := victim.running.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := <-early; err != nil {
			t.Error(err)
		}
	}
	f := func(when string) (hits int) {
		t.Helper()
		for _, node := range nodes {
			client := memcache.New(node.address)
			client.Timeout = answerBound
			for n := range keys {
				hit, err := expectFresh(client, n)
				if err != nil {
					t.Errorf("%s, through %s: %v", when, node.address, err)
				}
				if hit {
					hits++
				}
			}
			client.Close()
		}
		return hits
	}
	f("at once")
	waitFor(t, "all agree", func() error { return agree(nodes) })
	f("later") // whatever would come back late
	hits, want := 0, len(nodes)*keys*2/3
	for try := 0; try < hurtTries && hits < want*99/100; try++ { // who has to wait too long for another gives up
		hits = f("in the end")
	}
	if hits < want*99/100 {
		t.Errorf("%d of %d reads found what was written", hits, want)
	}
}

// expectFresh reads a key; it may miss, or for a moment fail, but not be old.
func expectFresh(client *memcache.Client, n int) (hit bool, err error) {
	item, err := client.Get(fmt.Sprintf("k%d", n))
	switch {
	case err != nil:
		return false, nil
	case string(item.Value) != "new":
		return true, fmt.Errorf("k%d is %q", n, item.Value)
	}
	return true, nil
}
