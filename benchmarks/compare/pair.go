package main

import (
	"context"
	"errors"
	"os"
	"strconv"
)

// pair starts both servers, with -m, -t and more flags. Pinned, they have as many processors to themselves as threads, and this process, which is the load, has the
// others; on a machine with too few nobody is. end stops what has started, also after an error.
func (b *bench) pair(ctx context.Context, threads int, pinned bool, more ...string) (servers [2]*server, end func() error, err error) {
	var ends []func() error
	end = func() (err error) {
		for _, f := range ends {
			err = errors.Join(err, f())
		}
		return err
	}
	apart := pinned && len(b.processors) > threads
	if apart {
		self := os.Getpid()
		unpin := func() error { return pin(self, b.processors...) }
		ends = append(ends, unpin)
		if err := unpin(); err != nil { // what is started sees as many processors as there are
			return servers, end, err
		}
	}
	for i, rival := range b.rivals() {
		if b.certificate[0] != "" {
			if rival, err = rival.secured(b.certificate); err != nil {
				return servers, end, err
			}
		}
		if servers[i], err = rival.start(ctx, append([]string{"-m", strconv.Itoa(b.limits[0]), "-t", strconv.Itoa(threads)}, more...)...); err != nil {
			return servers, end, err
		}
		ends = append(ends, servers[i].stop)
		if apart {
			if err := pin(servers[i].cmd.Process.Pid, b.processors[:threads]...); err != nil {
				return servers, end, err
			}
		}
	}
	if apart {
		err = pin(os.Getpid(), b.processors[threads:]...)
	}
	return servers, end, err
}

// pinnedWords says so in the results.
func (b *bench) pinnedWords(pinned bool, threads int) string {
	if !pinned || len(b.processors) <= threads {
		return " Servers and load share all processors, as the system has it."
	}
	return " The servers have as many processors to themselves, and the load generator has the others (-pin)."
}
