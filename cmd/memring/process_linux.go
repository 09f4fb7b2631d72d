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

// forgetStart lets the system take back what only the start has used: pages of the program's code, which are read again from its file should they be
// needed, and the start's garbage. (Other pages of the file may have been changed since: those that a loader relocates.) It is some megabytes of -m 64's allowance. Nothing is lost if it cannot be done.
func forgetStart() {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/maps")
	program, _ := os.Readlink("/proc/self/exe")
	if err != nil || program == "" {
		return
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var access string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &access); n == 3 && access[2] == 'x' && strings.HasSuffix(line, " "+program+"\n") {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED) // not with -k
		}
	}
}
