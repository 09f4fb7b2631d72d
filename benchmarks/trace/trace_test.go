package trace

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	f := func(lines string, want ...Request) {
		t.Helper()
		got, err := Read(strings.NewReader("time,key,size,op,ttl\n" + lines))
		if err != nil {
			t.Errorf("%q: %v", lines, err)
		} else if !slices.Equal(got.Requests, want) {
			t.Errorf("%q is read as %v, want %v", lines, got.Requests, want)
		}
	}
	f("")
	f("0,0,152,get,0\n", Request{Key: 0, Size: 152})
	f("0,7,152,set,60\n3,8,4,delete,0\n", Request{Key: 7, Size: 152, TTL: 60, Op: Set}, Request{Key: 8, Size: minBytes, Op: Delete})
}

func TestReadRefuses(t *testing.T) {
	f := func(text string) {
		t.Helper()
		if got, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q is read as %v", text, got.Requests)
		}
	}
	f("")
	f("time,key,size\n")
	f("time,key,size,op,ttl\n0,1,2,get\n")
	f("time,key,size,op,ttl\n0,1,2,get,0,0\n")
	f("time,key,size,op,ttl\n0,1,2,incr,0\n")
	f("time,key,size,op,ttl\n0,-1,2,get,0\n")
	f("time,key,size,op,ttl\n0,,2,get,0\n")
	f("time,key,size,op,ttl\n0,268435456,2,get,0\n")
	f("time,key,size,op,ttl\n0,1,99999999999999999999,get,0\n")
}

func FuzzRead(f *testing.F) {
	f.Add("time,key,size,op,ttl\n0,7,152,set,60\n3,8,4,delete,0\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, r := range got.Requests {
			if int(r.Key) >= got.Keys || r.Size < minBytes || r.Op > Delete {
				t.Fatalf("%q gives %v with %d keys", text, r, got.Keys)
			}
		}
	})
}

func TestKindsAreTheSameEveryTime(t *testing.T) {
	for _, k := range Kinds() {
		a, b, other := k.Generate(1000, 5000, 1), k.Generate(1000, 5000, 1), k.Generate(1000, 5000, 2)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: one seed makes two traces", k.Name)
		}
		if slices.Equal(a.Requests, other.Requests) {
			t.Errorf("%s: two seeds make one trace", k.Name)
		}
		sizes := map[uint32]uint32{}
		for _, r := range a.Requests {
			if int(r.Key) >= a.Keys || r.Size < minBytes || r.Size > MaxBytes {
				t.Fatalf("%s: %v with %d keys", k.Name, r, a.Keys)
			}
			if size, ok := sizes[r.Key]; ok && size != r.Size {
				t.Fatalf("%s: key %d has the sizes %d and %d", k.Name, r.Key, size, r.Size)
			}
			sizes[r.Key] = r.Size
		}
		if ttls := slices.ContainsFunc(a.Requests, func(r Request) bool { return r.TTL > 0 }); ttls != a.Paced {
			t.Errorf("%s: TTLs %v, paced %v", k.Name, ttls, a.Paced)
		}
		if _, err := KindOf(k.Name); err != nil {
			t.Error(err)
		}
	}
	if _, err := KindOf("nonsense"); err == nil {
		t.Error("nonsense is generated")
	}
}

func TestKindsDoWhatTheySay(t *testing.T) {
	const keys, requests = 1000, 20_000
	ops := func(name string) (got [3]int) {
		k, _ := KindOf(name)
		for _, r := range k.Generate(keys, requests, 1).Requests {
			got[r.Op]++
		}
		return got
	}
	if got := ops("half-writes"); math.Abs(float64(got[Set])/requests-0.5) > 0.02 {
		t.Errorf("half-writes: %v", got)
	}
	if got := ops("zipf-1.0"); got[Get] != requests {
		t.Errorf("zipf-1.0: %v", got)
	}
	once := func(name string) float64 {
		k, _ := KindOf(name)
		times := map[uint32]int{}
		for _, r := range k.Generate(keys, requests, 1).Requests {
			times[r.Key]++
		}
		n := 0
		for _, count := range times {
			if count == 1 {
				n++
			}
		}
		return float64(n) / requests
	}
	if got := once("one-hit"); math.Abs(got-0.5) > 0.03 {
		t.Errorf("one-hit: %.2f of the requests are for keys never seen again", got)
	}
	k, _ := KindOf("churn")
	first, last := map[uint32]int{}, map[uint32]int{}
	for i, r := range k.Generate(keys, requests, 1).Requests {
		if i < requests/10 {
			first[r.Key]++
		} else if i >= requests*9/10 {
			last[r.Key]++
		}
	}
	top := func(m map[uint32]int) (key uint32) {
		for k, n := range m {
			if n > m[key] {
				key = k
			}
		}
		return key
	}
	if a, b := top(first), top(last); b <= a {
		t.Errorf("churn: the most popular key was %d and then %d", a, b)
	}
}

