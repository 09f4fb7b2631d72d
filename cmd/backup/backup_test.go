package backup_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/cmd/backup"
	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/protocol/login"
)

// run runs a subcommand.
func run(args ...string) (printed string, err error) {
	var out strings.Builder
	for _, cmd := range backup.Commands(11211, "test") {
		if cmd.Name() != args[0] {
			continue
		}
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args[1:])
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		err = cmd.Execute()
	}
	return out.String(), err
}

// must fails the test if a subcommand does.
func must(t *testing.T, args ...string) (printed string) {
	t.Helper()
	printed, err := run(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, printed)
	}
	return printed
}

// say asks node i and gives the answers up to the last, so many lines.
func say(t *testing.T, c *nodetest.Cluster, i int, words string, lines int) (answers []string) {
	t.Helper()
	conn := c.Dial(i)
	defer conn.Close()
	if _, err := io.WriteString(conn, words); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for range lines {
		answer, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%.100q: %v after %q", words, err, answers)
		}
		answers = append(answers, strings.TrimRight(answer, "\r\n"))
	}
	return answers
}

// forget has node i forget a member that has crashed, once it is known to be gone for good.
func forget(t *testing.T, c *nodetest.Cluster, i int, id string) {
	t.Helper()
	c.Wait(id+" is forgotten", func() bool { return say(t, c, i, "cluster forget "+id+"\r\n", 1)[0] == "OK" })
}

// An entry is what a test stores under a key: all of it follows from the number.
type entry int

func (e entry) key() string {
	if e%7 == 0 {
		return fmt.Sprintf("key-%d-%s", e, strings.Repeat("k", int(e)%200))
	}
	return fmt.Sprintf("key-%d", e)
}
func (e entry) flags() int { return int(e) % 5 * 1000 }

func (e entry) value() string {
	if e%5000 == 4999 || e == 999 || e == 1999 {
		return strings.Repeat(fmt.Sprintf("long-%d ", e), 30_000)
	}
	return strings.Repeat(fmt.Sprintf("value-%d ", e), int(e)%9)
}

// exptime is never, in some seconds, or a second in years.
func (e entry) exptime() int { return [...]int{0, 100_000 + int(e), 4_000_000_000 / 2}[e%3] }

// store is the command that stores it: one in eleven with a CAS unique of the client's choice.
func (e entry) store() string {
	if e%11 == 0 {
		return fmt.Sprintf("ms %s %d F%d T%d E%d\r\n%s\r\n", e.key(), len(e.value()), e.flags(), e.exptime(), int(e)+1, e.value())
	}
	return fmt.Sprintf("set %s %d %d %d\r\n%s\r\n", e.key(), e.flags(), e.exptime(), len(e.value()), e.value())
}

