//go:build interop

package backup_test

import "testing"

// TestInteropAMillionItems is too long for every day: three nodes are filled with a million items, which are backed up, encrypted, and brought back into five.
func TestInteropAMillionItems(t *testing.T) {
	if testing.Short() {
		t.Skip("TestThreeNodesIntoFive does it with fewer items")
	}
	backedUp(t, 1_000_000, 512)
}
