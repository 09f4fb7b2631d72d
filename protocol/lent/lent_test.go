package lent

import "testing"

func TestSizes(t *testing.T) {
	last, lastBytes := -1, KeptBytes
	for n := KeptBytes + 1; n <= 4<<20; n += 1 + n/1000 {
		number, bytes := sizeOf(n)
		if bytes < n || 4*bytes > 5*n+4 {
			t.Fatalf("%d bytes are lent for %d", bytes, n)
		}
		if again, same := sizeOf(bytes); again != number || same != bytes {
			t.Fatalf("%d bytes are of number %d, %d bytes, not %d, %d", bytes, again, same, number, bytes)
		}
		if number != last && (number != last+1 || bytes <= lastBytes) {
			t.Fatalf("number %d, %d bytes, after number %d, %d bytes", number, bytes, last, lastBytes)
		}
		last, lastBytes = number, bytes
	}
	if last != sizes-1 {
		t.Fatalf("the last number is %d of %d", last, sizes)
	}
}

func TestRoom(t *testing.T) {
	f := func(kept, n, atLeast, atMost int) {
		t.Helper()
		buf := append(make([]byte, 0, kept), "what is there"...)
		got := Room(buf, n)
		if string(got) != "what is there" || cap(got)-len(got) < n || cap(got) < atLeast || cap(got) > atMost {
			t.Errorf("%q of %d", got, cap(got))
		}
		if left := Back(got); len(left) > 0 || (cap(got) > KeptBytes) != (left == nil) {
			t.Errorf("%d of %d are kept", cap(left), cap(got))
		}
	}
	f(100, 50, 100, 100)
	f(100, 100, 200, 200)
	f(40<<10, 50<<10, KeptBytes, 100<<10)
	f(40<<10, 70<<10, 71<<10, 80<<10)
	f(100, 5<<20, 5<<20, 6<<20)
}

// What is lent and given back makes no garbage: a collection for every long answer would be one for all.
func TestLendingMakesNoGarbage(t *testing.T) {
	var kept []byte
	if n := testing.AllocsPerRun(100, func() {
		kept = Back(Room(kept, 1<<20))
	}); n > 1.5 { // the place that it is noted in
		t.Errorf("%v allocations", n)
	}
}
