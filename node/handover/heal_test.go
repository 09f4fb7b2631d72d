package handover

import (
	"fmt"
	"strings"
	"testing"

	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// A rift is two members that hold everything, each on its side, until they meet.
type rift struct {
	*stage
	t      *testing.T
	tables map[string]*ring.Table // each side's
	stores map[string]*storage.Store
	unique map[string]uint64 // CAS uniques, by side and key
}

func newRift(t *testing.T, tables map[string]*ring.Table) *rift {
	r := &rift{stage: &stage{members: map[string]*Handover{}}, t: t, tables: tables, stores: map[string]*storage.Store{}, unique: map[string]uint64{}}
	for _, id := range []string{"a", "b"} {
		r.stores[id] = r.enter(t, id)
		r.stores[id].Mourn(3600)
		r.members[id].cfg.Next = executor.New(executor.Config{Store: r.stores[id], Clock: storage.NewManualClock(1_700_000_000)})
		r.members[id].Adopt(tables[id], 0, nil)
	}
	return r
}

func tablesOfSides(t *testing.T) map[string]*ring.Table {
	return map[string]*ring.Table{"a": tableOf(t, "a"), "b": tableOf(t, "b"), "both": tableOf(t, "a", "b")}
}

// meet lets the sides see each other.
func (r *rift) meet() {
	both := r.tables["both"]
	r.members["a"].Adopt(both, 0, []Member{{ID: "b", Boot: 7}})
	r.members["b"].Adopt(both, 1, []Member{{ID: "a", Boot: 7}})
}

// ask has a side answer, while time goes on at the other as well.
func (r *rift) ask(side string, req protocol.Request) (status protocol.Status, value string, unique uint64) {
	h, resp := r.members[side], &protocol.Response{}
	pending := h.Handle(&req, resp)
	for settled := false; pending != nil && !settled; {
		for !pending.Done() {
			r.run(false)
		}
		resp = &pending.Response
		pending, settled = pending.Advance(&req)
	}
	for _, other := range r.stores {
		other.Witness(r.stores[side].Latest())
	}
	return resp.Status, string(resp.Value), resp.CAS
}

// does plays one step, "a set 1", for a key.
func (r *rift) does(key, step string) {
	words := strings.Fields(step)
	side, verb, number := words[0], words[1], strings.Join(words[2:], "")
	req := protocol.Request{Key: []byte(key), Value: []byte(number), Delta: 1}
	switch verb {
	case "set":
		req.Op = protocol.Set
	case "spend": // a set of what is gone at once
		req.Op, req.Exptime = protocol.Set, -1
	case "add":
		req.Op = protocol.Add
	case "cas":
		req.Op, req.Options, req.CAS = protocol.Set, protocol.Compare, r.unique[side+key]
	case "delete":
		req.Op = protocol.Delete
	case "incr":
		req.Op = protocol.Incr
	case "touch":
		req.Op, req.Exptime = protocol.Touch, -1
	case "append":
		req.Op = protocol.Append
	case "gets":
		req.Op = protocol.Get
	}
	status, _, unique := r.ask(side, req)
	if verb == "gets" {
		r.unique[side+key] = unique
	}
	if refused := status != protocol.OK; refused != (verb == "delete" && number == "nothing") {
		r.t.Errorf("%s: %s: status %d", key, step, status)
	}
}

// CLUSTER.md 4.3, C7 and C8: each side of a split goes on by itself, and when they meet the newest that was acknowledged on either is what all find: in whatever order they
// are asked, while one is still sending, or when all has come. What was deleted stays deleted, unless something newer was stored.
func TestHealNewestWins(t *testing.T) {
	tables := tablesOfSides(t)
	f := func(want string, steps ...string) {
		t.Helper()
		for _, when := range []string{"when it arrives", "in the end"} {
			r := newRift(t, tables)
			for i := range 8 { // some are a's in the end, some b's
				for _, step := range steps {
					r.does(fmt.Sprint("key", i), step)
				}
			}
			r.meet()
			if when == "in the end" {
				r.run(true)
			} else {
				for len(r.members["a"].arrivals)+len(r.members["b"].arrivals) == 0 {
					due := append(r.now, r.later...)
					r.now, r.later = due[1:], nil
					due[0]()
				}
			}
			for i := range 8 {
				key := fmt.Sprint("key", i)
				table := r.members["a"].table
				owner := table.Members()[table.Owner(table.Partition([]byte(key)))].ID
				part := r.members[owner].partOf(storage.Hash([]byte(key)))
				if state, _ := r.members[owner].parts[part].load(); state != arriving {
					r.run(true)
				}
				status, value, _ := r.ask(owner, protocol.Request{Op: protocol.Get, Key: []byte(key)})
				if got := value; got != want || (status == protocol.NotFound) != (want == "") {
					t.Errorf("%q, %s: %s is %q (status %d), want %q", steps, when, key, got, status, want)
				}
			}
			r.run(true)
			if items := r.stores["a"].Stats().Items + r.stores["b"].Stats().Items; want == "" && items != 0 {
				t.Errorf("%q: %d items in the end", steps, items)
			}
		}
	}
	f("2", "a set 1", "b set 2")
	f("2", "b set 1", "a set 2")
	f("3", "a set 1", "b set 2", "a set 3")

	f("", "a set 1", "b delete nothing") // nothing there, but the other side's is old now
	f("", "b set 1", "a delete nothing")
	f("", "a set 1", "b set 2", "a delete")
	f("", "a set 1", "b set 2", "b delete")
	f("3", "a set 1", "b set 2", "b delete", "a set 3")
	f("", "a set 1", "b set 2", "a touch")
	f("", "b set 1", "a set 2", "a touch")
	f("", "a set 1", "b spend 2")
	f("", "b set 1", "a spend 2")

	f("2", "a add 1", "b add 2")
	f("23", "a add 1", "b add 2", "b append 3")
	f("3", "a set 1", "b set 2", "a gets", "b gets", "b cas 4", "a cas 3") // one winner on each side, and the later one stays
	f("11", "a set 10", "b set 20", "b incr", "b incr", "a incr")          // sums do not merge
	f("22", "a set 10", "a incr", "b set 20", "b incr", "b incr")
}

// CLUSTER.md 4.3, C8: a flush_all of one side is obeyed by the other when they meet, and what was stored after it stays.
func TestHealFlushesBothSides(t *testing.T) {
	tables := tablesOfSides(t)
	for _, side := range []string{"a", "b"} {
		r := newRift(t, tables)
		for i := range 8 {
			r.does(fmt.Sprint("old", i), "a set 1")
			r.does(fmt.Sprint("old", i), "b set 2")
		}
		if status, _, _ := r.ask(side, protocol.Request{Op: protocol.Flush}); status != protocol.OK {
			t.Fatalf("flush: status %d", status)
		}
		for i := range 8 {
			r.does(fmt.Sprint("new", i), map[string]string{"a": "b set 3", "b": "a set 3"}[side])
		}
		r.meet()
		r.run(true)
		if items := r.stores["a"].Stats().Items + r.stores["b"].Stats().Items; items != 8 {
			t.Errorf("flushed on side %s: %d items in the end, want those 8 that are newer", side, items)
		}
	}
}
