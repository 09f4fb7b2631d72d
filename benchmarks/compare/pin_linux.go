package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// pin has a process run on these processors only, with all threads that it has and will have: a new one runs where the thread does that started it.
func pin(pid int, processors ...int) error {
	var set unix.CPUSet
	for _, i := range processors {
		set.Set(i)
	}
	pinned := map[string]bool{}
	for more := true; more; { // one that was not pinned yet may have started another
		more = false
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return err
		}
		for _, path := range threads {
			if pinned[path] {
				continue
			}
			pinned[path], more = true, true
			id, err := strconv.Atoi(filepath.Base(path))
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH { // that one has ended
				return os.NewSyscallError("sched_setaffinity", err)
			}
		}
	}
	return nil
}

// allowed gives the processors that this process may run on.
func allowed() (processors []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	for i := range 8 * len(set) * 8 {
		if set.IsSet(i) {
			processors = append(processors, i)
		}
	}
	return processors, nil
}
