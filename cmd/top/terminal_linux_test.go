package top

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/memring/memring/node/nodetest"
)

// A screen is what came out of a terminal.
type screen struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// frames gives all that was drawn so far.
func (s *screen) frames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(s.text.String(), begin)[1:]
}

// On a terminal it draws over what it has drawn, as large as the terminal is by then, until q.
func TestOnATerminal(t *testing.T) {
	c := nodetest.Start(t, 3, measured)
	talk(t, c)
	master, terminal := openTerminal(t)
	resize := func(columns, rows uint16) {
		if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
			t.Fatal(err)
		}
	}
	resize(200, 50)
	seen := &screen{}
	go func() { _, _ = io.Copy(seen, master) }()
	ended := make(chan error, 1)
	go func() { ended <- start(terminal, terminal, "--addr", c.Addr(0).String(), "--interval", "100ms") }()
	last := func(what string, is func(frame string) bool) {
		t.Helper()
		c.Wait(what, func() bool {
			frames := seen.frames()
			return len(frames) > 1 && is(frames[len(frames)-2])
		})
	}
	last("all nodes are shown", func(frame string) bool {
		return strings.Contains(frame, "n0 ") && strings.Contains(frame, "n2 ") && strings.Contains(frame, "MOVING") && strings.Contains(frame, "us") && strings.HasSuffix(frame, end)
	})
	resize(30, 5)
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil { // the terminal is not this process's own
		t.Fatal(err)
	}
	last("it fits the smaller one", func(frame string) bool {
		return strings.Count(frame, "\n") < 5 && !strings.Contains(frame, "MOVING") && strings.Contains(frame, "NODE")
	})
	c.Crash(0)
	last("it says that nobody answers", func(frame string) bool { return strings.Contains(frame, "no answer") })
	if _, err := io.WriteString(master, "xq"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c.Wait("the terminal is as it was", func() bool {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		return strings.HasPrefix(seen.text.String(), enter) && strings.HasSuffix(seen.text.String(), leave)
	})
}

// openTerminal gives both ends of a new terminal: what is typed and seen, and the program's.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close(); master.Close() })
	return master, terminal
}
