package piece

import "testing"

// TestEachTakesNoMemoryForNone: what is not there costs nothing, and what is there is found, alone, until it is taken out.
func TestEachTakesNoMemoryForNone(t *testing.T) {
	const partitions = 1 << 14
	e := NewEach[string](partitions)
	if e.Len() != partitions {
		t.Fatalf("%d partitions, want %d", e.Len(), partitions)
	}
	if n := testing.AllocsPerRun(10, func() { e.Store(7, nil) }); n != 0 || e.Load(7) != nil {
		t.Fatalf("%v allocations for none, and %v is there", n, e.Load(7))
	}
	one, two := "one", "two"
	e.Store(0, &one)
	e.Store(partitions-1, &two)
	f := func(part int, want *string) {
		t.Helper()
		if got := e.Load(part); got != want {
			t.Errorf("partition %d: %v, want %v", part, got, want)
		}
	}
	f(0, &one)
	f(1, nil)
	f(partitions-1, &two)
	e.Store(0, nil)
	f(0, nil)
}
