package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// raiseCoreLimit lets the system write core files as large as they get, or as large as it allows.
func raiseCoreLimit() error {
	unlimited := syscall.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if syscall.Setrlimit(syscall.RLIMIT_CORE, &unlimited) == nil {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	if limit.Cur == 0 {
		return errors.New("the system allows no core files (ulimit -H -c)")
	}
	return nil
}

// keepCoreDumps makes a crash of Go end in a core file, and takes back that a process which has changed its user leaves none.
func keepCoreDumps() {
	debug.SetTraceback("crash")
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) // fails only for values that do not exist
}

// lockMemory keeps what this process has ever used in memory. It does nothing where there is a limit that may be reached later: Go does not
// survive that the system has no more for it.
func lockMemory() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return err
	}
	if limit.Cur != unix.RLIM_INFINITY && os.Geteuid() != 0 {
		return fmt.Errorf("only %d bytes may be locked (ulimit -l)", limit.Cur)
	}
	return unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
}

// forgetStart lets the system take back what only the start has used: the start's garbage, and pages of the program's file, code and constants, which
// are read from there again should they be needed. Nothing is lost if it cannot be done.
//
// With a page that is needed the system gives the process all that it has of the 64 KB around it (filemap_map_pages), but not what is beyond the end of
// a map. What the collector looks up is a page here and there in 5 MB, so the maps are cut into pages: every second is said to be used otherwise.
// With this the program's pages are 3 MB instead of 8; the system keeps half a MB of its own for the maps.
func forgetStart() {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/smaps")
	program, _ := os.Readlink("/proc/self/exe")
	if err != nil || program == "" {
		return
	}
	page := uintptr(os.Getpagesize())
	for _, m := range unchangedMaps(string(maps), program) {
		for at := m[0]; at < m[1] && m[1]-m[0] <= cutBytes; at += 2 * page {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, at, page, unix.MADV_RANDOM)
		}
		// Not before: clients are served meanwhile, and what they need would bring its 64 KB along. Not done with -k.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m[0], m[1]-m[0], unix.MADV_DONTNEED)
	}
}

// cutBytes is the most that is cut: it makes 16,384 maps, and a process may have 65,530.
const cutBytes = 64 << 20

// unchangedMaps finds in the text of smaps (proc(5)) where the file is mapped with nothing in memory that is not in the file, as there is in what a
// loader relocates, and where nothing can be written.
func unchangedMaps(smaps, file string) (all [][2]uintptr) {
	var from, to uintptr
	for line := range strings.Lines(smaps) {
		var start, end uintptr
		var access string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &start, &end, &access); n == 3 {
			if from, to = 0, 0; !strings.Contains(access, "w") && strings.HasSuffix(line, " "+file+"\n") {
				from, to = start, end
			}
			continue
		}
		if changed, ok := strings.CutPrefix(line, "Anonymous:"); ok && to != 0 && strings.TrimSpace(changed) == "0 kB" {
			all = append(all, [2]uintptr{from, to})
		}
	}
	return all
}
