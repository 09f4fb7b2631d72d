package storage

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSetLimit(t *testing.T) {
	for _, noEvict := range []bool{false, true} {
		s := openStore(t, Config{MaxBytes: 16 << 20, NoEvict: noEvict})
		fill(t, s, 10_000, 1000)
		before := s.Stats()
		if err := s.SetLimit(8 << 20); err != nil {
			t.Fatal(err)
		}
		lower := s.Stats()
		if lower.Memory > 8<<20 || lower.Items == 0 || lower.Evictions == 0 || lower.Segments >= before.Segments || lower.Limit != 8<<20 {
			t.Errorf("lowered from %+v to %+v", before, lower)
		}
		if err := s.SetLimit(32 << 20); err != nil {
			t.Fatal(err)
		}
		fill(t, s, 20_000, 1000)
		if st := s.Stats(); st.Memory > 32<<20 || st.Items < 20_000 || st.Evictions != lower.Evictions || st.Retired != 0 {
			t.Errorf("raised to %+v", st)
		}
		if err := s.SetLimit(1000); err == nil || !strings.Contains(err.Error(), "-m") {
			t.Errorf("a limit of 1000 bytes: %v", err)
		}
		check(t, s)
	}
}

// TestLoweredLimitGivesMemoryBack: not only what is charged falls, but what the process has.
func TestLoweredLimitGivesMemoryBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is given back on Linux only")
	}
	const before, after = 64 << 20, 8 << 20
	s := openStore(t, Config{MaxBytes: before})
	fill(t, s, 400_000, 100)
	debug.FreeOSMemory()
	full := resident(t)
	if err := s.SetLimit(after); err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory()
	lowered, st := resident(t), s.Stats()
	t.Logf("resident %d MB, after the limit was lowered %d MB", full>>20, lowered>>20)
	if given := full - lowered; given < (before-after)*4/5 && !raceOn {
		t.Errorf("%d of %d bytes given back", given, before-after)
	}
	if st.Memory > after || st.Retired != 0 || st.Items == 0 {
		t.Errorf("lowered to %+v", st)
	}
	check(t, s)
	if err := s.SetLimit(before); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 300_000, 100)
	if st := s.Stats(); st.Items < 290_000 || st.Memory > before {
		t.Errorf("raised to %+v", st)
	}
	check(t, s)
}

// TestCountersDoNotEvict: an item changed again and again does not cost others their place.
func TestCountersDoNotEvict(t *testing.T) {
	increments := 300_000
	if os.Getenv("MEMRING_LONG") != "" {
		increments = 10_000_000
	}
	s := openStore(t, Config{MaxBytes: 16 << 20})
	fill(t, s, 200_000, 50)
	others := s.Stats().Items
	key, value := make([]byte, 9), make([]byte, 10)
	evicted := s.Stats().Evictions
	for i := range increments {
		binary.LittleEndian.PutUint64(key, uint64(i%1000))
		h := s.Hold(key)
		it, found := h.Item()
		if !found {
			it = Item{Value: value}
			evicted++ // a new item may evict one
		}
		_, _ = h.Put(it)
		h.Release()
	}
	if n := s.Stats().Evictions; n > evicted+uint64(others/1000) {
		t.Errorf("%d of %d others evicted", n-evicted, others)
	}
	check(t, s)
}