// fill stores entries through all nodes.
func fill(t *testing.T, c *nodetest.Cluster, entries int) {
	t.Helper()
	var filling sync.WaitGroup
	for i := range c.Nodes {
		conn := c.Dial(i)
		filling.Go(func() {
			_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
			in := bufio.NewReader(conn)
			for at := i; at < entries; {
				var asked bytes.Buffer
				n := 0
				for ; at < entries && n < 500; at, n = at+len(c.Nodes), n+1 {
					asked.WriteString(entry(at).store())
				}
				if _, err := conn.Write(asked.Bytes()); err != nil {
					t.Error(err)
					return
				}
				for range n {
					if answer, err := in.ReadString('\n'); err != nil || answer != "STORED\r\n" && answer != "HD\r\n" {
						t.Errorf("stored: %q, %v", answer, err)
						return
					}
				}
			}
		})
	}
	filling.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// listed gives what the nodes' dumps say of all keys: expiry, CAS unique, size and flags. No key may be listed twice.
func listed(t *testing.T, c *nodetest.Cluster) map[string]string {
	t.Helper()
	all := map[string]string{}
	list(t, c, func(key, told string) {
		if _, twice := all[key]; twice {
			t.Errorf("%s is listed twice", key)
		}
		all[key] = told
	})
	return all
}

// list gives each line of the nodes' dumps.
func list(t *testing.T, c *nodetest.Cluster, take func(key, told string)) {
	t.Helper()
	for i := range c.Nodes {
		if c.Nodes[i] == nil {
			continue
		}
		conn := c.Dial(i)
		_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
		if _, err := io.WriteString(conn, "lru_crawler metadump all\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(conn)
		for in.Scan() && in.Text() != "END" {
			if in.Text() == "OK" {
				continue
			}
			words := strings.Fields(in.Text())
			take(words[0], words[1]+" "+words[3]+" "+words[6]+" "+words[7]) // exp, cas, size, flags
		}
		conn.Close()
	}
}

// holdsAll fails unless a cluster has all entries, with their values and flags; but for those that differ, of which it has what they say, "" for none.
func holdsAll(t *testing.T, c *nodetest.Cluster, entries int, differ map[int]string) {
	t.Helper()
	conn := c.Dial(0)
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	in, wrong := bufio.NewReader(conn), 0
	for at := 0; at < entries; {
		var asked bytes.Buffer
		first := at
		for ; at < entries && at < first+500; at++ {
			fmt.Fprintf(&asked, "get %s\r\n", entry(at).key())
		}
		if _, err := conn.Write(asked.Bytes()); err != nil {
			t.Fatal(err)
		}
		for e := entry(first); e < entry(at); e++ {
			value, changed := differ[int(e)]
			want := fmt.Sprintf("VALUE %s %d %d\r\n%s\r\nEND\r\n", e.key(), e.flags(), len(e.value()), e.value())
			if changed && value == "" {
				want = "END\r\n"
			} else if changed {
				want = fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", e.key(), len(value), value)
			}
			var got []byte
			for !bytes.HasSuffix(got, []byte("END\r\n")) {
				answer, err := in.ReadBytes('\n')
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, answer...)
			}
			if string(got) != want {
				if wrong++; wrong < 5 {
					t.Errorf("%.100q, want %.100q", got, want)
				}
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d items are wrong", wrong, entries)
	}
}

func keyFile(t *testing.T, keys ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	key1 = "0123456789abcdef0123456789abcdef"
	key2 = "fedcba9876543210fedcba9876543210"
)

func sized(mb int64) nodetest.Option { return func(cfg *node.Config) { cfg.MaxBytes = mb << 20 } }

// backedUp is acceptance 4: what three nodes hold is written to an archive and brought back into five.
func backedUp(t *testing.T, entries int, mb int64) {
	three := nodetest.Start(t, 3, sized(mb))
	fill(t, three, entries)
	want := listed(t, three)
	if len(want) != entries {
		t.Fatalf("%d of %d items are there: too little memory", len(want), entries)
	}
	path, keys := filepath.Join(t.TempDir(), "items.archive"), keyFile(t, key1)
	began := time.Now()
	t.Log(must(t, "backup", "--to", path, "--key-file", keys, "--addr", three.Addr(1).String()))
	wrote := time.Since(began)

	five := nodetest.Start(t, 5, sized(mb))
	to := five.Addr(3).String()
	for _, f := range []struct {
		keys string
		err  string
	}{{"", "encrypted"}, {keyFile(t, key2), "another key"}} {
		args := []string{"restore", path, "--addr", to}
		if f.keys != "" {
			args = append(args, "--key-file", f.keys)
		}
		if _, err := run(args...); err == nil || !strings.Contains(err.Error(), f.err) || !strings.Contains(err.Error(), "--key-file") {
			t.Errorf("restored with keys %q: %v", f.keys, err)
		}
	}
	if n := len(listed(t, five)); n != 0 {
		t.Errorf("%d items are restored without the key", n)
	}
	began = time.Now()
	t.Log(must(t, "restore", path, "--key-file", keyFile(t, key2, key1), "--addr", to))
	t.Logf("%d items: written in %v, restored in %v", entries, wrote, time.Since(began))
	if got := listed(t, five); !maps.Equal(got, want) {
		t.Errorf("%d items are there, %d were: they differ in number, expiry, CAS unique, size or flags", len(got), len(want))
	}
	holdsAll(t, five, entries, nil)
	if printed := must(t, "restore", path, "--key-file", keys, "--addr", to); !strings.Contains(printed, fmt.Sprintf(": 0 items restored; %d left as they are", entries)) {
		t.Errorf("restored again: %s", printed)
	}
}

func TestThreeNodesIntoFive(t *testing.T) { backedUp(t, 10_000, 32) }

// TestNewerWins: what was written after the backup stays as it is, on the same cluster as elsewhere.
func TestNewerWins(t *testing.T) {
	const entries = 300
	c := nodetest.Start(t, 2)
	fill(t, c, entries)
	say(t, c, 0, "set short 0 1 1\r\nv\r\n", 1)
	dir := t.TempDir()
	must(t, "backup", "--to", dir, "--addr", c.Addr(0).String())
	names, err := filepath.Glob(filepath.Join(dir, "memring-*.archive"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%q, %v", names, err)
	}
	differ := map[int]string{1: "new", 2: "other"}
	say(t, c, 1, fmt.Sprintf("set %s 0 0 3\r\nnew\r\nset %s 0 0 5\r\nother\r\ndelete %s\r\n", entry(1).key(), entry(2).key(), entry(3).key()), 3)
	c.Wait("the short one has expired", func() bool { return say(t, c, 0, "get short\r\n", 1)[0] == "END" })
	printed := must(t, "restore", names[0], "--addr", c.Addr(0).String())
	if !strings.Contains(printed, fmt.Sprintf(": 1 items restored; %d left as they are, for they are as new or newer; 1 expired since,", entries-1)) {
		t.Error(printed)
	}
	holdsAll(t, c, entries, differ) // who was deleted is back

	say(t, c, 0, "flush_all\r\n", 1)
	say(t, c, 0, fmt.Sprintf("set %s 0 0 3\r\nnew\r\n", entry(1).key()), 1)
	printed = must(t, "restore", names[0], "--addr", c.Addr(1).String())
	if !strings.Contains(printed, fmt.Sprintf(": 0 items restored; 1 left as they are, for they are as new or newer; 1 expired since; %d swept by a flush_all", entries-1)) {
		t.Error(printed)
	}
	printed = must(t, "restore", names[0], "--anew", "--addr", c.Addr(1).String())
	if !strings.Contains(printed, fmt.Sprintf(": %d items restored; 1 left as they are", entries-1)) {
		t.Error(printed)
	}
	holdsAll(t, c, entries, map[int]string{1: "new"})
	c.Launch() // what is brought back must not vanish when it moves
	c.WaitAgreed()
	c.WaitSettled()
	holdsAll(t, c, entries, map[int]string{1: "new"})

	if _, err := run("backup", "--to", names[0], "--addr", c.Addr(0).String()); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("written over another: %v", err)
	}
}

// TestDamagesAreRefused cuts and changes an archive in a hundred ways: each is told with its place, and nothing of it is restored, or what is whole if that is asked for.
func TestDamagesAreRefused(t *testing.T) {
	const entries = 2000 // some blocks: two items are long
	c := nodetest.Start(t, 1)
	fill(t, c, entries)
	path, keys := filepath.Join(t.TempDir(), "items.archive"), keyFile(t, key1)
	must(t, "backup", "--to", path, "--key-file", keys, "--addr", c.Addr(0).String())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := listed(t, c)
	random, restored, to := rand.New(rand.NewPCG(5, 6)), 0, nodetest.Start(t, 1)
	for n := range 100 {
		hurt := bytes.Clone(whole)
		at := random.IntN(len(whole))
		if n%2 == 0 {
			hurt = hurt[:at]
		} else {
			hurt[at] ^= 1 << random.IntN(8)
		}
		if err := os.WriteFile(path, hurt, 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"restore", path, "--key-file", keys, "--addr", to.Addr(0).String()}
		if _, err := run(args...); err == nil || output.ExitCode(err) != output.No || !strings.Contains(err.Error(), "damaged at byte ") {
			t.Errorf("damage %d at %d: %v", n, at, err)
		}
		if got := listed(t, to); len(got) > 0 {
			t.Errorf("damage %d at %d: %d items are restored unasked", n, at, len(got))
		}
		if n%10 < 2 {
			if _, err := run(append(args, "--whole-blocks-only")...); err == nil || !strings.Contains(err.Error(), "damaged at byte ") {
				t.Errorf("damage %d at %d, whole blocks only: %v", n, at, err)
			}
			got := listed(t, to)
			restored += len(got)
			for key, told := range got {
				if want[key] != told {
					t.Errorf("damage %d at %d: %s is %s, and was %s", n, at, key, told, want[key])
				}
			}
			missing := map[int]string{}
			for e := range entries {
				if got["key="+entry(e).key()] == "" {
					missing[e] = ""
				}
			}
			holdsAll(t, to, entries, missing)
			to.Crash(0)
			to = nodetest.Start(t, 1)
		}
	}
	if restored == 0 {
		t.Error("nothing was whole of any: the test looks for nothing")
	}
}

// missed gives the entries that a backup has not got, and fails if what it has is wrong.
func missed(t *testing.T, path string, entries int) map[int]string {
	t.Helper()
	to := nodetest.Start(t, 1, sized(64))
	must(t, "restore", path, "--addr", to.Addr(0).String())
	there, missing := listed(t, to), map[int]string{}
	for e := range entries {
		if _, found := there["key="+entry(e).key()]; !found {
			missing[e] = ""
		}
	}
	holdsAll(t, to, entries, missing)
	to.Crash(0)
	return missing
}

// TestMembersComeAndGoDuringABackup: whatever moves meanwhile is in it. On a machine that is too busy a member may be taken for dead, and items be lost by that: a backup that is called complete has all the same
// all that is still there when all is over, and the others are not called so.
func TestMembersComeAndGoDuringABackup(t *testing.T) {
	const entries = 3000
	c := nodetest.Start(t, 2, sized(32))
	fill(t, c, entries)
	dir := t.TempDir()
	over := make(chan struct{})
	var backing sync.WaitGroup
	for n := range 2 {
		address := c.Addr(n).String()
		backing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				path := filepath.Join(dir, fmt.Sprintf("%d-%d.archive", n, i))
				if printed, err := run("backup", "--to", path, "--addr", address); err != nil {
					if !strings.Contains(err.Error(), "not complete") {
						t.Errorf("backup: %v\n%s", err, printed)
						return
					}
					t.Log(err)
				}
			}
		})
	}
	for range 2 {
		c.Launch()
		c.WaitAgreed()
		c.WaitSettled()
		c.Stop(len(c.Nodes) - 1)
		c.WaitAgreed()
		c.WaitSettled()
	}
	close(over)
	backing.Wait()
	c.Wait("a backup is complete", func() bool {
		path := filepath.Join(dir, "last.archive")
		_, err := run("backup", "--to", path, "--addr", c.Addr(0).String())
		_ = os.Remove(path + ".incomplete")
		return err == nil
	})
	still := map[string]bool{}
	list(t, c, func(key, _ string) { still[key] = true })
	paths, err := filepath.Glob(filepath.Join(dir, "*.archive"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%q, %v", paths, err)
	}
	t.Logf("%d complete backups, %d of %d items are there still", len(paths), len(still), entries)
	slices.Sort(paths)
	for n := range min(len(paths), 6) { // from all of the time
		path, lacks := paths[n*len(paths)/min(len(paths), 6)], 0
		for e := range missed(t, path, entries) {
			if still["key="+entry(e).key()] {
				lacks++
			}
		}
		if lacks > 0 {
			t.Errorf("%s is called complete, and lacks %d of the items that were there all the time", filepath.Base(path), lacks)
		}
	}
}

// TestWhoCrashedIsMissed: with one copy a backup after a crash is not called complete until nobody waits any more for who crashed; it has all that the others have.
func TestWhoCrashedIsMissed(t *testing.T) {
	const entries = 1000
	c := nodetest.Start(t, 3)
	fill(t, c, entries)
	c.Crash(2)
	c.WaitAgreed()
	c.WaitSettled()
	still := listed(t, c)
	if len(still) == 0 || len(still) == entries {
		t.Fatalf("%d of %d items are there: the test looks for nothing", len(still), entries)
	}
	f := func(path string) {
		t.Helper()
		missing := missed(t, path, entries)
		for e := range missing {
			if still["key="+entry(e).key()] != "" {
				t.Errorf("%s lacks %s", filepath.Base(path), entry(e).key())
			}
		}
	}
	path := filepath.Join(t.TempDir(), "items.archive")
	printed, err := run("backup", "--to", path, "--addr", c.Addr(1).String())
	if err == nil || output.ExitCode(err) != output.No || !strings.Contains(err.Error(), "n2 went without a word") || !strings.Contains(err.Error(), "not complete") {
		t.Fatalf("%v: %s", err, printed)
	}
	f(path + ".incomplete")
	if _, err := os.Stat(path); err == nil {
		t.Error("it has the name of a complete one as well")
	}
	if _, err := run("backup", "--to", path, "--addr", c.Addr(1).String()); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("written over an incomplete one: %v", err)
	}
	forget(t, c, 1, "n2")
	path += "-2"
	must(t, "backup", "--to", path, "--addr", c.Addr(1).String())
	f(path)
}

