package node_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// answerTo gives the lines of an answer, without the END.
func answerTo(t *testing.T, conn net.Conn, question string) (lines []string) {
	t.Helper()
	defer conn.Close()
	if _, err := io.WriteString(conn, question+"\r\n"); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(conn); in.Scan(); {
		if line := in.Text(); line == "END" {
			return lines
		} else if lines = append(lines, line); line == "OK" || strings.Contains(line, "ERROR") {
			return lines
		}
	}
	t.Fatalf("%s: %q has no end", question, lines)
	return nil
}

// about gives the fields of the line of a report that begins so.
func about(lines []string, head string) map[string]string {
	for _, line := range lines {
		if rest, found := strings.CutPrefix(line+" ", head+" "); found {
			fields := map[string]string{}
			for word := range strings.FieldsSeq(rest) {
				name, value, _ := strings.Cut(word, "=")
				fields[name] = value
			}
			return fields
		}
	}
	return nil
}

// shutDown lets clients end a node, as -A does.
func shutDown(cfg *node.Config) { cfg.EnableShutdown = true }

// Any member may be asked to drain another, which then hands over all it has and leaves, as when it is told by a signal.
func TestDrainIsAskedFor(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, 3, shutDown)
	fill(t, c, 0, 300)
	refused := func(at int, order, want string) {
		t.Helper()
		if got := answerTo(t, c.Dial(at), order); len(got) != 1 || !strings.HasPrefix(got[0], "CLIENT_ERROR ") || !strings.Contains(got[0], want) {
			t.Errorf("%s: %q, want %q", order, got, want)
		}
	}
	refused(0, "cluster drain n7", "n7 is no member")
	refused(0, "cluster forget n7", "nobody misses n7")
	refused(0, "cluster forget n1", "n1 is here")
	if got := answerTo(t, c.Dial(0), "cluster drain n1"); len(got) != 1 || got[0] != "OK" {
		t.Fatalf("%q", got)
	}
	select {
	case graceful := <-c.Nodes[1].Shutdowns():
		if !graceful {
			t.Error("it was not asked to leave in order")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it was not asked to leave")
	}
	c.Stop(1) // what cmd/memring does then
	c.WaitAgreed()
	c.WaitSettled()
	k := newAsker(t, c.Dial(2))
	for i := range 300 {
		if got := k.line("mg k%d s", i); got != "HD s1000" {
			t.Fatalf("k%d after the drain: %s", i, got)
		}
	}
	c.Wait("n1 is a member no more", func() bool {
		return strings.Contains(strings.Join(answerTo(t, c.Dial(0), "cluster drain n1"), ""), "n1 is no member")
	})
	c.Stop(2)
	c.WaitAgreed()
	c.Wait("the last one is not drained", func() bool {
		return strings.Contains(strings.Join(answerTo(t, c.Dial(0), "cluster drain n0"), ""), "no other active member says that it stays")
	})
	select {
	case <-c.Nodes[0].Shutdowns():
		t.Error("the last one was told to leave all the same")
	default:
	}
}

