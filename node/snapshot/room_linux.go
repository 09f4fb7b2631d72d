package snapshot

import "syscall"

// freeBytes is the room that is left on a directory's file system for those who are not root.
func freeBytes(dir string) (bytes int64, known bool) {
	var about syscall.Statfs_t
	if err := syscall.Statfs(dir, &about); err != nil {
		return 0, false
	}
	return int64(about.Bavail) * about.Bsize, true
}
