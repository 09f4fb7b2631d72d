package piece

import (
	"fmt"
	"testing"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/storage"
)

// See frame's TestBytesOfTheVersion: items and pieces stay as they are while the frames' version does.
func TestBytesOfTheVersion(t *testing.T) {
	const version = 1
	if frame.Version != version {
		t.Fatalf("the version is %d: say here what its bytes are", frame.Version)
	}
	f := func(what string, got []byte, want string) {
		t.Helper()
		if got := fmt.Sprintf("%x", got); got != want {
			t.Errorf("%s of version %d is changed (see protocol/DESIGN.md, \"Versions\"): got %s, want %s", what, version, got, want)
		}
	}
	used := storage.Item{Flags: 1, Expiry: 2, CAS: 3, Version: 3, Fetched: true, Value: []byte("v")}
	chosen := storage.Item{Flags: 4, Expiry: 5, CAS: 6, Version: 7, LastAccess: 8, Stale: true, Won: true, Value: []byte("w")}
	piece := Begin(nil)
	piece = Append(piece, []byte("k"), used)
	piece = Append(piece, []byte("l"), chosen)
	piece = Append(piece, []byte("m"), storage.Item{CAS: 9, Version: 9, Buried: true})
	End(piece, storage.Cursor{Stripe: 10, Table: 11, After: 12}, true, 13*time.Microsecond)
	f("a piece", piece, "0a000000000000000b000000000000000c00000000000000"+"01"+"0d000000"+
		"0101"+"01000000"+"01000000"+"0200000000000000"+"0300000000000000"+"0000000000000000"+"6b76"+
		"010e"+"04000000"+"01000000"+"0500000000000000"+"0600000000000000"+"0800000000000000"+"0700000000000000"+"6c77"+
		"0140"+"00000000"+"00000000"+"0000000000000000"+"0900000000000000"+"0000000000000000"+"6d")

	var resp protocol.Response
	Tell(&resp, chosen)
	f("an item that was fetched", frame.AppendResponse(nil, 14, &resp), "3f0000000e000000"+"010e"+"04000000"+"0600000000000000"+"0000000000000000"+"0500000000000000"+
		"0800000000000000"+"09000000"+"09000000"+"77"+"0700000000000000")
}
