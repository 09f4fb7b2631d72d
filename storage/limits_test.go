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
	"strconv"
	"strings"
	"testing"
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

// TestCountersDoNotEvict: a thousand counters that go up all the time in a full store cost others no place, and miss no step.
func TestCountersDoNotEvict(t *testing.T) {
	const counters = 1000
	steps := uint64(10_000_000 / counters)
	if raceOn || testing.Short() {
		steps = 300
	}
	s := openStore(t, Config{})
	fill(t, s, 600_000, 50)
	key, value := make([]byte, 9), make([]byte, 8)
	up := func(step uint64) {
		for i := range uint64(counters) {
			binary.LittleEndian.PutUint64(key, i)
			h := s.Hold(key)
			it, found := h.Item()
			if step == 0 {
				it = Item{Value: value}
			} else if !found || binary.LittleEndian.Uint64(it.Value) != step-1 {
				t.Fatalf("step %d: counter %d: %t, %x", step, i, found, it.Value)
			}
			binary.LittleEndian.PutUint64(it.Value, step)
			_, _ = h.Put(it)
			h.Release()
		}
	}
	up(0)
	filled := s.Stats()
	if filled.Evictions == 0 {
		t.Fatal("the store is not full")
	}
	others := uint64(filled.Items - counters)
	for step := range steps {
		up(step + 1)
	}
	evicted := s.Stats().Evictions - filled.Evictions
	t.Logf("%d increments evicted %d of %d others", steps*counters, evicted, others)
	if evicted > others/1000 {
		t.Errorf("%d increments evicted %d of %d others, more than one in a thousand", steps*counters, evicted, others)
	}
	check(t, s)
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