// TestACrashWithCopies costs nothing, and a backup has all.
func TestACrashWithCopies(t *testing.T) {
	const entries = 1000
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.Ring.Copies = 2 })
	fill(t, c, entries)
	c.WaitCopied()
	c.Crash(2)
	c.WaitAgreed()
	c.WaitSettled()
	forget(t, c, 1, "n2") // else that the cluster itself began empty, some seconds ago, may have been its fault
	path := filepath.Join(t.TempDir(), "items.archive")
	must(t, "backup", "--to", path, "--addr", c.Addr(1).String())
	if missing := missed(t, path, entries); len(missing) > 0 {
		t.Errorf("it lacks %d items", len(missing))
	}
}

// A key that everybody may read is no secret, and whoever uses it is told.
func TestAKeyThatIsNoSecretIsWarnedOf(t *testing.T) {
	keys := keyFile(t, key1)
	for mode, warned := range map[os.FileMode]bool{0o640: false, 0o644: true} {
		if err := os.Chmod(keys, mode); err != nil {
			t.Fatal(err)
		}
		printed, err := run("restore", filepath.Join(t.TempDir(), "nothing"), "--key-file", keys)
		if err == nil || strings.Contains(printed, "chmod o= "+keys) != warned {
			t.Errorf("mode %o: %v: %q", mode, err, printed)
		}
	}
}

