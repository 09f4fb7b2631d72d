//go:build amd64 || arm64

// Package prefetch asks the processor to read memory before it is needed, so that the waits for several places overlap.
package prefetch

import "unsafe"

// Works says whether this processor can be asked.
const Works = true

// Lines asks for the cache lines of n bytes from p on, at least one. It waits for none of them, and they need not be there: it never faults.
// (Intel SDM, PREFETCHh; Arm ARM, PRFM.)
//
//go:noescape
func Lines(p unsafe.Pointer, n int)
