package transcript

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestInterop plays every recorded conversation against the server at MEMRING_TRANSCRIPT_ADDR, which is a MEMRING_TRANSCRIPT_VERSION:
// "memring", "1.6.45" (the reference) or "1.6.18".
func TestInterop(t *testing.T) {
	addr := os.Getenv("MEMRING_TRANSCRIPT_ADDR")
	if addr == "" {
		t.Skip("MEMRING_TRANSCRIPT_ADDR is not set")
	}
	version := os.Getenv("MEMRING_TRANSCRIPT_VERSION")
	if version == "" {
		version = "memring"
	}
	rooms, err := filepath.Glob("../*/testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range rooms {
		all, err := Load(os.DirFS(room))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d conversations", room, len(all))
		Run(t, all, version, func() (Conn, error) { return net.Dial("tcp", addr) })
	}
}
