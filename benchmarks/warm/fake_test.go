package warm

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A fake is a memcached that knows get and set, and may be told to answer worse.
type fake struct {
	seat     *Server
	listener net.Listener
	all      sync.WaitGroup

	mu      sync.Mutex // guards what follows, and the items, which fakes may share
	items   *items
	conns   map[net.Conn]bool
	stopped bool
	says    string
	cuts    bool
	refuses string
}

type items struct {
	mu sync.Mutex // guards of
	of map[string]string
}

// startFakes starts some, with the same items if they are a cluster.
func startFakes(t *testing.T, n int, cluster bool) (all []*fake) {
	t.Helper()
	shared := &items{of: map[string]string{}}
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f := &fake{seat: &Server{Addr: l.Addr().String(), Number: uint8(i)}, listener: l, items: shared, conns: map[net.Conn]bool{}}
		if !cluster {
			f.items = &items{of: map[string]string{}}
		}
		f.all.Go(f.accept)
		t.Cleanup(f.stop)
		all = append(all, f)
	}
	return all
}

// say has it give the same answer to everything, and close after it.
func (f *fake) say(answer string, cut bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.says, f.cuts = answer, cut
}

func (f *fake) refuse(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = key
}

// asked reports whether a client has come.
func (f *fake) asked() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns) > 0
}

func (f *fake) stop() {
	f.mu.Lock()
	f.stopped = true
	for c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	_ = f.listener.Close()
	f.all.Wait()
}

func (f *fake) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		if f.stopped {
			_ = c.Close()
		} else {
			f.conns[c] = true
			f.all.Go(func() { f.converse(c) })
		}
		f.mu.Unlock()
	}
}

func (f *fake) converse(c net.Conn) {
	defer func() { _ = c.Close() }()
	for read := bufio.NewReader(c); ; {
		line, err := read.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		value := ""
		if words[0] == "set" {
			n, _ := strconv.Atoi(words[4])
			data := make([]byte, n+2)
			if _, err := io.ReadFull(read, data); err != nil {
				return
			}
			value = string(data[:n])
		}
		f.mu.Lock()
		answer, cut := f.says, f.cuts
		if answer == "" && words[1] == f.refuses {
			answer = "SERVER_ERROR not this one\r\n"
		}
		f.mu.Unlock()
		if answer == "" {
			answer = f.items.answer(words, value)
		}
		if _, err := io.WriteString(c, answer); err != nil || cut {
			return
		}
	}
}

func (i *items) answer(words []string, value string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if words[0] == "set" {
		i.of[words[1]] = value
		return "STORED\r\n"
	}
	if value, ok := i.of[words[1]]; ok {
		return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", words[1], len(value), value)
	}
	return "END\r\n"
}
