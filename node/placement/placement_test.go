package placement

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/ring"
)

// membersOf makes members of words such as "a", "b:draining", "c:2" (that many copies).
func membersOf(words string) (list []membership.Member) {
	for word := range strings.FieldsSeq(words) {
		id, rest, _ := strings.Cut(word, ":")
		m := membership.Member{Member: ring.Member{ID: id, Weight: 1}, Boot: 1, State: membership.Active, Copies: 1}
		switch rest {
		case "draining":
			m.State = membership.Draining
		case "":
		default:
			m.Copies = rest[0] - '0'
		}
		list = append(list, m)
	}
	return list
}

func TestPlacement(t *testing.T) {
	noon := time.Unix(1e9, 0)
	const grace = 20 * time.Second
	// f wants the places, "-" before who is down; and copies. The lost were lost as many seconds ago as their places in the list.
	f := func(here, lost, want string, copies int, until time.Duration) {
		t.Helper()
		var gone []membership.Lost
		for i, m := range membersOf(lost) {
			gone = append(gone, membership.Lost{Member: m, Since: noon.Add(-time.Duration(i) * time.Second)})
		}
		p := Of(membersOf(here), gone, grace, noon)
		var got []string
		for _, m := range p.Placed {
			if p.Down(m.ID) {
				got = append(got, "-"+m.ID)
			} else {
				got = append(got, m.ID)
			}
		}
		if strings.Join(got, " ") != want || p.Copies != copies {
			t.Errorf("%s; %s: placed %v, %d copies, want %s, %d", here, lost, got, p.Copies, want, copies)
		}
		if until == 0 && !p.Until.IsZero() || until != 0 && !p.Until.Equal(noon.Add(until)) {
			t.Errorf("%s; %s: until %v, want in %v", here, lost, p.Until, until)
		}
	}
	f("a b c", "", "a b c", 1, 0)
	f("a b", "c", "a b", 1, 0) // nobody has what it held
	f("a:2 c", "b", "a -b c", 2, grace)
	f("a:2 c:3", "b:4", "a -b c", 4, grace) // what counts is the most; the same a moment after the one that wants it went
	f("a b:draining", "", "a", 1, 0)
	f("a:2 b:draining", "c:draining", "a", 2, 0) // who has left has no place
	f("a:2 b:draining", "b", "a", 2, 0)
	f("a:draining", "b:2", "", 0, 0)
	f("c:2", "a b", "-a -b c", 2, grace-time.Second)
	f("x:2", "a b c d e f g h i j k l m n o p q r s t u v", "-a -b -c -d -e -f -g -h -i -j -k -l -m -n -o -p -q -r -s -t x", 2, time.Second)
}

func TestPlacementsMakeTables(t *testing.T) {
	params := ring.DefaultParams()
	params.Partitions = 271
	make := func(here, lost string) *ring.Table {
		var gone []membership.Lost
		for _, m := range membersOf(lost) {
			gone = append(gone, membership.Lost{Member: m, Since: time.Unix(1e9, 0)})
		}
		p := Of(membersOf(here), gone, time.Second, time.Unix(1e9, 0))
		table, err := p.Table(params, new(Placement), func() {})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	whole, without, after := make("a:2 b:2 c:2", ""), make("a:2 c:2", "b:2"), make("a:2 c:2", "")
	if whole.Print() == without.Print() || len(without.Members()) != 3 || without.Alive(1) || !whole.Alive(1) || len(after.Members()) != 2 {
		t.Errorf("%d members and %d, %d after the grace", len(whole.Members()), len(without.Members()), len(after.Members()))
	}
	for part := range uint32(params.Partitions) {
		if owner := whole.Owner(part); owner != 1 && without.Owner(part) != owner {
			t.Fatalf("partition %d has moved from %d to %d", part, owner, without.Owner(part))
		}
		if without.Owner(part) == 1 || !slices.Contains(whole.Holders(part), uint16(without.Owner(part))) {
			t.Fatalf("partition %d, held by %v, is led by %d", part, whole.Holders(part), without.Owner(part))
		}
	}
	if one, two := make("a b", ""), make("a b:2", ""); one.Print() == two.Print() || fmt.Sprint(one.Copies(), two.Copies()) != "1 2" {
		t.Error("the table does not say how many copies there are")
	}
}

// A table for which nobody waits is built at ease; one that replaces who is gone is not.
func TestTablesAreBuiltAtEase(t *testing.T) {
	params := ring.DefaultParams()
	f := func(before, now string, want bool) {
		t.Helper()
		was, is := Of(membersOf(before), nil, time.Minute, time.Now()), Of(membersOf(now), nil, time.Minute, time.Now())
		rests := 0
		if _, err := is.Table(params, &was, func() { rests++ }); err != nil {
			t.Fatal(err)
		}
		if got := rests > 0; got != want {
			t.Errorf("from %q to %q: %d rests, want some: %v", before, now, rests, want)
		}
	}
	f("", "a", false)
	f("", "a b c", true)
	f("a b c", "a b c d", true)
	f("a b c", "a b c:draining", true)
	f("a b c", "a b", false)
}
