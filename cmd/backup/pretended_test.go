package backup_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/cmd/backup"
	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node/archive"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/storage"
)

// pretend is a cluster of one member that does what a test says, once it has told who it is: with each line that it hears, until answer is false.
func pretend(t *testing.T, answer func(line string, in *bufio.Reader, out net.Conn) (goOn bool)) (address string) {
	t.Helper()
	return pretendMissing(t, "", answer)
}

// pretendMissing is one whose status tells of problems, a line each.
func pretendMissing(t *testing.T, problems string, answer func(line string, in *bufio.Reader, out net.Conn) (goOn bool)) (address string) {
	t.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	go func() {
		for {
			conn, err := port.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					switch line = strings.TrimRight(line, "\r\n"); {
					case line == "cluster members":
						fmt.Fprintf(conn, "MEMBER n1 client=%s\r\nEND\r\n", port.Addr())
					case line == "cluster status", line == "stats cluster":
						fmt.Fprintf(conn, "%sEND\r\n", problems)
					case !answer(line, in, conn):
						return
					}
				}
			}()
		}
	}()
	return port.Addr().String()
}

// archived writes an archive of items of a few bytes.
func archived(t *testing.T, path string, keys ...string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := archive.NewWriter(file, []byte("{}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	batch := w.Batch()
	for _, key := range keys {
		if err := batch.Add([]byte(key), storage.Item{Value: []byte("value"), CAS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(batch.Flush(), w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// Whoever interrupts a backup finds nothing of it.
func TestAnInterruptedBackupLeavesNothing(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	directory := t.TempDir()
	address := pretend(t, func(line string, _ *bufio.Reader, out net.Conn) bool {
		if strings.HasPrefix(line, "export ") {
			fmt.Fprintf(out, "EXPORT 1 1 100\r\n")
			interrupt()
		}
		return true
	})
	cmd := backup.Commands(11211, "test")[0]
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"--to", directory, "--addr", address})
	if err := cmd.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(directory); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// What began during a backup with less than there was of it is told, and what there is has a name that says so.
func TestABackupThatMayLackItemsSaysSo(t *testing.T) {
	items := piece.Append(nil, []byte("key"), storage.Item{Value: []byte("value"), CAS: 1})
	f := func(name, short string, want bool) {
		t.Helper()
		to, asked := filepath.Join(t.TempDir(), "items.archive"), 0
		address := pretend(t, func(line string, in *bufio.Reader, out net.Conn) bool {
			var length, span int
			if n, _ := fmt.Sscanf(line, "export %d %d", &length, &span); n != 2 || span < 1 {
				t.Errorf("%s: asked %q, without how long it has gone on", name, line)
			}
			if _, err := io.ReadFull(in, make([]byte, length+len("\r\n"))); err != nil {
				return false
			}
			last := "\x01\x02\x00" // the first is complete, the second goes away
			if asked++; asked > 1 {
				last = "\x02\x00" + short // and is back
			}
			fmt.Fprintf(out, "EXPORT 2 2 100 3\r\n%s%s\x00\x00\x00\x00%s", binary.LittleEndian.AppendUint32(nil, uint32(len(items))), items, last)
			return true
		})
		printed, err := run("backup", "--to", to, "--addr", address)
		if (err != nil) != want || err != nil && (output.ExitCode(err) != output.No || !strings.Contains(err.Error(), "1 of 2 partitions")) {
			t.Errorf("%s: %v: %s", name, err, printed)
		}
		if want {
			to += ".incomplete"
		}
		if _, err := os.Stat(to); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("nothing is short", "\x00", false)
	f("what came whole before it became short", "\x01", false)
	f("what came short", "\x03", true)
}

// Who crashed a minute ago may be alive on the other side of a cut, and the backup looks back as far as that. Who crashed an hour ago is only warned of, and spoils no backup.
func TestWhoCrashedLongAgoSpoilsNoBackup(t *testing.T) {
	items := piece.Append(nil, []byte("key"), storage.Item{Value: []byte("value"), CAS: 1})
	f := func(ago time.Duration, spoilt bool) {
		t.Helper()
		problems := fmt.Sprintf("PROBLEM n2 what=down for=%d\r\n", int(ago.Seconds()))
		address := pretendMissing(t, problems, func(line string, in *bufio.Reader, out net.Conn) bool {
			var length, span int
			if n, _ := fmt.Sscanf(line, "export %d %d", &length, &span); n != 2 {
				t.Errorf("asked %q", line)
			}
			if _, err := io.ReadFull(in, make([]byte, length+len("\r\n"))); err != nil {
				return false
			}
			last := "\x01\x00\x00"
			if time.Duration(span)*time.Millisecond >= ago { // its partition began empty then
				last = "\x01\x00\x01"
			}
			fmt.Fprintf(out, "EXPORT 1 1 100 3\r\n%s%s\x00\x00\x00\x00%s", binary.LittleEndian.AppendUint32(nil, uint32(len(items))), items, last)
			return true
		})
		printed, err := run("backup", "--to", t.TempDir(), "--addr", address)
		told := printed
		if err != nil {
			told += err.Error()
		}
		if (err != nil) != spoilt || !strings.Contains(told, "n2 went without a word "+ago.String()+" ago") {
			t.Errorf("%v: %v: %s", ago, err, printed)
		}
	}
	f(time.Minute, true)
	f(time.Hour, false)
}

// A file that comes under its name while a backup is made is not overwritten.
func TestABackupOverwritesNothingThatCame(t *testing.T) {
	to := filepath.Join(t.TempDir(), "items.archive")
	address := pretend(t, func(line string, _ *bufio.Reader, out net.Conn) bool {
		if strings.HasPrefix(line, "export ") {
			if err := os.WriteFile(to, []byte("somebody else's"), 0o600); err != nil {
				t.Error(err)
			}
			fmt.Fprintf(out, "EXPORT 1 1 100\r\n\x00\x00\x00\x00\x01")
		}
		return true
	})
	if _, err := run("backup", "--to", to, "--addr", address); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("%v", err)
	}
	if content, err := os.ReadFile(to); err != nil || string(content) != "somebody else's" {
		t.Errorf("%.100q, %v", content, err)
	}
	if left, _ := filepath.Glob(to + ".*"); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

// An item that is refused for good ends a restore, also if the node ends the connection with that and takes the next one on another.
func TestARefusalIsToldAlthoughTheConnectionEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "items.archive")
	archived(t, path, "a", "b")
	address := pretend(t, func(line string, in *bufio.Reader, out net.Conn) bool {
		var keyBytes, allBytes int
		if n, _ := fmt.Sscanf(line, "install %d %d", &keyBytes, &allBytes); n != 2 {
			return true
		}
		sent := make([]byte, allBytes+len("\r\n"))
		if _, err := io.ReadFull(in, sent); err != nil {
			return false
		}
		if sent[0] == 'a' {
			fmt.Fprintf(out, "CLIENT_ERROR never\r\n")
			return false
		}
		fmt.Fprintf(out, "STORED\r\n")
		return true
	})
	if printed, err := run("restore", path, "--addr", address, "--timeout", "5s"); err == nil || !strings.Contains(err.Error(), "never") {
		t.Errorf("%v: %s", err, printed)
	}
}

// What goes on for --timeout without an item that had not come before is given up: bytes that come one by one, an answer that never ends, and the same items again and again.
func TestWhatBringsNoItemsIsGivenUp(t *testing.T) {
	f := func(name string, answer func(line string, in *bufio.Reader, out net.Conn) bool, args ...string) {
		t.Helper()
		printed, err := run(append(args, "--addr", pretend(t, answer), "--timeout", "300ms")...)
		if err == nil || output.ExitCode(err) != output.Timeout {
			t.Errorf("%s: %v: %s", name, err, printed)
		}
	}
	trickle := func(out net.Conn) {
		for range time.Tick(10 * time.Millisecond) {
			if _, err := out.Write([]byte{'1'}); err != nil {
				return
			}
		}
	}
	f("a long item by the byte", func(line string, _ *bufio.Reader, out net.Conn) bool {
		if strings.HasPrefix(line, "export ") {
			fmt.Fprintf(out, "EXPORT 1 1 100\r\n\x00\x00\x10\x00")
			trickle(out)
		}
		return true
	}, "backup", "--to", t.TempDir())
	items := piece.Append(nil, []byte("key"), storage.Item{Value: []byte("value"), CAS: 1})
	directory := t.TempDir()
	f("the same item each time", func(line string, _ *bufio.Reader, out net.Conn) bool {
		if !strings.HasPrefix(line, "export ") {
			return true
		}
		fmt.Fprintf(out, "EXPORT 1 1 100\r\n%s%s", binary.LittleEndian.AppendUint32(nil, uint32(len(items))), items)
		return false
	}, "backup", "--to", directory)
	if names, err := filepath.Glob(filepath.Join(directory, "memring-*")); err != nil || len(names) != 1 || !strings.HasSuffix(names[0], ".archive.incomplete") {
		t.Errorf("what came is in %q, %v; want it in one that is called incomplete", names, err)
	}

	path := filepath.Join(t.TempDir(), "items.archive")
	archived(t, path, "a")
	f("an answer by the byte", func(line string, in *bufio.Reader, out net.Conn) bool {
		if strings.HasPrefix(line, "install ") {
			trickle(out)
		}
		return true
	}, "restore", path)
}
