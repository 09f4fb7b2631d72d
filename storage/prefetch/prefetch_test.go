package prefetch

import (
	"testing"
	"unsafe"
)

// What is asked for may lie anywhere, beyond all memory too, and stays as it was.
func TestAskingNeitherFaultsNorWrites(t *testing.T) {
	memory := []byte("memory that is asked for in full, and somewhat more: three cache lines are more than one hundred and twenty-eight bytes of text, as here")
	was := string(memory)
	Lines(unsafe.Pointer(&memory[0]), len(memory))
	Lines(unsafe.Pointer(&memory[0]), 0)
	Lines(nil, 4096)
	if string(memory) != was {
		t.Errorf("it is %q now", memory)
	}
}
