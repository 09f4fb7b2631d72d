package backup_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node"
	"github.com/memring/memring/node/archive"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/storage"
)

// TestWhatHasNoRoomIsTold: items that a cluster refuses, and those that it must evict for others.
func TestWhatHasNoRoomIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "items.archive")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := archive.NewWriter(file, []byte("{}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	batch := w.Batch()
	for n := range 60 { // 30 MB
		if err := batch.Add(fmt.Append(nil, n), storage.Item{Value: make([]byte, 512<<10), CAS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(batch.Flush(), w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	small := nodetest.Start(t, 1, sized(16))
	if printed := must(t, "restore", path, "--addr", small.Addr(0).String()); !strings.Contains(printed, "60 items restored") || !strings.Contains(printed, "had to evict ") {
		t.Error(printed)
	}
	strict := nodetest.Start(t, 1, func(cfg *node.Config) { cfg.MaxItemBytes = 64 << 10 })
	printed, err := run("restore", path, "--addr", strict.Addr(0).String())
	if err == nil || output.ExitCode(err) != output.No || !strings.Contains(err.Error(), "60 items were refused") {
		t.Errorf("%v: %s", err, printed)
	}
}
