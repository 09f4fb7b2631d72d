package arena

import "golang.org/x/sys/unix"

// giveBack tells the system that nobody needs what is in these pages.
func giveBack(pages []byte) bool { return unix.Madvise(pages, unix.MADV_DONTNEED) == nil }