// TestStall measures the slowest Put on a full store, by the time its thread has had a processor, while a walk and the crawler go round. What the
// machine does meanwhile (interrupts, another guest on its processor) is counted in; to know it, the same number of hashes is measured alike.
func TestStall(t *testing.T) {
	if raceOn {
		t.Skip("the race detector makes it slow")
	}
	maxBytes := int64(16 << 20)
	if v := os.Getenv("MEMRING_STALL_MB"); v != "" {
		mb, _ := strconv.Atoi(v)
		maxBytes = int64(mb) << 20
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	s := openStore(t, Config{MaxBytes: maxBytes})
	n := int(maxBytes / 140)
	fill(t, s, n*5/4, 50)
	n = min(n, 10_000_000)
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for c := (Cursor{}); ; {
			select {
			case <-stop:
				return
			default:
			}
			s.Crawl(1000)
			c, _ = s.Walk(c, func(hash uint64) bool { return hash%100 == 0 }, func([]byte, Item) bool { return true })
		}
	})
	key, value := make([]byte, 8), make([]byte, 50)
	took, noise := make([]time.Duration, 0, n), make([]time.Duration, 0, n)
	rnd := rand.New(rand.NewPCG(1, 1))
	for range n {
		binary.LittleEndian.PutUint64(key, rnd.Uint64N(uint64(4*n)))
		start := threadTime()
		h := s.Hold(key)
		_, _ = h.Put(Item{Value: value})
		h.Release()
		took = append(took, threadTime()-start)
		start = threadTime()
		for i := range value { // some microseconds that touch nothing else
			value[i] ^= byte(Hash(value))
		}
		noise = append(noise, threadTime()-start)
		if rnd.IntN(2) == 0 {
			binary.LittleEndian.PutUint64(key, rnd.Uint64N(uint64(2*n)))
			_, _, _ = s.Get(nil, key)
		}
	}
	close(stop)
	others.Wait()
	at := func(took []time.Duration, q float64) time.Duration { return took[int(q*float64(len(took)-1))] }
	for _, took := range [][]time.Duration{took, noise} {
		slices.Sort(took)
		t.Logf("-m %d MB, %d Puts of 50 bytes, then as many hashes: p50 %v, p99 %v, p99.99 %v, max %v of processor time", maxBytes>>20, n,
			at(took, .5), at(took, .99), at(took, .9999), at(took, 1))
	}
	if at(took, .9999) > 200*time.Microsecond {
		t.Errorf("p99.99 is %v", at(took, .9999))
	}
}

// threadTime is how long this thread has had a processor.
func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// TestResident fills stores in processes of their own, and compares what the system says they have with the limit. MEMRING_LONG=1 makes it run.
func TestResident(t *testing.T) {
	if spec := os.Getenv("MEMRING_RESIDENT"); spec != "" {
		fillAndSay(t, spec)
		return
	}
	if os.Getenv("MEMRING_LONG") == "" {
		t.Skip("MEMRING_LONG is not set")
	}
	for _, mb := range []int{64, 256, 1024} {
		for _, size := range []int{50, 200, 1000, 10_000, 100_000, 1_000_000, -1} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestResident$")
			cmd.Env = append(os.Environ(), fmt.Sprintf("MEMRING_RESIDENT=%d %d", mb, size))
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var resident, items, bytes int64
			if _, err := fmt.Sscan(string(out), &resident, &items, &bytes); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			over := resident - int64(mb)<<20
			t.Logf("-m %4d, %7d bytes: %8d items, resident %+5.1f MB of the limit, %8.0f items per GB resident", mb, size, items,
				float64(over)/(1<<20), float64(items)/float64(resident)*(1<<30))
			if over > 16<<20 {
				t.Errorf("over the limit and 16 MB")
			}
		}
	}
}

// fillAndSay is the process: it stores twice what fits. Size -1 is a mixture.
func fillAndSay(t *testing.T, spec string) {
	var mb int64
	var size int
	if _, err := fmt.Sscan(spec, &mb, &size); err != nil {
		t.Fatal(err)
	}
	debug.SetGCPercent(10)
	s := openStore(t, Config{MaxBytes: mb << 20})
	value, key := make([]byte, 1<<20), make([]byte, 8)
	rnd := rand.New(rand.NewPCG(1, 1))
	for stored, i := int64(0), uint64(0); stored < 2*mb<<20; i++ {
		n := size
		if size < 0 {
			n = 1 << (5 + rnd.IntN(15))
		}
		binary.LittleEndian.PutUint64(key, i)
		h := s.Hold(key)
		_, _ = h.Put(Item{Value: value[:n]})
		h.Release()
		stored += int64(n) + 60
	}
	st := s.Stats()
	fmt.Println(resident(t), st.Items, st.Bytes)
}

func resident(t *testing.T) int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if kb, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
			return n << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
