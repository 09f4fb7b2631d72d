//go:build chaos

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/memring/memring/cmd/cluster"
	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/protocol/frame"
)

// TestChaosAnotherVersionOfFrames sets a node beside two others whose lanes speak another version, which deploy/README.md says to avoid. They refuse each other and say so; the two
// go on with what is theirs, and when the third is gone have all that they had.
func TestChaosAnotherVersionOfFrames(t *testing.T) {
	usual, other := buildAs(t, "usual"), buildAs(t, "other", "-overlay", otherFrames(t))
	ports, seeds := freePorts(t, 12), []string{}
	for i := range 3 {
		seeds = append(seeds, "127.0.0.1:"+ports[4*i+2])
	}
	begin := func(i int, binary string) *process {
		node := memberAt(binary, fmt.Sprintf("node-%d", i+1), ports[4*i:], strings.Join(seeds, ","), "--peer-timeout", "10s", "--drain-timeout", "1s")
		keep(t, node)
		return node
	}
	nodes := []*process{begin(0, usual), begin(1, usual)}
	waitFor(t, "the nodes agree on the owners of keys", func() error { return agree(nodes) })
	const keys = 300
	key := func(k int) string { return fmt.Sprintf("key-%d", k) }
	set := func(k int) (answer string, err error) {
		lines, err := askLines(nodes[0].address, fmt.Sprintf("set %s 0 0 %d\r\n%s\r\nget -", key(k), len(key(k)), key(k))) // END comes after the second
		return strings.Join(lines, " "), err
	}
	get := func(k int) (found bool, err error) {
		lines, err := askLines(nodes[0].address, "get "+key(k))
		if found = slices.Contains(lines, key(k)); len(lines) > 1 && !found {
			err = errors.Join(err, fmt.Errorf("%s is %q", key(k), lines))
		}
		return found, err
	}
	for k := range keys {
		if answer, err := set(k); err != nil || answer != "STORED" {
			t.Fatalf("%q, %v", answer, err)
		}
	}

	third := begin(2, other)
	owner := func(k int) string {
		lines, err := cluster.Ask(&dial.Node{}, nodes[0].address, "cluster owner "+key(k))
		if err != nil || len(lines) != 1 {
			t.Fatalf("%v, %v", lines, err)
		}
		return lines[0].ID
	}
	waitFor(t, "the third is a member, and refused", func() error {
		lines, err := askLines(nodes[0].address, "stats cluster")
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "STAT cluster_peers_refused ") })
		if err != nil || at < 0 || strings.HasSuffix(lines[at], " 0") {
			return fmt.Errorf("nobody is refused: %v", err)
		}
		for k := range keys {
			if owner(k) == "node-3" {
				return nil
			}
		}
		return errors.New("it owns nothing")
	})
	waitFor(t, "the status tells of it", func() error {
		for _, problem := range problemsAt(t, nodes[0]) {
			if strings.Contains(fmt.Sprint(problem), "node-3") {
				return nil
			}
		}
		return errors.New("there is no problem with node-3")
	})
	for k := range keys {
		if owner(k) == "node-3" {
			continue
		}
		if found, err := get(k); err != nil || !found {
			t.Errorf("%s of %s: found %v, %v", key(k), owner(k), found, err)
		}
		if answer, err := set(k); err != nil || answer != "STORED" {
			t.Errorf("%s of %s: %q, %v", key(k), owner(k), answer, err)
		}
	}

	if err := third.end(syscall.SIGTERM); err != nil {
		t.Errorf("the third: %v", err)
	}
	waitFor(t, "all is as before", func() error {
		for k := range keys {
			if found, err := get(k); err != nil || !found {
				return fmt.Errorf("%s: found %v, %v", key(k), found, err)
			}
		}
		return nil
	})
	for _, node := range nodes {
		if err := node.end(syscall.SIGTERM); err != nil {
			t.Errorf("%s: %v", node.address, err)
		}
	}
	logged := nodes[0].logged.String() + nodes[1].logged.String()
	for _, want := range []string{"peer refused", fmt.Sprintf("version %d of the frames is spoken here, not %d", frame.Version, frame.Version+1)} {
		if !strings.Contains(logged, want) {
			t.Errorf("%q is not in the log", want)
		}
	}
	if want := fmt.Sprintf("version %d of the frames is spoken here, not %d", frame.Version+1, frame.Version); !strings.Contains(third.logged.String(), want) &&
		!strings.Contains(third.logged.String(), "peer refuses us") {
		t.Errorf("the third does not say why it is alone")
	}
}

// otherFrames gives what has the compiler take frames of the next version.
func otherFrames(t *testing.T) (overlay string) {
	t.Helper()
	path, err := filepath.Abs("../../protocol/frame/hello.go")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^const Version = \d+$`)
	if len(version.FindAll(code, -1)) != 1 {
		t.Fatal("the version of the frames is not where it was")
	}
	next := filepath.Join(t.TempDir(), "hello.go")
	if err := os.WriteFile(next, version.ReplaceAll(code, []byte("const Version = "+strconv.Itoa(frame.Version+1))), 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: next}})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
