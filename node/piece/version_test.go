package piece

import (
	"testing"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/protocol/frametest"
	"github.com/memring/memring/storage"
)

// See frametest: items and pieces stay as they are while the frames' version does.
func TestBytesOfTheVersion(t *testing.T) {
	used := storage.Item{Flags: 1, Expiry: 2, CAS: 3, Version: 3, Fetched: true, Value: []byte("v")}
	chosen := storage.Item{Flags: 4, Expiry: 5, CAS: 6, Version: 7, LastAccess: 8, Stale: true, Won: true, Value: []byte("w")}
	piece := Begin(nil)
	piece = Append(piece, []byte("k"), used)
	piece = Append(piece, []byte("l"), chosen)
	piece = Append(piece, []byte("m"), storage.Item{CAS: 9, Version: 9, Buried: true})
	End(piece, storage.Cursor{Stripe: 10, Table: 11, After: 12}, true, 13*time.Microsecond)
	var said frametest.Said
	said.Add("a piece", piece)

	var resp protocol.Response
	Tell(&resp, chosen)
	said.Add("an item that was fetched", frame.AppendResponse(nil, 14, &resp))
	said.Check(t)
}
