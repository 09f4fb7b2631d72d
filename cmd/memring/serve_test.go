package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// runsMain makes the test's own binary be memring, so that these tests see a whole process.
const runsMain = "_MEMRING_TEST_RUNS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runsMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const (
	// processBound ends a process that should have ended, and did not. Others talk with it meanwhile, and a busy machine takes its time.
	processBound = 5 * time.Minute

	// waitBound is how long is waited for what is to come about: no promise, only what tells never from late on the busiest machine.
	waitBound = 2 * time.Minute
)

// memring gives a command that takes any free ports.
func memring(t *testing.T, args ...string) (cmd *exec.Cmd, logged *bytes.Buffer) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	logged = new(bytes.Buffer)
	ctx, cancel := context.WithTimeout(context.Background(), processBound)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, program, append([]string{"-l", "127.0.0.1:0", "--gossip-port", "0", "--admin-listen", "off"}, args...)...)
	cmd.Env = append(os.Environ(), runsMain+"=1", "MEMRING_LOG_FORMAT=text")
	cmd.Stdout, cmd.Stderr = logged, logged
	return cmd, logged
}

// started runs it until its pid file says that it serves.
func started(t *testing.T, args ...string) (cmd *exec.Cmd, logged *bytes.Buffer, pidFile string) {
	dir, err := os.MkdirTemp("", "memring") // not t.TempDir: the user of -u writes there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	pidFile = filepath.Join(dir, "memring.pid")
	cmd, logged = memring(t, append(args, "-P", pidFile)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if _ = cmd.Wait(); t.Failed() {
			t.Logf("%s logged:\n%s", cmd, logged)
		}
	})
	waitFor(t, "it writes its pid file", func() error {
		_, err := readPID(pidFile)
		return err
	})
	return cmd, logged, pidFile
}

func readPID(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func TestSignals(t *testing.T) {
	f := func(signals ...syscall.Signal) {
		t.Helper()
		cmd, logged, pidFile := started(t)
		if pid, err := readPID(pidFile); err != nil || pid != cmd.Process.Pid {
			t.Errorf("pid file: %d, %v, want %d", pid, err, cmd.Process.Pid)
		}
		for _, s := range signals {
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", signals, err, logged)
		}
		if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
			t.Errorf("%v: the pid file stays: %v", signals, err)
		}
	}
	f(syscall.SIGTERM)
	f(syscall.SIGINT)
	f(syscall.SIGUSR1)
	f(syscall.SIGHUP, syscall.SIGTERM) // the first does not end it: else it would not have ended well
}

// With --snapshot-dir a process that is stopped in order is followed by one that has its items; after a crash the next starts empty.
func TestSnapshotDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "snapshots")
	ports := filepath.Join(t.TempDir(), "ports")
	t.Setenv("MEMCACHED_PORT_FILENAME", ports)
	begin := func() (cmd *exec.Cmd, say func(words, want string)) {
		t.Helper()
		cmd, _, _ = started(t, "--id", "n1", "--snapshot-dir", dir)
		text, err := os.ReadFile(ports)
		if err != nil {
			t.Fatal(err)
		}
		port, _, _ := strings.Cut(strings.TrimPrefix(string(text), "TCP INET: "), "\n")
		return cmd, func(words, want string) {
			t.Helper()
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, words+"quit\r\n")
			if got, err := io.ReadAll(conn); err != nil || string(got) != want {
				t.Errorf("%q: %q, %v, want %q", words, got, err, want)
			}
		}
	}
	end := func(cmd *exec.Cmd, signal syscall.Signal) {
		t.Helper()
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); (err == nil) == (signal == syscall.SIGKILL) {
			t.Errorf("%v: %v", signal, err)
		}
	}
	cmd, say := begin()
	say("set k 0 0 3\r\nold\r\n", "STORED\r\n")
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGINT} {
		end(cmd, signal)
		cmd, say = begin()
		say("get k\r\n", "VALUE k 0 3\r\nold\r\nEND\r\n")
	}
	end(cmd, syscall.SIGKILL)
	_, say = begin()
	say("get k\r\n", "END\r\n")
}

func TestPortFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ports")
	t.Setenv("MEMCACHED_PORT_FILENAME", path)
	cmd, _, _ := started(t, "-U", "-1", "-l", "[::1]:0")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ports := regexp.MustCompile(`^TCP INET: (\d+)\nTCP INET6: (\d+)\nUDP INET: (\d+)\nUDP INET6: (\d+)\n$`).FindStringSubmatch(string(text))
	if ports == nil {
		t.Fatalf("got %q", text)
	}
	if conn, err := net.Dial("tcp", "[::1]:"+ports[2]); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// Whoever waits for the pid file finds the ports: they are there even if it cannot be written.
func TestPortFileComesFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ports")
	t.Setenv("MEMCACHED_PORT_FILENAME", path)
	cmd, logged := memring(t, "-P", "/no/such/folder/memring.pid")
	if err := cmd.Run(); err == nil {
		t.Errorf("it ends well:\n%s", logged)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), "TCP INET: ") {
		t.Errorf("%q, %v", text, err)
	}
}