// Of the last two that are told to drain at once one stays at least, whatever gossip has told by then, and says why: else all that the cluster has would be lost.
func TestTheLastOfThoseWhoDrainStays(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, 2, shutDown)
	fill(t, c, 0, 100)
	var answers [2]string
	leaver, granted := 0, 0
	c.Wait("one is told to leave", func() bool { // each may hear of the other before it is told itself
		conns := [2]net.Conn{c.Dial(0), c.Dial(1)}
		var asking sync.WaitGroup
		for i, conn := range conns {
			asking.Go(func() {
				defer conn.Close()
				if _, err := fmt.Fprintf(conn, "cluster drain n%d\r\n", i); err != nil {
					t.Error(err)
				}
				answers[i], _ = bufio.NewReader(conn).ReadString('\n')
			})
		}
		asking.Wait()
		for i, answer := range answers {
			switch {
			case answer == "OK\r\n":
				leaver = i
				granted++
			case !strings.Contains(answer, "says that it stays"):
				t.Errorf("n%d: %q", i, answer)
			}
		}
		return granted > 0 || t.Failed()
	})
	if granted != 1 {
		t.Fatalf("%d are told to leave: %q", granted, answers)
	}
	stayer := 1 - leaver
	again := func(want string) {
		t.Helper()
		if got := answerTo(t, c.Dial(leaver), fmt.Sprintf("cluster drain n%d", stayer)); len(got) != 1 || !strings.HasPrefix(got[0], "CLIENT_ERROR ") || !strings.Contains(got[0], want) {
			t.Errorf("the other: %q, want %q", got, want)
		}
	}
	again("says that it stays") // nobody knows of it by gossip: what cmd/memring does with the order has not begun
	select {
	case <-c.Nodes[stayer].Shutdowns():
		t.Error("it was told to leave all the same")
	default:
	}
	c.Stop(leaver)
	c.WaitSettled()
	k := newAsker(t, c.Dial(stayer))
	for i := range 100 {
		if got := k.line("mg k%d s", i); got != "HD s1000" {
			t.Fatalf("k%d: %s", i, got)
		}
	}
}

// Who does not let clients end it is not drained by them, whoever passes that on; nor does it pass that on.
func TestDrainMustBeAllowed(t *testing.T) {
	c := nodetest.Start(t, 1, func(cfg *node.Config) { cfg.EnableShutdown = true })
	c.Launch(func(cfg *node.Config) { cfg.EnableShutdown = false })
	c.Launch(func(cfg *node.Config) { cfg.DrainTimeout = 0 })
	c.WaitAgreed()
	f := func(at int, member, want string) {
		t.Helper()
		if got := answerTo(t, c.Dial(at), "cluster drain "+member); len(got) != 1 || !strings.HasPrefix(got[0], "CLIENT_ERROR "+want) {
			t.Errorf("n%d asked to drain %s: %q, want %q", at, member, got, want)
		}
	}
	f(0, "n1", "n1: cluster drain not enabled")
	f(1, "n0", "cluster drain not enabled")
	f(1, "n1", "cluster drain not enabled")
	f(0, "n2", "n2: started with --drain-timeout 0")
	for _, n := range c.Nodes {
		select {
		case <-n.Shutdowns():
			t.Errorf("%s was told to leave", n.Self().ID)
		default:
		}
	}
}

// One report has all members and what is wrong.
func TestClusterStatus(t *testing.T) {
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.Build, cfg.Ring.Copies = "b1", 2 })
	c.WaitCopied()
	lines := answerTo(t, c.Dial(1), "cluster status")
	head := about(lines, "CLUSTER memring")
	if len(lines) != 4 || head["asked"] != "n1" || head["members"] != "3" || head["down"] != "0" || head["copies"] != "2" || head["copies_missing"] != "0" || head["moving"] != "0" || head["problems"] != "0" {
		t.Fatalf("%q", lines)
	}
	owned := 0
	for i, n := range c.Nodes {
		m := about(lines, fmt.Sprintf("MEMBER n%d", i))
		if m["state"] != "active" || m["build"] != "b1" || m["client"] != c.Addr(i).String() || m["boot"] != fmt.Sprintf("%x", n.Self().Boot) || m["owned"] != m["held"] ||
			m["table"] != fmt.Sprintf("%016x", n.Table().Print()) {
			t.Errorf("n%d: %v", i, m)
		}
		var parts int
		_, _ = fmt.Sscan(m["owned"], &parts)
		owned += parts
	}
	if owned != c.Nodes[0].Table().Partitions() {
		t.Errorf("%d partitions owned", owned)
	}
	c.Launch(func(cfg *node.Config) { cfg.Build, cfg.RebalanceDelay = "b2", time.Minute })
	c.WaitAgreed()
	var problems []string
	c.Wait("all are asked", func() bool {
		problems = nil
		for _, line := range answerTo(t, c.Dial(0), "cluster status") {
			if strings.HasPrefix(line, "PROBLEM") {
				problems = append(problems, line)
			}
		}
		return len(problems) == 2
	})
	if problems[0] != "PROBLEM n3 what=build says=b2 here=b1" || problems[1] != "PROBLEM n3 what=setting name=rebalance_delay says=1m0s here=20s" {
		t.Errorf("%q", problems)
	}
}

