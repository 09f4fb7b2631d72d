//go:build !amd64 && !arm64

package prefetch

import "unsafe"

const Works = false

func Lines(unsafe.Pointer, int) {}
