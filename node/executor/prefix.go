package executor

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/memring/memring/protocol"
)

// Prefixes count what is asked of this node's items by the prefix of their keys: what stands before the first delimiter ("stats detail").
// While that is off it costs a request one load of memory, while it is on a lock.
type Prefixes struct {
	delimiter byte
	on        atomic.Bool

	mu     sync.Mutex // guards counts
	counts map[string]*Prefix
}

// A Prefix is what was counted for one.
type Prefix struct {
	Name                      string
	Gets, Hits, Sets, Deletes uint64
}

// maxPrefixes bounds the memory: whoever has no delimiter in his habits would have a prefix for every key. Those that come later are not counted.
const maxPrefixes = 4096

func (p *Prefixes) init(delimiter byte, on bool) {
	if p.delimiter = delimiter; delimiter == 0 {
		p.delimiter = ':'
	}
	p.counts = make(map[string]*Prefix)
	p.on.Store(on)
}

// Prefixes gives the live counts.
func (e *Executor) Prefixes() *Prefixes { return &e.prefixes }

// Set begins to count, or ends it; what was counted stays.
func (p *Prefixes) Set(on bool) { p.on.Store(on) }

// On reports whether it is counted.
func (p *Prefixes) On() bool { return p.on.Load() }

// Reset forgets what was counted.
func (p *Prefixes) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.counts)
}

// List gives what was counted, by rising names.
func (p *Prefixes) List() []Prefix {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Prefix, 0, len(p.counts))
	for _, counted := range p.counts {
		list = append(list, *counted)
	}
	slices.SortFunc(list, func(a, b Prefix) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// count counts an answered request. A key without the delimiter has no prefix.
func (p *Prefixes) count(req *protocol.Request, resp *protocol.Response) {
	end := bytes.IndexByte(req.Key, p.delimiter)
	if end < 0 || !req.Op.Keyed() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	counted := p.counts[string(req.Key[:end])]
	if counted == nil {
		if len(p.counts) >= maxPrefixes {
			return
		}
		counted = &Prefix{Name: string(req.Key[:end])}
		p.counts[counted.Name] = counted
	}
	switch req.Op {
	case protocol.Get, protocol.Gat:
		counted.Gets++
		if resp.Status == protocol.OK {
			counted.Hits++
		}
	case protocol.Set, protocol.Add, protocol.Replace, protocol.Append, protocol.Prepend:
		counted.Sets++
	case protocol.Delete:
		counted.Deletes++
	}
}
