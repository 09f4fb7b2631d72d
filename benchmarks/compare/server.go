package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startBound = time.Minute           // until a server answers
	stopBound  = 30 * time.Second      // from SIGTERM to SIGKILL; memring takes four seconds at most, where it has a processor
	pollEvery  = 20 * time.Millisecond // while it starts
	askBound   = 5 * time.Second       // for an answer to version
	keptLog    = 4 << 10               // bytes of what a server said, to tell why it ended
)

// A recipe says how to start a server.
type recipe struct {
	name string
	path string
	args func() (args []string, addr string, err error) // with free ports

	secure string // HOST:PORT of the encrypted port; "": there is none
}

// asRoot keeps memcached from refusing to run as root, and memring from complaining.
func asRoot() []string {
	if os.Geteuid() == 0 {
		return []string{"-u", "root"}
	}
	return nil
}

func memcachedAt(path string) recipe {
	return recipe{name: "memcached", path: path, args: func() ([]string, string, error) {
		ports, err := lastingPorts(1)
		if err != nil {
			return nil, "", err
		}
		return append([]string{"-l", "127.0.0.1", "-p", ports[0], "-U", "0"}, asRoot()...), "127.0.0.1:" + ports[0], nil
	}}
}

// memringAt starts memring alone: nobody to join, nothing for operators.
func memringAt(path string) recipe {
	return recipe{name: "memring", path: path, args: func() ([]string, string, error) {
		ports, err := lastingPorts(3)
		if err != nil {
			return nil, "", err
		}
		args := []string{"-l", "127.0.0.1", "-p", ports[0], "--peer-port", ports[1], "--gossip-port", ports[2], "--admin-listen", "off"}
		return append(args, asRoot()...), "127.0.0.1:" + ports[0], nil
	}}
}

// lastingPorts finds ports below those that systems give to whoever asks for any: nobody comes first, and a node that is down for a moment finds its own
// again.
func lastingPorts(n int) (ports []string, err error) {
	const least, most, tries = 15_000, 32_000, 100
	for range tries {
		port := strconv.Itoa(least + rand.IntN(most-least))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer func() { _ = l.Close() }()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports from %d to %d", n, least, most)
}

// version is what -V says, without the name: memring says memcached's version on the wire, and which of its own builds it is only here.
func (r recipe) version() (string, error) {
	said, err := exec.Command(r.path, "-V").Output()
	first, _, _ := strings.Cut(string(said), "\n")
	if err != nil {
		return "", fmt.Errorf("%s -V: %w", r.path, err)
	}
	_, version, _ := strings.Cut(first, " ")
	return version, nil
}

// A server is a running process of a recipe.
type server struct {
	name, addr string
	secure     string // the recipe's

	cmd    *exec.Cmd
	said   lastBytes
	ended  chan struct{} // closed when the process has ended
	result error         // of Wait, once ended
}

// start runs a recipe with more arguments, until it answers.
func (r recipe) start(ctx context.Context, more ...string) (*server, error) {
	args, addr, err := r.args()
	if err != nil {
		return nil, err
	}
	s := &server{name: r.name, addr: addr, secure: r.secure, cmd: exec.Command(r.path, append(args, more...)...), ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	go func() { // ends with the process, for which stop waits
		s.result = s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.answers(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// answers waits for the server to tell its version.
func (s *server) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for {
		_, err := s.ask("version\r\n", "VERSION ")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("%s ended: %w\n%s", s.cmd, s.result, s.said.text)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w, %w\n%s", s.cmd, ctx.Err(), err, s.said.text)
		case <-time.After(pollEvery):
		}
	}
}

// ask sends one request, and reads lines until one begins with the last word of its answer.
func (s *server) ask(request, last string) (lines []string, err error) {
	conn, err := net.DialTimeout("tcp", s.addr, askBound)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(askBound)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		return nil, err
	}
	for read := bufio.NewReader(conn); ; {
		line, err := read.ReadString('\n')
		if err != nil {
			return nil, err
		}
		lines = append(lines, strings.TrimRight(line, "\r\n"))
		if strings.HasPrefix(line, last) {
			return lines, nil
		}
	}
}

// stat gives one figure of a group of the server's own statistics ("": the general ones), 0 if it has none of that name.
func (s *server) stat(group, name string) (uint64, error) {
	lines, err := s.ask(strings.TrimSpace("stats "+group)+"\r\n", "END")
	if err != nil {
		return 0, err
	}
	for _, line := range lines {
		if value, ok := strings.CutPrefix(line, "STAT "+name+" "); ok {
			return strconv.ParseUint(value, 10, 64)
		}
	}
	return 0, nil
}

// stop ends the process in good order, or not, and waits for it. An end with another status than 0 is no error: memcached does so.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.ended:
		return nil
	case <-time.After(stopBound):
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	return fmt.Errorf("%s did not stop within %v", s.cmd, stopBound)
}

// memory gives the process's resident bytes, now and at most so far.
func (s *server) memory() (rss, peak uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case err != nil:
		case name == "VmRSS":
			rss = kilobytes << 10
		case name == "VmHWM":
			peak = kilobytes << 10
		}
	}
	if rss == 0 || peak == 0 {
		return 0, 0, fmt.Errorf("%s: no VmRSS or VmHWM", s.name)
	}
	return rss, peak, nil
}

// cpu gives the time the process has spent on processors, in user and system mode: what the scheduler has counted for each of its
// threads, in nanoseconds (utime and stime come in ticks of ten milliseconds, too coarse for a slice of a second at part load).
func (s *server) cpu() (time.Duration, error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err // a thread has ended, and its time with it: both servers keep theirs
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("unexpected %s %q", path, text)
		}
		sum += time.Duration(ns)
	}
	if sum == 0 {
		return 0, fmt.Errorf("%s: the kernel counts no time of its threads (schedstat)", s.name)
	}
	return sum, nil
}

// lastBytes keeps the end of what is written to it. Only exec's goroutine writes, and it is read after the process has ended.
type lastBytes struct{ text []byte }

func (l *lastBytes) Write(p []byte) (int, error) {
	l.text = append(l.text, p...)
	l.text = l.text[max(len(l.text)-keptLog, 0):]
	return len(p), nil
}