// TestRights: who may not, or comes with the wrong words, neither reads nor writes.
func TestRights(t *testing.T) {
	users, err := node.NewUsers(login.Config{})
	if err != nil {
		t.Fatal(err)
	}
	// The password "pencil", as RFC 7677 has it hashed.
	const hashed = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if err := users.Load([]byte("root:all\nown:" + hashed + " rights=read,write,admin prefix=own:\n")); err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, 1, func(cfg *node.Config) { cfg.Users, cfg.AuthFile = users, "/etc/users" })
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("all\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "items.archive")
	at := []string{"--addr", c.Addr(0).String()}
	known := append(slices.Clone(at), "--login", "root", "--password-file", password)
	if _, err := run(append([]string{"backup", "--to", path}, at...)...); err == nil || !strings.Contains(err.Error(), "--login") {
		t.Errorf("nobody: %v", err)
	}
	must(t, append([]string{"backup", "--to", path}, known...)...)
	must(t, append([]string{"restore", path}, known...)...)
	pencil := filepath.Join(t.TempDir(), "pencil")
	if err := os.WriteFile(pencil, []byte("pencil\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(append([]string{"backup", "--to", path + "-1", "--login", "own", "--password-file", pencil}, at...)...); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("one who may see some keys only: %v", err)
	}
	if _, err := run(append([]string{"restore", path}, at...)...); err == nil || !strings.Contains(err.Error(), "--login") {
		t.Errorf("nobody: %v", err)
	}
	closed := nodetest.Start(t, 1, func(cfg *node.Config) { cfg.NoDump = true })
	if _, err := run("backup", "--to", path+"-2", "--addr", closed.Addr(0).String()); err == nil || !strings.Contains(err.Error(), "-X") {
		t.Errorf("a node that refuses to list keys: %v", err)
	}
	if left, _ := filepath.Glob(path + "-2*"); len(left) > 0 {
		t.Errorf("%q is left behind", left)
	}
}