// A member that is gone for good is forgotten: its grace ends at once, everywhere, and copies are made of what is there but once.
func TestForgottenMemberKeepsNoPlace(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, 4, func(cfg *node.Config) { cfg.Ring.Copies, cfg.RebalanceDelay = 2, 10*time.Minute })
	fill(t, c, 0, 200)
	c.WaitCopied()
	c.Crash(3)
	c.WaitAgreed()
	if got := len(c.Nodes[0].Table().Members()); got != 4 {
		t.Fatalf("%d places in the grace", got)
	}
	c.Wait("gossip knows, and all forget it", func() bool {
		got := answerTo(t, c.Dial(0), "cluster forget n3")
		return got[0] == "OK"
	})
	c.Wait("it has no place any more", func() bool {
		for _, n := range c.Nodes[:3] {
			if len(n.Table().Members()) != 3 {
				return false
			}
		}
		return true
	})
	c.WaitCopied()
	lines := answerTo(t, c.Dial(1), "cluster status")
	if head := about(lines, "CLUSTER memring"); head["members"] != "3" || head["problems"] != "0" || head["copies_missing"] != "0" {
		t.Errorf("%q", lines)
	}
	k := newAsker(t, c.Dial(2))
	for i := range 200 {
		if got := k.line("mg k%d s", i); got != "HD s1000" {
			t.Fatalf("k%d: %s", i, got)
		}
	}
	if got := answerTo(t, c.Dial(2), "cluster forget n3"); got[0] != "OK" {
		t.Errorf("forgotten again: %q", got)
	}
}

