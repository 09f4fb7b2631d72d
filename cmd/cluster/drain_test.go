package cluster

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/memring/memring/cmd/output"
)

// A fake is a member that answers each line as it is told to; the last answer to a line is given again and again.
type fake struct {
	address string
	answers map[string][]string

	mu    sync.Mutex // guards answers and asked
	asked []string
}

func newFake(t *testing.T, answers map[string][]string) *fake {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{address: l.Addr().String(), answers: answers}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				line, _ := bufio.NewReader(conn).ReadString('\n')
				_, _ = io.WriteString(conn, f.answer(strings.TrimSpace(line)))
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return f
}

func (f *fake) answer(line string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, line)
	answers := f.answers[line]
	if len(answers) == 0 {
		return ""
	}
	if len(answers) > 1 {
		f.answers[line] = answers[1:]
	}
	return answers[0]
}

// statusOf gives the answer to "cluster status" with these members, and problems.
func statusOf(members ...string) string {
	var lines strings.Builder
	lines.WriteString("CLUSTER memring asked=n1 members=2 down=0 partitions=16381 copies=1 copies_missing=0 moving=0 problems=0\r\n")
	for _, m := range members {
		lines.WriteString(m + "\r\n")
	}
	return lines.String() + "END\r\n"
}

const (
	first   = "MEMBER n1 state=active boot=a1 client=%s build=x uptime=100 owned=8000 held=8000 wanted=0 arriving=0 given=0 items=5 bytes=5000000 limit=67108864"
	second  = "MEMBER n2 state=active boot=b1 client=%s build=x uptime=90000 owned=8381 held=8381 wanted=0 arriving=0 given=0 items=100 bytes=2000000 limit=67108864 items_out=7 bytes_out=70"
	halfway = "MEMBER n2 state=draining boot=b1 client=%s build=x uptime=90001 owned=0 held=0 wanted=0 arriving=0 given=8381 items=100 bytes=2000000 limit=67108864 items_out=57 bytes_out=1000070"
	again   = "MEMBER n2 state=active boot=b2 client=%s build=x uptime=0 owned=8381 held=0 wanted=8381 arriving=0 given=0 items=0 bytes=0 limit=67108864"
)

func at(format, address string) string { return fmt.Sprintf(format, address) }

// A drain is watched until the member is gone, or back as another run; the one that is asked may be the one that goes.
func TestDrainIsWatched(t *testing.T) {
	f := func(flags string, gone string, want ...string) {
		t.Helper()
		other := newFake(t, nil)
		leaver := newFake(t, nil)
		both, on, after := statusOf(at(first, other.address), at(second, leaver.address)), statusOf(at(first, other.address), at(halfway, leaver.address)), statusOf(at(first, other.address))
		if gone == "restarted" {
			after = statusOf(at(first, other.address), at(again, leaver.address))
		}
		order := "cluster drain n2"
		asked := other
		if gone == "asked itself" {
			asked = leaver
			leaver.answers = map[string][]string{"cluster status": {both, on, ""}, order: {"OK\r\n"}}
			other.answers = map[string][]string{"cluster status": {on, after}}
		} else {
			other.answers = map[string][]string{"cluster status": {both, on, after}, order: {"OK\r\n"}}
		}
		printed, err := run(strings.Fields("drain n2 --addr " + asked.address + " " + flags)...)
		if err != nil {
			t.Errorf("%s: %v", gone, err)
		}
		for _, w := range want {
			if !strings.Contains(printed, w) {
				t.Errorf("%s: printed %q, want %q", gone, printed, w)
			}
		}
	}
	f("", "it is", "n2: 50 %, draining, 8381 partitions left, 50 items (0 MB) sent\n", "n2 has left after ")
	f("", "restarted", "n2 has left after ")
	f("", "asked itself", "n2: 50 %, draining", "n2 has left after ")
	f("--json", "it is", `{"bytes_sent":1000000,"items_sent":50,"member":"n2","partitions_left":8381,"percent":50,"seconds":`, `"state":"gone"`)
}

func TestDrainIsRefusedOrTakesTooLong(t *testing.T) {
	n := newFake(t, nil)
	n.answers = map[string][]string{
		"cluster status":   {statusOf(at(first, n.address), at(second, n.address))},
		"cluster drain n2": {"OK\r\n"}, "cluster drain n9": {"CLIENT_ERROR n9 is no member, see cluster members\r\n"}, "cluster drain n8": {"ERROR\r\n"},
		"cluster forget n2": {"CLIENT_ERROR n2 is here\r\n"}, "cluster forget n7": {"OK\r\n"},
	}
	f := func(line string, code int, want string) {
		t.Helper()
		_, err := run(append(strings.Fields(line), "--addr", n.address)...)
		if err == nil || !strings.Contains(err.Error(), want) || output.ExitCode(err) != code {
			t.Errorf("%s: %v, code %d; want %q, %d", line, err, output.ExitCode(err), want, code)
		}
	}
	f("drain n2 --timeout 300ms", 4, "n2 is still there after 300ms")
	f("drain n9", 1, "n9 is no member, see cluster members")
	f("drain n8", 1, "is it a memring node?")
	f("forget n2", 1, "n2 is here")
	if _, err := run("forget", "n7", "--addr", n.address); err != nil {
		t.Error(err)
	}
	if _, err := run("drain", "a b", "--addr", n.address); err == nil || !strings.HasPrefix(err.Error(), "MEMBER ") {
		t.Errorf("a b: %v", err)
	}
}

func TestStatusIsShown(t *testing.T) {
	n := newFake(t, nil)
	well := statusOf(at(first, "h:1"), at(second, "h:2"))
	n.answers = map[string][]string{"cluster status": {well, well, strings.Replace(well, "END", "PROBLEM n2 what=build says=y here=x\r\nPROBLEM n3 what=down for=61\r\nPROBLEM n1 what=clock ahead=-3.1\r\nEND", 1)}}
	printed, err := run("status", "--addr", n.address)
	want := `cluster memring, as n1 sees it: 2 members, 0 down; 16381 partitions, 0 moving; copies: 1 of each, 0 missing

MEMBER  STATE   BUILD  UP     OWNED  COMING  GOING  COPIES  ITEMS  MEMORY      CLIENTS
n1      active  x      1m40s  8000   0       0      -       5      4 of 64 MB  h:1
n2      active  x      1d1h   8381   0       0      -       100    1 of 64 MB  h:2

no problems
`
	if err != nil || printed != want {
		t.Errorf("printed\n%s\nwant\n%s, %v", printed, want, err)
	}
	printed, err = run("status", "--json", "--addr", n.address)
	if err != nil || !strings.Contains(printed, `"problems": []`) || !strings.Contains(printed, `"boot": "b1"`) {
		t.Errorf("%s, %v", printed, err)
	}
	printed, err = run("status", "--addr", n.address)
	if err == nil || output.ExitCode(err) != 1 || !strings.HasSuffix(printed, "\nproblem: n2 differs in its build: y, here x\nproblem: n3 went without a word 1m1s ago\n"+
		"problem: n1 has a clock that is off by -3.1 s: items expire at the wrong time, set it right and restart the node\n") {
		t.Errorf("%s, %v", printed, err)
	}
}