// TestZipf compares the draws with the probabilities that the definition gives.
func TestZipf(t *testing.T) {
	f := func(s float64) {
		t.Helper()
		const n, draws = 100, 200_000
		z := NewZipf(rand.New(rand.NewPCG(1, 2)), s, n)
		var counts [n]int
		for range draws {
			counts[z.Rank()]++
		}
		var sum float64
		for r := range n {
			sum += math.Pow(float64(r+1), -s)
		}
		for r, count := range counts {
			want := math.Pow(float64(r+1), -s) / sum * draws
			if math.Abs(float64(count)-want) > 5*math.Sqrt(want) { // five standard deviations
				t.Errorf("Zipf %v: rank %d came %d times, want about %.0f", s, r, count, want)
			}
		}
	}
	f(0.5)
	f(0.8)
	f(0.99)
	f(1)
	f(1.2)
	f(2)
	if z := NewZipf(rand.New(rand.NewPCG(1, 2)), 1, 1); z.Rank() != 0 {
		t.Error("of one rank, another came")
	}
}

func TestStack(t *testing.T) {
	one := &Trace{Keys: 2, Requests: []Request{{Key: 0, Size: 100}, {Key: 1, Size: 200}}}
	if one.Stack(1) != one {
		t.Error("one tenant is the trace itself")
	}
	got := one.Stack(2)
	want := []Request{{Key: 0, Size: 100}, {Key: 3, Size: 200}, {Key: 1, Size: 200}, {Key: 2, Size: 100}}
	if got.Keys != 4 || !slices.Equal(got.Requests, want) {
		t.Errorf("two tenants make %v of %d keys", got.Requests, got.Keys)
	}
	if bytes, keys := got.Footprint(); bytes != 600 || keys != 4 {
		t.Errorf("their footprint is %d bytes, %d keys", bytes, keys)
	}
}

func TestFit(t *testing.T) {
	k, _ := KindOf("zipf-0.8")
	made := k.Generate(5000, 50_000, 1)
	f := func(footprint uint64) {
		t.Helper()
		fitted, factor := made.Fit(footprint)
		if got, _ := fitted.Footprint(); math.Abs(float64(got)/float64(footprint)-1) > 0.02 {
			t.Errorf("by %.2f the footprint is %d, not %d", factor, got, footprint)
		}
	}
	f(1 << 20)
	f(64 << 20)
	f(1 << 30)
	if huge, _ := made.Fit(1 << 50); huge.Requests[0].Size != MaxBytes {
		t.Error("a size above MaxBytes")
	}
}

func TestKeysAreDistinctAndFixed(t *testing.T) {
	seen := map[string]bool{}
	for i := range uint32(10_000) {
		key := string(AppendKey(nil, i))
		if len(key) != KeyBytes || seen[key] {
			t.Fatalf("key %d is %q", i, key)
		}
		seen[key] = true
	}
	buf := make([]byte, 0, KeyBytes)
	if n := testing.AllocsPerRun(100, func() { buf = AppendKey(buf[:0], 7) }); n != 0 {
		t.Errorf("%v allocations a key", n)
	}
}

func BenchmarkZipf(b *testing.B) {
	z := NewZipf(rand.New(rand.NewPCG(1, 2)), 0.99, 1_000_000)
	for b.Loop() {
		z.Rank()
	}
}
