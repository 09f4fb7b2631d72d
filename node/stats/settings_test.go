package stats

import (
	"reflect"
	"testing"
)

func TestDiffering(t *testing.T) {
	f := func(here, there string, want ...Difference) {
		t.Helper()
		if got := Differing(here, there); !reflect.DeepEqual(got, want) {
			t.Errorf("%s, %s: %+v, want %+v", here, there, got, want)
		}
	}
	f("a=1,b=2", "a=1,b=2")
	f("a=1,b=2", "b=2,a=1")
	f("a=1,b=2,c=3", "a=1,b=5,c=6", Difference{"b", "2", "5"}, Difference{"c", "3", "6"})
	f("a=1,b=2", "a=2", Difference{"a", "1", "2"}) // the other build knows no b
	f("a=1", "b=1,a=1")
	f("a=1", "")
}
