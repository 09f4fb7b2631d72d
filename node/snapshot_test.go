package node_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// keeping is a cluster whose nodes keep snapshots, and can be started again as they were.
type keeping struct {
	*nodetest.Cluster
	t      *testing.T
	dir    string
	ids    []string
	gossip []netip.AddrPort
}

func startKeeping(t *testing.T, size int, options ...nodetest.Option) *keeping {
	k := &keeping{t: t, dir: t.TempDir()}
	k.Cluster = nodetest.Start(t, size, append(options, apart, func(cfg *node.Config) { cfg.SnapshotDir, cfg.SnapshotWait = k.dir, 500*time.Millisecond })...)
	for _, n := range k.Nodes {
		k.ids, k.gossip = append(k.ids, n.Self().ID), append(k.gossip, n.Self().Gossip)
	}
	return k
}

// stop ends all that run at once, as SIGTERM does.
func (k *keeping) stop() {
	var stopping sync.WaitGroup
	for i, n := range k.Nodes {
		if n != nil {
			stopping.Go(func() { k.Stop(i) })
		}
	}
	stopping.Wait()
}

// start starts some again, at once.
func (k *keeping) start(wait time.Duration, which ...int) {
	k.t.Helper()
	next := 0
	k.Nodes = nil
	k.LaunchTogether(len(which), func(cfg *node.Config) {
		i := which[next]
		next++
		cfg.ID, cfg.GossipPort, cfg.SnapshotWait = k.ids[i], int(k.gossip[i].Port()), wait
		for _, at := range k.gossip {
			cfg.Join = append(cfg.Join, at.String())
		}
	})
	k.WaitAgreed()
	k.WaitSettled()
}

func (k *keeping) say(words, want string) {
	k.t.Helper()
	if got := converse(k.t, k.Dial(0), words, len(want)); got != want {
		k.t.Errorf("%.80q: %.200q, want %.200q", words, got, want)
	}
}

// has counts the hits of so many keys.
func (k *keeping) has(keys int) (hits int) {
	k.t.Helper()
	var asked strings.Builder
	for n := range keys {
		fmt.Fprintf(&asked, "mg key-%d v\r\n", n)
	}
	asked.WriteString("mn\r\n")
	answer := untilNoop(k.t, k.Dial(0), asked.String())
	for n := range keys {
		if strings.Contains(answer, fmt.Sprintf("\r\nvalue-%d\r\n", n)) {
			hits++
		}
	}
	return hits
}

func (k *keeping) fill(keys int) {
	k.t.Helper()
	var asked, want strings.Builder
	for n := range keys {
		value := fmt.Sprintf("value-%d", n)
		fmt.Fprintf(&asked, "set key-%d 0 0 %d\r\n%s\r\n", n, len(value), value)
		want.WriteString("STORED\r\n")
	}
	k.say(asked.String(), want.String())
}

func (k *keeping) files() []string {
	k.t.Helper()
	files, err := filepath.Glob(filepath.Join(k.dir, "*.snapshot*"))
	if err != nil {
		k.t.Fatal(err)
	}
	return files
}

// converse says words and gives so many bytes of the answer.
func converse(t *testing.T, conn net.Conn, words string, bytes int) string {
	t.Helper()
	defer conn.Close()
	if _, err := io.WriteString(conn, words); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, bytes)
	n, err := io.ReadFull(conn, got)
	if err != nil {
		t.Errorf("%.80q: %v", words, err)
	}
	return string(got[:n])
}

// untilNoop says words, whose last is mn, and gives the answer up to that.
func untilNoop(t *testing.T, conn net.Conn, words string) (answer string) {
	t.Helper()
	defer conn.Close()
	if _, err := io.WriteString(conn, words); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for answer = "\r\n"; !strings.HasSuffix(answer, "\r\nMN\r\n"); {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		answer += line
	}
	return answer
}

const keptKeys = 2000

func TestARestartIsWarm(t *testing.T) {
	k := startKeeping(t, 1)
	k.fill(keptKeys)
	k.say("delete key-1\r\nset brief 0 1 1\r\nv\r\nset long 7 1000 1\r\nv\r\nms chosen 1 E55\r\nv\r\n", "DELETED\r\nSTORED\r\nSTORED\r\nHD\r\n")
	k.Wait("the brief one has expired", func() bool { return converse(t, k.Dial(0), "get brief\r\n", 5) == "END\r\n" })
	k.stop()
	k.start(0, 0)
	if got := k.has(keptKeys); got != keptKeys-1 {
		t.Errorf("%d of %d items are back", got, keptKeys-1)
	}
	k.say("get key-1 brief long\r\ngets chosen\r\n", "VALUE long 7 1\r\nv\r\nEND\r\nVALUE chosen 0 1 55\r\nv\r\nEND\r\n")
	if files := k.files(); len(files) > 0 {
		t.Errorf("%q could be read again", files)
	}

	k.say("delete key-2\r\n", "DELETED\r\n")
	k.Crash(0)
	k.start(0, 0)
	if got := k.has(keptKeys); got != 0 {
		t.Errorf("after a crash %d items are there, which may be out of date", got)
	}

	k.fill(keptKeys)
	k.stop()
	files := k.files()
	if len(files) != 1 {
		t.Fatalf("%q", files)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2] ^= 1
	if err := os.WriteFile(files[0], whole, 0o600); err != nil {
		t.Fatal(err)
	}
	k.start(0, 0)
	if got := k.has(keptKeys); got != 0 {
		t.Errorf("%d items of a damaged snapshot are there", got)
	}
}

func TestAllStoppedAtOnceComeBackWarm(t *testing.T) {
	k := startKeeping(t, 3)
	k.fill(keptKeys)
	k.stop()
	k.start(20*time.Second, 2, 0, 1)
	if got := k.has(keptKeys); got != keptKeys {
		t.Errorf("%d of %d items are back", got, keptKeys)
	}
}

// TestASnapshotIsNotUsedWhenOthersWentOn: by whom its partitions may have been changed.
func TestASnapshotIsNotUsedWhenOthersWentOn(t *testing.T) {
	k := startKeeping(t, 2)
	k.fill(keptKeys)
	k.Stop(1) // the other takes all
	if files := k.files(); len(files) > 0 {
		t.Errorf("%q are written, and another member goes on", files)
	}
	k.Launch(func(cfg *node.Config) { cfg.ID, cfg.GossipPort = k.ids[1], int(k.gossip[1].Port()) })
	k.WaitAgreed()
	k.WaitSettled()
	if got := k.has(keptKeys); got != keptKeys {
		t.Errorf("%d of %d items are there after a restart of one", got, keptKeys)
	}
	k.stop()
	k.start(500*time.Millisecond, 0) // without the other, who may have gone on
	if got := k.has(keptKeys); got != 0 {
		t.Errorf("%d items are there, which the other may have changed", got)
	}
	k.say("set key-1 0 0 3\r\nnew\r\n", "STORED\r\n")
	k.stop()
	k.start(20*time.Second, 0, 1) // the other has a snapshot from before
	k.say("get key-1\r\n", "VALUE key-1 0 3\r\nnew\r\nEND\r\n")
	if got := k.has(keptKeys); got != 0 {
		t.Errorf("%d items are back from before", got)
	}
}
