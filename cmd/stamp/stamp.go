// Package stamp tells one state of a file from another without reading it, and whether others than its owner may read it.
package stamp

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A Stamp is how a file is at one time: another file, other content, or others who may read it make another stamp. The zero value is that of a file that cannot be seen.
type Stamp struct {
	path     string // no links left in it: where Kubernetes mounts files it replaces a link to the folder they are in
	file     uint64 // its number, as far as the system has one
	changed  time.Time
	size     int64
	mode     os.FileMode
	uid, gid uint32
}

// Of gives the stamp of the file at a path, and why it cannot be seen.
func Of(path string) (Stamp, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Stamp{}, err
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return Stamp{}, err
	}
	s := Stamp{path: resolved, changed: info.ModTime(), size: info.Size(), mode: info.Mode()}
	if system, known := info.Sys().(*syscall.Stat_t); known {
		s.file, s.uid, s.gid = system.Ino, system.Uid, system.Gid
	}
	return s, nil
}

// others are the bits of a mode by which users may read or write who are neither the owner nor of the group.
const others = 0o006

// Exposed reports whether every user of this machine may read or change the file: what no secret should allow. (What is no regular file keeps none.) A group is somebody's choice.
func (s Stamp) Exposed() bool { return s.mode.IsRegular() && s.mode.Perm()&others != 0 }
