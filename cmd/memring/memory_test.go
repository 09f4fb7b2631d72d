package main

import (
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/memring/memring/node"
)

func TestCgroupLimit(t *testing.T) {
	f := func(name string, files map[string]string, want int64, wantFile string) {
		t.Helper()
		root := fstest.MapFS{}
		for path, text := range files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, file := cgroupLimit(root); got != want || file != wantFile {
			t.Errorf("%s: %d of %q, wanted %d of %q", name, got, file, want, wantFile)
		}
	}
	f("no cgroups", nil, 0, "")
	f("version 2, no limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0, "")
	f("version 2", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000\n"}, 1000, "/sys/fs/cgroup/a/b/memory.max")
	f("version 2, the one above has less", map[string]string{
		"proc/self/cgroup": "0::/a/b/c\n", "sys/fs/cgroup/a/b/c/memory.max": "1000\n", "sys/fs/cgroup/a/memory.max": "900\n",
	}, 900, "/sys/fs/cgroup/a/memory.max")
	f("version 2 in a container that sees its own group as the top", map[string]string{
		"proc/self/cgroup": "0::/docker/123\n", "sys/fs/cgroup/memory.max": "5000\n",
	}, 5000, "/sys/fs/cgroup/memory.max")
	f("version 1", map[string]string{
		"proc/self/cgroup": "5:cpu,memory:/x\n2:cpuset:/y\n0::/\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "7000\n",
		"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
	}, 7000, "/sys/fs/cgroup/memory/x/memory.limit_in_bytes")
	f("both versions", map[string]string{
		"proc/self/cgroup": "4:memory:/x\n0::/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "7000\n", "sys/fs/cgroup/unified/x/memory.max": "6000",
	}, 6000, "/sys/fs/cgroup/unified/x/memory.max")
	f("nonsense", map[string]string{"proc/self/cgroup": "memory\n::\n0::../../..\n\n4:memory:\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "-5x"}, 0, "")
}

func TestCheckMemory(t *testing.T) {
	root := func(limit string) fstest.MapFS {
		return fstest.MapFS{
			"proc/self/cgroup":         {Data: []byte("0::/\n")},
			"sys/fs/cgroup/memory.max": {Data: []byte(limit)},
		}
	}
	f := func(memoryMB int, limit, want string) {
		t.Helper()
		err := checkMemory(memoryMB, root(limit))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("-m %d in %s bytes: %v, wanted %q", memoryMB, limit, err, want)
		}
	}
	f(64, "max", "")
	f(64, "83886080", "") // 80 MB
	f(64, "83886079", "give at most -m 63, or raise that limit to 80 MB")
	f(1024, "536870912", "-m 1024: the process may take 512 MB in all (/sys/fs/cgroup/memory.max): give at most -m 496")
	f(1, "10000000", "too little for any -m: raise that limit to 17 MB")
}

func TestSlack(t *testing.T) {
	f := func(liveMB uint64, want int) {
		t.Helper()
		if got := slackOf(liveMB << 20); got != want {
			t.Errorf("%d MB live: %d percent, want %d", liveMB, got, want)
		}
	}
	f(1, 100)
	f(4, 100)
	f(8, 50)
	f(40, 10)
	f(400, 10)
}

// The buffers for what is large are as the node is: a small one is not to take many times its -m.
func TestFitBuffers(t *testing.T) {
	f := func(memoryMB, givenMB int, limit string, wantMB int64) {
		t.Helper()
		root := fstest.MapFS{}
		if limit != "" {
			root = fstest.MapFS{"proc/self/cgroup": {Data: []byte("0::/\n")}, "sys/fs/cgroup/memory.max": {Data: []byte(limit)}}
		}
		cfg := node.Config{Live: node.Live{MaxBytes: int64(memoryMB) << 20}, MaxBufferBytes: int64(givenMB) << 20}
		cfg.MaxBufferBytes = fitBuffers(cfg, root)
		if got := cfg.BufferBytes() >> 20; got != wantMB {
			t.Errorf("-m %d, %d MB asked for, in %q bytes: %d MB, want %d", memoryMB, givenMB, limit, got, wantMB)
		}
	}
	f(1, 0, "", 16)
	f(64, 0, "", 16)
	f(256, 0, "max", 64)
	f(1024, 0, "", 256)
	f(8192, 0, "", 256)
	f(64, 9, "", 9)
	f(64, 0, "134217728", 16) // 128 MB: room for both
	f(64, 0, "104857600", 10) // 100 MB
	f(64, 0, "83886080", 0)   // 80 MB: what some of the largest need is all
	f(64, 100, "104857600", 100)
}

func TestBoundHeap(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	f := func(environment map[string]string, wantPercent int, wantLimit int64) {
		t.Helper()
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(1 << 50)
		moving := boundHeap(64<<20, 1024, 1<<20, func(name string) string { return environment[name] })
		if got := debug.SetGCPercent(100); got != wantPercent {
			t.Errorf("with %v: GC percent %d, wanted %d", environment, got, wantPercent)
		}
		debug.SetGCPercent(wantPercent)
		moving(true)
		if got := debug.SetGCPercent(wantPercent); (got > wantPercent) != (wantPercent == heapSlack) {
			t.Errorf("with %v: GC percent %d while items move, and %d before", environment, got, wantPercent)
		}
		moving(false)
		if got := debug.SetGCPercent(100); got != wantPercent {
			t.Errorf("with %v: GC percent %d when items have moved, wanted %d", environment, got, wantPercent)
		}
		if got := debug.SetMemoryLimit(-1); got != wantLimit {
			t.Errorf("with %v: limit %d, wanted %d", environment, got, wantLimit)
		}
	}
	f(nil, heapSlack, (2*64+16+1024+8)<<20)
	f(map[string]string{"GOGC": "off"}, 100, (2*64+16+1024+8)<<20)
	f(map[string]string{"GOMEMLIMIT": "1GiB"}, heapSlack, 1<<50)
}
