//go:build chaos

package handover

import "testing"

// Ten thousand worlds: some minutes.
func TestChaosSim(t *testing.T) {
	seeds := uint64(10_000)
	if testing.Short() {
		seeds = 1000
	}
	simulate(t, 0, seeds)
}
