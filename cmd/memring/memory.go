package main

import (
	"fmt"
	"io/fs"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"

	"github.com/memring/memring/node"
)

// Of what memory the process may take:
//
//	-m                   items and all that grows with them, and OwnBytes of the process itself (node)
//	+ allowanceBytes     the rest of the program and of Go's runtime, and what is being collected
//	+ connAllowance      for each connection that has sent something and waits for an answer, or has more to send; none for one at rest
//	+ requests that are larger than that: together within -o read_buf_mem_limit (node/server); by default a quarter of -m, see node.Config.BufferBytes
//	+ answers that are larger: within as much (protocol/session, Answers), and some 300 KB for each client that does not take its answers
//	+ values over 1 MiB that go between members: within as much, or four of the largest (node/parcel)
const (
	allowanceBytes = 16 << 20
	connAllowance  = 16 << 10

	// heapSlack is how much garbage the heap may hold, in percent of what is live: items lie outside of it, so collecting is cheap, and -m with
	// its index should be nearly all that the process takes (storage/DESIGN.md).
	heapSlack = 10

	// movesSlackBytes is how much garbage it may hold at the least while items move: a heap of a few megabytes would be collected dozens of times a second, and requests wait
	// for each. It is never more than is live, or leastLiveBytes.
	movesSlackBytes = 4 << 20
	leastLiveBytes  = 4 << 20

	// heapRoom is far above what else may be on the heap, see boundHeap.
	heapRoom = 1 << 30
)

// fitBuffers gives MaxBufferBytes as it is, or if nobody has said it, and a cgroup has not as much as the default above the -m that checkMemory lets pass, half of
// what that has: as much for large requests as for large answers. Some of the largest items can be sent in any case.
func fitBuffers(cfg node.Config, root fs.FS) int64 {
	limit, group := cgroupLimit(root)
	left := max(1, (limit-allowanceBytes-cfg.MaxBytes)/2)
	if cfg.MaxBufferBytes != 0 || group == "" || left >= cfg.BufferBytes() {
		return cfg.MaxBufferBytes
	}
	return left
}

// boundHeap tells Go's runtime how much memory it may take, unless the environment has told it. Near that collecting becomes eager, which costs up to half of
// the processors, so only a leak may come near: over -m and the connections there is room for the large requests and answers that are allowed at a time (four
// of the largest, or 256 MB, each way) and for the index of a cache_memlimit that is far above -m.
//
// What it gives is to be told when items move (node.Config.Moving).
func boundHeap(maxBytes int64, maxConns, maxItemBytes int, getenv func(string) string) (moving func(bool)) {
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(2*maxBytes + int64(maxConns)*connAllowance + heapRoom + 8*int64(maxItemBytes))
	}
	if getenv("GOGC") != "" {
		return func(bool) {}
	}
	debug.SetGCPercent(heapSlack)
	return func(moving bool) {
		if moving {
			debug.SetGCPercent(slackOf(liveBytes()))
		} else {
			debug.SetGCPercent(heapSlack)
		}
	}
}

// slackOf is how much garbage there may be while items move, in percent of so much that is live.
func slackOf(liveBytes uint64) int {
	return max(heapSlack, 100*movesSlackBytes/int(max(liveBytes, leastLiveBytes)))
}

// liveBytes is what was live when the heap was last collected.
func liveBytes() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

// checkMemory refuses a -m that the process's cgroup has no memory for: filled, it would be killed by the system, not told by us.
func checkMemory(memoryMB int, root fs.FS) error {
	limit, group := cgroupLimit(root)
	if group == "" || int64(memoryMB)<<20+allowanceBytes <= limit {
		return nil
	}
	if most := (limit - allowanceBytes) >> 20; most > 0 {
		return fmt.Errorf("-m %d: the process may take %d MB in all (%s): give at most -m %d, or raise that limit to %d MB",
			memoryMB, limit>>20, group, most, memoryMB+allowanceBytes>>20)
	}
	return fmt.Errorf("-m %d: the process may take %d MB in all (%s), too little for any -m: raise that limit to %d MB",
		memoryMB, limit>>20, group, memoryMB+allowanceBytes>>20)
}

// cgroupLimit gives the least limit of memory that this process's cgroup or one of those above it has, and the file that says so; "" if none
// does. root is the system's root directory.
//
// The path of a group (cgroups(7)) is told as the system sees it, and may not exist here: a container sees its own group as the top. Whatever
// of it is there counts, and so does the top.
func cgroupLimit(root fs.FS) (limit int64, file string) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, ""
	}
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(fields) < 3 {
			continue
		}
		tops, name := []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}, "memory.max" // version 2, alone or beside version 1
		if fields[1] != "" {
			if !strings.Contains(","+fields[1]+",", ",memory,") {
				continue
			}
			tops, name = []string{"sys/fs/cgroup/memory"}, "memory.limit_in_bytes"
		}
		for _, top := range tops {
			for group := path.Join("/", fields[2]); ; group = path.Dir(group) {
				at := path.Join(top, group, name)
				text, _ := fs.ReadFile(root, at)
				n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // fails for "max", and where there is no such file
				if err == nil && n < noLimit && (file == "" || n < limit) {
					limit, file = n, "/"+at
				}
				if group == "/" {
					break
				}
			}
		}
	}
	return limit, file
}

// noLimit: version 1 says a number near the greatest where there is none.
const noLimit = 1 << 60