func TestWaitEndsWithShutdown(t *testing.T) {
	signals, shutdowns := make(chan os.Signal, 1), make(chan bool, 1)
	signals <- syscall.SIGHUP
	reload := func() { shutdowns <- true }
	wait(signals, shutdowns, reload, slog.New(slog.DiscardHandler)) // the test times out if it does not return
}

// With -A a client may end the process; without, it is told that it may not.
func TestShutdownCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ports")
	t.Setenv("MEMCACHED_PORT_FILENAME", path)
	f := func(line string, ends bool, args ...string) {
		t.Helper()
		cmd, _, _ := started(t, args...)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		port := strings.TrimSpace(strings.TrimPrefix(string(text), "TCP INET: "))
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(waitBound))
		if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
			t.Fatal(err)
		}
		if ends {
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s: %v", line, err)
			}
			return
		}
		if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(answer, "not enabled") {
			t.Errorf("%s is answered %q, %v", line, answer, err)
		}
	}
	f("shutdown", true, "-A")
	f("shutdown graceful", true, "-A")
	f("shutdown", false)
}

// What -r and -k promise can be seen in the process, when the system allows it.
func TestCoresAndLockedMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may surely lock memory")
	}
	cmd, logged, _ := started(t, "-r", "-k", "-u", "root")
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	if regexp.MustCompile(`Max core file size +0 `).Match(limits) {
		t.Errorf("no core files:\n%s", limits)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		t.Error(err)
	}
	locked := !regexp.MustCompile(`VmLck:\s+0 kB`).Match(status)
	if said := strings.Contains(logged.String(), "memory may be swapped out"); locked == said {
		t.Errorf("locked %v, but said that it is not %v", locked, said)
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	signals := make(chan os.Signal, 2)
	signals <- syscall.SIGHUP
	signals <- syscall.SIGTERM
	entered := make(chan struct{})
	err := stop(func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return nil
	}, stopBound, signals, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "at once") {
		t.Errorf("got %v", err)
	}
	<-entered
}

func TestStopHasABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, release := time.Now(), make(chan struct{})
		err := stop(func(context.Context) error {
			<-release // deaf to its context
			return nil
		}, stopBound, nil, slog.New(slog.DiscardHandler))
		if took := time.Since(began); err == nil || took != stopBound+cutBound {
			t.Errorf("%v after %v", err, took)
		}
		close(release)
	})
}

func TestStopTellsWhatFailed(t *testing.T) {
	failed := errors.New("failed")
	if err := stop(func(context.Context) error { return failed }, stopBound, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func TestDaemon(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "memring.pid")
	cmd, logged := memring(t, "-d", "-P", pidFile)
	if err := cmd.Run(); err != nil {
		t.Fatalf("-d: %v\n%s", err, logged)
	}
	// That the parent has returned says that the child serves.
	pid, err := readPID(pidFile)
	if err != nil || pid == cmd.Process.Pid {
		t.Fatalf("pid %d, %v", pid, err)
	}
	if out, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid)); err == nil && out != os.DevNull {
		t.Errorf("the daemon writes to %s", out)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the daemon removes its pid file", func() error {
		if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
			return fmt.Errorf("still there (%v)", err)
		}
		return nil
	})
}

func TestCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())

	f := func(want string, args ...string) {
		t.Helper()
		cmd, logged := memring(t, args...)
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(logged.String(), want) {
			t.Errorf("%v: %v, want %q in\n%s", args, err, want, logged)
		}
	}
	f("address already in use", "-l", "127.0.0.1:"+port)
	f("address already in use", "-l", "127.0.0.1:"+port, "-d") // the parent tells it
	f("--peer-port", "--peer-port", port)
	f("-u no-such-user", "-u", "no-such-user")
	f("-P ", "-P", "/no/such/folder/memring.pid")
	f("-c 0", "-c", "0")
}

func TestBecomesUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	f := func(args []string, uid string, warned bool) {
		t.Helper()
		cmd, logged, _ := started(t, args...)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			t.Skip(err)
		}
		if want := fmt.Sprintf("\nUid:\t%s\t%[1]s\t%[1]s\t%[1]s\n", uid); !strings.Contains(string(status), want) {
			t.Errorf("%v: not user %s:\n%s", args, uid, status)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		if got := strings.Contains(logged.String(), "running as root"); got != warned {
			t.Errorf("%v: warned of root %v, want %v", args, got, warned)
		}
	}
	f([]string{"-u", "nobody"}, "65534", false)
	f([]string{"-u", "root"}, "0", false)
	f(nil, "0", true)
}

// waitFor waits until wrong is nil, as long as waitBound.
func waitFor(t *testing.T, what string, wrong func() error) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(waitBound); ; <-again.C {
		err := wrong()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited that %s: %v", what, err)
		}
	}
}
