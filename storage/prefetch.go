//go:build amd64 || arm64

package storage

import "unsafe"

const prefetches = true // this processor can be told what will be read soon

// prefetch tells the processor that n bytes from p on will be read soon. It waits for none of them, and they need not be there. At least one line is fetched.
//
//go:noescape
func prefetch(p unsafe.Pointer, n int)
