package piece

import (
	"slices"
	"testing"
)

func TestSet(t *testing.T) {
	f := func(partitions int, parts ...int) {
		t.Helper()
		b := NewSet(partitions)
		for _, part := range parts {
			b.Add(part)
		}
		if got := slices.Collect(b.All()); !slices.Equal(got, parts) {
			t.Errorf("of %d: %v, want %v", partitions, got, parts)
		}
		for part := range partitions {
			if b.Has(part) != slices.Contains(parts, part) {
				t.Errorf("of %d: has %d: %v", partitions, part, b.Has(part))
			}
		}
		if !b.Fits(partitions) {
			t.Errorf("of %d: %v does not fit", partitions, parts)
		}
	}
	f(8)
	f(8, 0, 7)
	f(9, 8)
	f(67, 0, 1, 8, 63, 64, 66)

	over := NewSet(9)
	over.Add(9)
	if over.Fits(9) {
		t.Error("a partition beyond the last one fits")
	}
}
