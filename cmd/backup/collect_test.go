package backup

import (
	"testing"

	"github.com/memring/memring/node/piece"
)

// TestWhatWentAwayIsAskedForAgain: a partition that two members had, which one of them gives to the other meanwhile, has come whole from nobody, whoever ends first.
func TestWhatWentAwayIsAskedForAgain(t *testing.T) {
	whole := &exported{complete: piece.Set{0x03}, gone: piece.Set{0}, short: piece.Set{0}}
	parted := &exported{complete: piece.Set{0x04}, gone: piece.Set{0x02}, short: piece.Set{0}}
	for _, order := range [][]*exported{{whole, parted}, {parted, whole}} {
		b := &collection{}
		for range order {
			if err := b.began(4, 0); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range order {
			b.finish(x)
		}
		if b.missing[0] != 0x0a || b.complete != 2 {
			t.Errorf("missing %04b, %d complete; want the second and the fourth missing", b.missing[0], b.complete)
		}
		clear(b.gone) // the next round
		b.finish(&exported{complete: piece.Set{0x0a}})
		if !b.missing.Empty() || b.complete != 4 {
			t.Errorf("missing %04b, %d complete: all has come", b.missing[0], b.complete)
		}
	}
	b := &collection{}
	if b.began(4, 0) != nil || b.began(5, 0) == nil {
		t.Error("members with other partitions are taken for one cluster")
	}
}
