//go:build chaos

package handover

import "testing"

// Ten thousand worlds: some minutes.
func TestChaosSim(t *testing.T) { simulate(t, planOf, manyOf(10_000)) }

// And as many whose members have copies.
func TestChaosSimCopies(t *testing.T) { simulate(t, copiesPlan, manyOf(10_000)) }

// And as many whose members are taken for dead that are not.
func TestChaosSimSlander(t *testing.T) { simulate(t, slanderPlan, manyOf(10_000)) }

func manyOf(count uint64) uint64 {
	if testing.Short() {
		return count / 10
	}
	return count
}
