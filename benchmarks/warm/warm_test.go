package warm

import (
	"context"
	"fmt"
	"math"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func someConfig() Config {
	return Config{Clients: 4, Rate: 4000, Keys: 500, Zipf: 0.99, Absent: 6, Updates: 5, Patience: 20 * time.Second, LeastBytes: 20, MostBytes: 200}
}

func TestValidate(t *testing.T) {
	f := func(ok bool, change func(*Config)) {
		t.Helper()
		c := someConfig()
		change(&c)
		if _, err := NewFleet(c); (err == nil) != ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	f(true, func(*Config) {})
	f(true, func(c *Config) { c.Absent, c.Updates = 0, 0 })
	f(false, func(c *Config) { c.Clients = 0 })
	f(false, func(c *Config) { c.Keys = c.Clients - 1 })
	f(false, func(c *Config) { c.Rate = math.NaN() })
	f(false, func(c *Config) { c.Rate = 0 })
	f(false, func(c *Config) { c.Zipf = 0 })
	f(false, func(c *Config) { c.Patience = 0 })
	f(false, func(c *Config) { c.Absent, c.Updates = 50, 50 })
	f(false, func(c *Config) { c.LeastBytes = headBytes - 1 })
	f(false, func(c *Config) { c.MostBytes = c.LeastBytes - 1 })
}

// TestOps: any hundred in a row are alike, so that a window's hit ratio tells what a cache does and not what was drawn.
func TestOps(t *testing.T) {
	c := someConfig()
	for from := range uint64(250) {
		var counts [Fill + 1]int
		for n := from; n < from+hundred; n++ {
			counts[c.opOf(n)]++
		}
		if counts != [Fill + 1]int{Get: 89, Absent: 6, Update: 5} {
			t.Fatalf("from %d on: %v", from, counts)
		}
	}
	for from := uint64(0); from < 300; from += 10 { // and far apart
		absent := 0
		for n := from; n < from+25; n++ {
			if c.opOf(n) == Absent {
				absent++
			}
		}
		if absent < 1 || absent > 3 {
			t.Errorf("%d of 25 from %d on", absent, from)
		}
	}
}

// TestLoad: all that is asked of servers that work well is answered, and the hit ratio is what the ops say.
func TestLoad(t *testing.T) {
	f := func(ketama bool) {
		t.Helper()
		fakes := startFakes(t, 3, !ketama)
		fleet, err := NewFleet(someConfig())
		if err != nil {
			t.Fatal(err)
		}
		servers := NewServers(ketama, seats(fakes)...)
		if missed, tally, err := fleet.Warm(context.Background(), servers); err != nil || missed != 500 || tally.Wrong+tally.Stale > 0 {
			t.Fatalf("cold: %d, %+v, %v", missed, tally, err)
		}
		if missed, tally, err := fleet.Warm(context.Background(), servers); err != nil || missed != 0 || tally.Wrong+tally.Stale > 0 {
			t.Fatalf("warm: %d, %+v, %v", missed, tally, err)
		}
		run := fleet.Start(servers)
		waitFor(t, func() bool { gets, _ := run.Ratio(); return gets >= 950 })
		gets, hits := run.Ratio()
		r := run.Stop()
		if ratio := 100 * float64(hits) / float64(gets); math.Abs(ratio-100*89.0/95) > 1 {
			t.Errorf("hit ratio %.2f", ratio)
		}
		if tally := r.Tally; len(tally.Errors) > 0 || tally.Wrong+tally.Stale+tally.Late+tally.Moved > 0 {
			t.Errorf("%+v", tally)
		}
		w := r.Over(0, run.Now())
		if w.Requests != len(r.Samples) || w.Gets < 950 || w.Failed > 0 || w.P50 <= 0 || w.P99 < w.P50 {
			t.Errorf("%+v", w)
		}
		seen := map[uint8]bool{}
		for _, s := range r.Samples {
			seen[s.Server] = true
		}
		if len(seen) != 3 {
			t.Errorf("ketama %v: servers asked: %v", ketama, seen)
		}
	}
	f(false)
	f(true)
}

// TestStopped: a server that is being stopped may close its connections, and clients then ask another one. Nobody else may.
func TestStopped(t *testing.T) {
	f := func(announced bool) {
		t.Helper()
		fakes := startFakes(t, 3, true)
		fleet, err := NewFleet(someConfig())
		if err != nil {
			t.Fatal(err)
		}
		run := fleet.Start(NewServers(false, seats(fakes)...))
		waitFor(t, func() bool { gets, _ := run.Ratio(); return gets >= 200 && fakes[1].asked() })
		if announced {
			fakes[1].seat.Stopping()
		}
		fakes[1].stop()
		before, _ := run.Ratio()
		waitFor(t, func() bool { gets, _ := run.Ratio(); return gets >= before+500 })
		r := run.Stop()
		if failed := r.Over(0, run.Now()).Failed; (failed == 0) != announced || failed != r.Tally.Errors[errUnanswered.Error()] {
			t.Errorf("announced %v: %d requests failed, %v", announced, failed, r.Tally.Errors)
		}
		if (r.Tally.Moved > 0) != announced {
			t.Errorf("announced %v: moved %d times", announced, r.Tally.Moved)
		}
		if last := r.Samples[len(r.Samples)-1]; last.Server == 1 {
			t.Error("a client still asks who is gone")
		}
	}
	f(true)
	f(false)
}

// TestErrors: what is no right answer is told as what it is.
func TestErrors(t *testing.T) {
	f := func(answer string, cut bool, want string) {
		t.Helper()
		fakes := startFakes(t, 1, true)
		fakes[0].say(answer, cut)
		fakes[0].seat.Stopping() // excuses only a connection that is closed before an answer
		fleet, err := NewFleet(someConfig())
		if err != nil {
			t.Fatal(err)
		}
		run := fleet.Start(NewServers(false, fakes[0].seat))
		waitFor(t, func() bool { gets, _ := run.Ratio(); return gets >= 20 })
		r := run.Stop()
		if n := r.Tally.Errors[want]; n < 20 || n != r.Over(0, run.Now()).Failed {
			t.Errorf("%q: %v", answer, r.Tally.Errors)
		}
	}
	f("SERVER_ERROR out of memory\r\n", false, "SERVER_ERROR out of memory")
	f("ERROR\r\n", false, "ERROR")
	f("CLIENT_ERROR bad\r\n", false, "CLIENT_ERROR bad")
	f("HELLO\r\n", true, errStrange.Error())
	f("SERVER_", true, errCut.Error())
	f("VALUE other 0 3\r\nabc\r\nEND\r\n", true, errStrange.Error())
}

// TestLate: a server that accepts and says nothing costs a client its patience, and is an error also while it is being stopped.
func TestLate(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	s := &Server{Addr: silent.Addr().String()}
	s.Stopping()
	c := someConfig()
	c.Patience = 50 * time.Millisecond
	fleet, err := NewFleet(c)
	if err != nil {
		t.Fatal(err)
	}
	run := fleet.Start(NewServers(false, s))
	waitFor(t, func() bool { gets, _ := run.Ratio(); return gets >= 8 })
	r := run.Stop()
	if n := r.Tally.Errors[errLate.Error()]; n < 8 || r.Tally.Moved > 0 {
		t.Errorf("%+v", r.Tally)
	}
	for _, sample := range r.Samples {
		if sample.Took < c.Patience {
			t.Errorf("given up after %v", sample.Took)
		}
	}
}

// TestWarmThroughRefusals: a key that is refused is told, and does not keep the others from being set.
func TestWarmThroughRefusals(t *testing.T) {
	fakes := startFakes(t, 1, true)
	fakes[0].refuse(KeyAt(7))
	fleet, err := NewFleet(someConfig())
	if err != nil {
		t.Fatal(err)
	}
	missed, _, err := fleet.Warm(context.Background(), NewServers(false, fakes[0].seat))
	if !isRefusal(err) || missed != 499 {
		t.Errorf("%d missed, %v", missed, err)
	}
	fakes[0].refuse("")
	if missed, _, err = fleet.Warm(context.Background(), NewServers(false, fakes[0].seat)); err != nil || missed != 1 {
		t.Errorf("%d missed, %v", missed, err)
	}
}

func TestJudge(t *testing.T) {
	c := someConfig()
	l := newLedger(c)
	const key = 3
	versions := [][]byte{nil}
	set := func(acked, doubted bool) {
		version, ok := l.begin(key)
		if _, again := l.begin(key); !ok || again {
			t.Fatal("a key is not claimed by one client at a time")
		}
		versions = append(versions, l.appendValue(nil, key, version))
		l.end(key, version, acked, doubted)
	}
	f := func(acked uint32, value []byte, want standing) {
		t.Helper()
		if got := l.judge(key, acked, value); got != want {
			t.Errorf("a value is %d, want %d", got, want)
		}
	}
	f(0, l.appendValue(nil, key, 1), wrong) // nobody has set it yet
	set(true, false)
	set(true, false)
	set(false, true)
	set(true, false)
	if l.acked[key].Load() != 4 {
		t.Error("what was acknowledged is not noted")
	}
	f(4, versions[4], right)
	f(3, versions[4], right)
	f(4, versions[1], stale)
	f(4, versions[2], stale)
	f(1, versions[2], right) // the read began before
	f(4, versions[3], late)
	f(4, l.appendValue(nil, key, 5), wrong)
	f(0, l.appendValue(nil, key, 0), wrong)
	f(0, l.appendValue(nil, key+1, 1), wrong)
	f(0, nil, wrong)
	f(0, versions[4][:len(versions[4])-1], wrong)
	for i := range versions[4] {
		changed := append([]byte(nil), versions[4]...)
		changed[i] ^= 0x40
		if got := l.judge(key, 4, changed); got == right {
			t.Errorf("byte %d may change", i)
		}
	}
	if l.judge(l.keys(), 0, versions[1]) != wrong {
		t.Error("a value of a key that the database has not is right")
	}
}

func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	const bound, every = time.Minute, 5 * time.Millisecond
	for end := time.Now().Add(bound); !is(); <-time.After(every) {
		if time.Now().After(end) {
			t.Fatal("it did not come in time")
		}
	}
}

func seats(fakes []*fake) (all []*Server) {
	for _, f := range fakes {
		all = append(all, f.seat)
	}
	return all
}

func ExampleKeyAt() {
	fmt.Println(len(KeyAt(0)), KeyAt(0) != KeyAt(1))
	// Output: 30 true
}
