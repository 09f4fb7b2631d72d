package executor

import (
	"fmt"
	"slices"
	"testing"

	"github.com/memring/memring/protocol"
)

func TestPrefixes(t *testing.T) {
	var p Prefixes
	p.init('/', true)
	f := func(op protocol.Op, key string, status protocol.Status) {
		p.count(&protocol.Request{Op: op, Key: []byte(key)}, &protocol.Response{Status: status})
	}
	f(protocol.Get, "b/1", protocol.OK)
	f(protocol.Get, "b/1/2", protocol.NotFound)
	f(protocol.Set, "b/", protocol.TooLarge)
	f(protocol.Delete, "b/1", protocol.NotFound)
	f(protocol.Get, "/", protocol.NotFound)
	f(protocol.Get, "none:here", protocol.OK)
	f(protocol.Flush, "", protocol.OK)
	want := []Prefix{{Name: "", Gets: 1}, {Name: "b", Gets: 2, Hits: 1, Sets: 1, Deletes: 1}}
	if got := p.List(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p.Reset()
	for i := range maxPrefixes + 100 {
		f(protocol.Get, fmt.Sprintf("p%d/x", i), protocol.OK)
	}
	if got := len(p.List()); got != maxPrefixes {
		t.Errorf("%d prefixes are kept", got)
	}
	req, resp := &protocol.Request{Op: protocol.Get, Key: []byte("p7/x")}, &protocol.Response{Status: protocol.OK}
	if n := testing.AllocsPerRun(100, func() { p.count(req, resp) }); n > 0 {
		t.Errorf("%v allocations to count a known prefix", n)
	}
}