// A key on the owner's side, whatever became of it, and its copy: what is told is true, and what is not known is not told.
func TestExplainTellsTheTruth(t *testing.T) {
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.Ring.Copies, cfg.MaxBytes = 2, 8<<20 })
	c.WaitCopied()
	k := newAsker(t, c.Dial(0))
	do := func(want, format string, args ...any) {
		t.Helper()
		if got := k.line(format, args...); got != want {
			t.Fatalf(format+": %s, want %s", append(args, got, want)...)
		}
	}
	// f asks every node about a key; its holders say what they know.
	f := func(key string, want ...string) (owner map[string]string) {
		t.Helper()
		table := c.Nodes[0].Table()
		part := table.Partition([]byte(key))
		holders := table.Holders(part)
		for i := range c.Nodes {
			lines := answerTo(t, c.Dial(i), "explain "+key)
			head := about(lines, "KEY "+key)
			if len(lines) != 3 || head["partition"] != fmt.Sprint(part) || head["owner"] != table.Members()[holders[0]].ID || head["copies"] != table.Members()[holders[1]].ID {
				t.Fatalf("%q", lines)
			}
			for n, role := range []string{"role=owner partition=held", "role=replica partition=copied"} {
				id := table.Members()[holders[n]].ID
				line := lines[n+1]
				for _, words := range append([]string{"HOLDER " + id + " " + role}, want...) {
					if !strings.Contains(line, words) {
						t.Errorf("%q lacks %q", line, words)
					}
				}
			}
			owner = about(lines, "HOLDER "+head["owner"])
		}
		return owner
	}
	do("STORED", "set here 7 1000 5\r\nvalue")
	do("STORED", "set expires 0 1 1\r\nx")
	do("STORED", "set deleted 0 0 1\r\nx")
	do("DELETED", "delete deleted")
	here := f("here", "item=yes", "bytes=5 flags=7")
	do("HD c"+here["cas"], "mg here c")
	c.Wait("it has expired, at both holders", func() bool {
		return strings.Count(strings.Join(answerTo(t, c.Dial(1), "explain expires"), " "), "item=no") == 2
	})
	f("expires", "item=no why=expired ago=")
	f("deleted", "item=no why=deleted ago=")
	f("never", "item=no why=never_stored since=")

	// A move takes what is known of an item along with it; what became of others is not known at their new holder, who says so.
	c.Launch()
	c.WaitAgreed()
	c.WaitCopied()
	moved := answerTo(t, c.Dial(3), "explain here")
	if owner := about(moved, "HOLDER "+about(moved, "KEY here")["owner"]); owner["item"] != "yes" || owner["cas"] != here["cas"] || owner["bytes"] != "5" {
		t.Errorf("after a move: %q", moved)
	}
	for i := range 200 {
		key := fmt.Sprintf("gone-%d", i)
		lines := answerTo(t, c.Dial(0), "explain "+key)
		for _, line := range lines[1:] {
			if !strings.Contains(line, "why=never_stored") && !strings.Contains(line, "why=not_known") {
				t.Errorf("%q", line)
			}
		}
	}

	// Evicted, among many: those of which it is told were there, and are not.
	value := strings.Repeat("x", 4000)
	const many, batch = 10_000, 500
	for i := 0; i < many; i += batch {
		if stored := k.batch("full-", i, batch, value); stored != batch {
			t.Fatalf("%d of %d stored", stored, batch)
		}
	}
	evicted := 0
	for i := 0; i < many; i += 100 {
		key := fmt.Sprintf("full-%d", i)
		lines := answerTo(t, c.Dial(0), "explain "+key)
		owner := about(lines, "HOLDER "+about(lines, "KEY "+key)["owner"])
		hit := k.line("mg %s s", key) == "HD s4000"
		switch why := owner["why"]; {
		case hit != (owner["item"] == "yes"):
			t.Errorf("%q, and a hit: %v", lines, hit)
		case hit:
		case why == "evicted" && owner["ago"] != "":
			evicted++
		case why != "perhaps_evicted" && why != "not_known":
			t.Errorf("%q", lines)
		}
	}
	if evicted == 0 {
		t.Error("of none it is told that it was evicted")
	}

	do("OK", "flush_all")
	lines := answerTo(t, c.Dial(1), "explain here")
	if owner := about(lines, "HOLDER "+about(lines, "KEY here")["owner"]); owner["why"] != "not_known" || owner["flushed_ago"] == "" {
		t.Errorf("after a flush: %q", lines)
	}
	c.Crash(2)
	c.WaitAgreed()
	if lines := answerTo(t, c.Dial(1), "explain here"); len(lines) < 3 {
		t.Errorf("while one is down: %q", lines)
	}
}

// A clock that is far from the others' is told of by all, the one that is wrong among them.
func TestWrongClockIsAProblem(t *testing.T) {
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.Debug = true })
	if got := answerTo(t, c.Dial(2), "debugtime 90"); got[0] != "OK" {
		t.Fatal(got)
	}
	for i := range c.Nodes {
		lines := answerTo(t, c.Dial(i), "cluster status")
		var ahead float64
		_, err := fmt.Sscan(about(lines, "PROBLEM n2")["ahead"], &ahead)
		if err != nil || ahead < 60 || ahead > 120 || about(lines, "PROBLEM n0") != nil || about(lines, "PROBLEM n1") != nil {
			t.Errorf("n%d: %q", i, lines)
		}
	}
	told := &diary{}
	c.Launch(func(cfg *node.Config) { cfg.Log = slog.New(slog.NewTextHandler(told, nil)) })
	c.Wait("who comes tells its log of it", func() bool { return told.count(`its node restarted" member=n2 ahead=1m`) > 0 })
}
