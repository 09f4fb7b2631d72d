package arena

import "syscall"

// giveBack tells the system that nobody needs what is in these pages.
func giveBack(pages []byte) bool { return syscall.Madvise(pages, syscall.MADV_DONTNEED) == nil }
