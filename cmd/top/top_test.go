package top

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// answering is a conversation in which that comes, and then the end.
func answering(t *testing.T, answer string) *dial.Conn {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	go func() {
		_, _ = io.WriteString(far, answer)
		far.Close()
	}()
	return dial.NewConn(near, "node")
}

// sampleOf reads lines of nodes, parted by "; ".
func sampleOf(t *testing.T, at time.Time, lines string) sample {
	t.Helper()
	answer := ""
	for line := range strings.SplitSeq(lines, "; ") {
		answer += "STAT " + line + "\r\n"
	}
	s, err := read(answering(t, answer+"END\r\n"), at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRows(t *testing.T) {
	at := time.Unix(1000, 0)
	before := sampleOf(t, at, "a:cluster_state active; a:pid 1; a:uptime 5; a:cmd_get 100; a:get_hits 90; a:cmd_set 7; a:cluster_times_100us 50; a:cluster_times_200us 60; a:cluster_times_all 60; "+
		"b:c:cluster_state active; b:c:pid 2; b:c:uptime 900; b:c:cmd_get 5000")
	now := sampleOf(t, at.Add(2*time.Second), "a:cluster_state active; a:pid 1; a:uptime 7; a:cmd_get 300; a:get_hits 240; a:cmd_set 27; a:delete_hits 2; a:evictions 8; "+
		"a:curr_items 12345; a:bytes 1048576; a:limit_maxbytes 67108864; a:curr_connections 9; a:cluster_partitions_wanted 3; a:cluster_partitions_arriving 4; a:cluster_partitions_given 5; "+
		"a:cluster_times_100us 149; a:cluster_times_200us 160; a:cluster_times_all 160; "+
		"b:c:cluster_state joining; b:c:pid 3; b:c:uptime 1; b:c:cmd_get 9; b:c:curr_items 5; d:silent no answer in time")
	rows, all := now.rows(before)
	if len(rows) != 3 || rows[0].Node != "a" || rows[1].Node != "b:c" || rows[2].Node != "d" {
		t.Fatalf("%+v", rows)
	}
	a := rows[0]
	if a.Requests != 111 || a.Evictions != 4 || *a.HitRatio != 0.75 || *a.P99 != 100 || a.Items != 12345 || a.Coming != 7 || a.Going != 5 || a.Conns != 9 {
		t.Errorf("a: %+v, %v, %v", a, *a.HitRatio, *a.P99)
	}
	if b := rows[1]; b.Known || b.Requests != 0 || b.HitRatio != nil || b.P99 != nil || b.State != "joining" {
		t.Errorf("b, which has begun anew: %+v", b)
	}
	if all.State != "1 of 3 active" || all.Requests != 111 || all.Items != 12350 || *all.HitRatio != 0.75 {
		t.Errorf("all: %+v", all)
	}
	want := []string{
		"NODE  STATE                      REQUESTS/S     HITS     P99         MEMORY  ITEMS  EVICTED/S  CONNS  MOVING",
		"all   1 of 3 active                     111  75.00 %  100 us  1 MB of 64 MB  12.3k          4      9   +7 -5",
		"a     active                            111  75.00 %  100 us  1 MB of 64 MB  12.3k          4      9   +7 -5",
		"b:c   joining                             -        -       -              -      5          -      0       -",
		"d     silent: no answer in time           -        -       -              -      0          -      0       -",
	}
	if got := table(rows, all, 0, 0, output.Palette{}); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for width := 1; width < 120; width++ {
		for _, line := range table(rows, all, width, 0, output.Palette{}) {
			if len(line) > max(width, len("NODE")) {
				t.Errorf("%d columns: %q", width, line)
			}
		}
	}
	for height := 1; height < 9; height++ {
		got := table(rows, all, 0, height, output.Palette{})
		if last := got[len(got)-1]; len(got) < len(want) && last != fmt.Sprintf("and %d more", 5-(len(got)-1)) {
			t.Errorf("%d lines: %q", height, got)
		}
	}
}

func TestQuantile(t *testing.T) {
	f := func(want float64, known bool, times map[float64]float64) {
		t.Helper()
		if got, ok := quantile(0.99, times); got != want || ok != known {
			t.Errorf("%v: %v, %v; want %v", times, got, ok, want)
		}
	}
	f(0, false, nil)
	f(0, false, map[float64]float64{0: 0, 10: 0})
	f(9.9, true, map[float64]float64{0: 100, 10: 100, 20: 100})
	f(20, true, map[float64]float64{0: 100, 10: 0, 20: 99})
	f(15, true, map[float64]float64{0: 100, 10: 98, 20: 100})
	f(20, true, map[float64]float64{0: 100, 10: 10, 20: 20}) // the rest took longer than is told apart
}

func TestStrangeAnswers(t *testing.T) {
	f := func(answer, want string) {
		t.Helper()
		if _, err := read(answering(t, answer), time.Time{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
	}
	f("", "ended the connection")
	f("ERROR\r\n", "is it a memring node?")
	f("STAT pid 5\r\nEND\r\n", "is it a memring")
	f("CLIENT_ERROR unauthenticated\r\n", "--login")
	f("STAT a:pid 5\r\n", "ended the connection")
}

// measured has nodes measure every request.
func measured(cfg *node.Config) { cfg.MeasureEvery = 1 }

func start(in io.Reader, out io.Writer, args ...string) error {
	cmd := Command(11211)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetArgs(args)
	return cmd.Execute()
}

// talk asks a node for gets until the test ends.
func talk(t *testing.T, c *nodetest.Cluster) {
	conn, stop := c.Dial(0), make(chan struct{})
	var talking sync.WaitGroup
	talking.Go(func() {
		in := bufio.NewReader(conn)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := fmt.Fprintf(conn, "get key%d\r\n", n%100); err != nil {
				return
			}
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
		}
	})
	t.Cleanup(func() { close(stop); talking.Wait() })
}

func TestNotOnATerminal(t *testing.T) {
	c := nodetest.Start(t, 2, measured)
	talk(t, c)
	var out strings.Builder
	if err := start(nil, &out, "--addr", c.Addr(0).String(), "--interval", "200ms", "--count", "2", "--json"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%s", &out)
	}
	var said struct {
		All   row   `json:"all"`
		Nodes []row `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(lines[1]), &said); err != nil {
		t.Fatal(err)
	}
	if len(said.Nodes) != 2 || said.Nodes[1].Node != "n1" || said.All.Requests <= 0 || said.All.P99 == nil || said.All.HitRatio == nil || *said.All.HitRatio != 0 {
		t.Errorf("%s", lines[1])
	}
	out.Reset()
	if err := start(nil, &out, "--addr", c.Addr(0).String(), "--interval", "200ms", "--count", "1"); err != nil || strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), "\nn1    active") {
		t.Errorf("%q, %v", &out, err)
	}
	if err := start(nil, &out, "--addr", "127.0.0.1:1"); output.ExitCode(err) != output.Unreachable {
		t.Errorf("nobody is there: %v", err)
	}
	if err := start(nil, &out, "--interval", "1ms"); output.ExitCode(err) != output.Usage {
		t.Errorf("too often: %v", err)
	}
}
