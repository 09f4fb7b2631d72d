package binary_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/binary"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/protocol/text"
	"github.com/memring/memring/protocol/transcript"
)

// Every recorded conversation, played against a session alone: its bytes whole, and cut. (node plays them on real stores.)
func TestConversations(t *testing.T) {
	all, err := transcript.Load(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 165 {
		t.Errorf("%d conversations; there were more", len(all))
	}
	const itemBytes = 1 << 20
	items := newItems()
	transcript.Run(t, all, "memring", func() (transcript.Conn, error) {
		lines := text.New(text.Config{MaxItemBytes: itemBytes})
		wires := session.NewWires(lines, nil, func([]byte) bool { return false }, binary.New(binary.Config{MaxItemBytes: itemBytes}))
		s := session.New(items, wires, 0)
		return transcript.Alone(s.Answer, s.Ended), nil
	})
}

// items is a cache of the simplest kind: enough of one to hold a conversation with.
type items struct {
	held   map[string]item
	unique uint64
}

type item struct {
	flags uint32
	cas   uint64
	value []byte
}

func newItems() *items { return &items{held: map[string]item{}} }

// gone reports whether exptime is in the past; no conversation waits for one to come.
func gone(exptime int64) bool { return exptime < 0 || exptime > 30*24*3600 && exptime < 1_700_000_000 }

func (m *items) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	key := string(req.Key)
	old, found := m.held[key]
	resp.Status = protocol.OK
	switch req.Op {
	case protocol.Get, protocol.Gat:
		m.get(req, resp)
	case protocol.Discard, protocol.Delete:
		switch {
		case !found:
			resp.Status = protocol.NotFound
		case req.Options.Has(protocol.Compare) && req.CAS != old.cas:
			resp.Status = protocol.Exists
		default:
			delete(m.held, key)
		}
	case protocol.Incr, protocol.Decr:
		m.count(req, resp)
	case protocol.Flush:
		if req.Exptime == 0 {
			clear(m.held)
		}
	case protocol.Noop, protocol.ResetStats:
	case protocol.Version:
		resp.Value = []byte("1.6.45")
	case protocol.Stats:
		resp.Status = protocol.UnknownCommand
	default:
		m.store(req, resp)
	}
	return nil
}

func (m *items) get(req *protocol.Request, resp *protocol.Response) {
	old, found := m.held[string(req.Key)]
	if !found {
		resp.Status = protocol.NotFound
		return
	}
	resp.Flags, resp.CAS = old.flags, old.cas
	if !req.Options.Has(protocol.NoValue) {
		resp.Scratch = append(resp.Scratch[:0], old.value...)
		resp.Value = resp.Scratch
	}
	if req.Options.Has(protocol.SetExptime) && gone(req.Exptime) {
		delete(m.held, string(req.Key))
	}
}

func (m *items) store(req *protocol.Request, resp *protocol.Response) {
	old, found := m.held[string(req.Key)]
	value, flags, extends := bytes.Clone(req.Value), req.Flags, req.Op == protocol.Append || req.Op == protocol.Prepend
	switch {
	case req.Op == protocol.Add && found || (req.Op == protocol.Replace || extends) && !found:
		resp.Status = protocol.NotStored
	case req.Options.Has(protocol.Compare) && !found:
		resp.Status = protocol.NotFound
	case req.Options.Has(protocol.Compare) && old.cas != req.CAS:
		resp.Status = protocol.Exists
	case req.Op == protocol.Append:
		value, flags = append(bytes.Clone(old.value), value...), old.flags
	case req.Op == protocol.Prepend:
		value, flags = append(value, old.value...), old.flags
	}
	if extends && protocol.ItemBytes(len(req.Key), flags, len(value)) > 1<<20 {
		resp.Status = protocol.NotStored
	}
	if resp.Status == protocol.OK {
		m.put(req, resp, item{flags: flags, value: value}, !extends && gone(req.Exptime))
	}
}

func (m *items) count(req *protocol.Request, resp *protocol.Response) {
	old, found := m.held[string(req.Key)]
	n, err := strconv.ParseUint(strings.TrimSpace(string(old.value)), 10, 64)
	switch {
	case !found && !req.Options.Has(protocol.Vivify):
		resp.Status = protocol.NotFound
	case !found:
		resp.Number = req.Initial
		m.put(req, resp, item{value: fmt.Append(nil, req.Initial)}, gone(req.VivifyExptime))
	case len(old.value) == 0:
		resp.Status = protocol.NonNumeric
	case req.Options.Has(protocol.Compare) && old.cas != req.CAS:
		resp.Status = protocol.Exists
	case err != nil:
		resp.Status = protocol.NonNumeric
	default:
		switch {
		case req.Op == protocol.Incr:
			n += req.Delta
		case n < req.Delta:
			n = 0
		default:
			n -= req.Delta
		}
		resp.Number = n
		m.put(req, resp, item{flags: old.flags, value: fmt.Appendf(nil, "%-*d", len(old.value), n)}, false)
	}
}

func (m *items) put(req *protocol.Request, resp *protocol.Response, it item, isGone bool) {
	m.unique++
	it.cas, resp.CAS = m.unique, m.unique
	if m.held[string(req.Key)] = it; isGone {
		delete(m.held, string(req.Key))
	}
}
