package executor

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
)

const watched = watch.Fetchers | watch.Mutations | watch.Deletions

// tell posts what became of a request, in memcached's lines. It is called only while somebody watches.
func (e *Executor) tell(req *protocol.Request, resp *protocol.Response) {
	var kinds watch.Kinds
	var what string
	switch req.Op {
	case protocol.Get, protocol.Gat:
		kinds = watch.Fetchers
		what = fmt.Sprintf("type=item_get key=%s status=%s clsid=1 cfd=%d size=%d", escape(req.Key), found(resp.Status), req.Origin, resp.Size)
	case protocol.Set, protocol.Add, protocol.Replace, protocol.Append, protocol.Prepend:
		kinds = watch.Mutations
		command := req.Op.String()
		if req.Op == protocol.Set && req.Options.Has(protocol.Compare) {
			command = "cas"
		}
		what = fmt.Sprintf("type=item_store key=%s status=%s cmd=%s ttl=%d clsid=1 cfd=%d size=%d",
			escape(req.Key), stored(resp.Status), command, req.Exptime, req.Origin, len(req.Value))
	case protocol.Delete:
		if resp.Status == protocol.OK {
			kinds = watch.Deletions
			what = fmt.Sprintf("type=deleted key=%s cmd=delete clsid=1 cfd=%d", escape(req.Key), req.Origin)
		}
	}
	if e.watch.Wanted(kinds) {
		e.watch.Post(kinds, e.clock.Milli(), what)
	}
}

// escape gives a key as it stands in a line: all but letters, digits and -._~ is %XX.
func escape(key []byte) string { return strings.ReplaceAll(url.QueryEscape(string(key)), "+", "%20") }

func found(status protocol.Status) string {
	if status == protocol.OK {
		return "found"
	}
	return "not_found"
}

func stored(status protocol.Status) string {
	switch status {
	case protocol.OK:
		return "stored"
	case protocol.Exists:
		return "exists"
	case protocol.NotFound:
		return "not_found"
	case protocol.TooLarge:
		return "too_large"
	case protocol.OutOfMemory:
		return "no_memory"
	default:
		return "not_stored"
	}
}
