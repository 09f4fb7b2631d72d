//go:build chaos

package handover

import "testing"

// Ten thousand worlds: some minutes.
func TestChaosSim(t *testing.T) { simulate(t, planOf, manyOf(10_000)) }

// And as many whose members have copies.
func TestChaosSimCopies(t *testing.T) { simulate(t, copiesPlan, manyOf(10_000)) }

// And as many whose members are taken for dead that are not.
func TestChaosSimSlander(t *testing.T) { simulate(t, slanderPlan, manyOf(10_000)) }

// And as many of which those die who give something away.
func TestChaosSimKilledGiver(t *testing.T) { simulate(t, killsPlan, manyOf(10_000)) }

func manyOf(count uint64) uint64 {
	if testing.Short() {
		return count / 10
	}
	return count
}

// And some whose members are cut in two, and heal.
func TestChaosSimCut(t *testing.T) { simulate(t, cutPlan, manyOf(3_000)) }

// And some whose stores are full, or flushed.
func TestChaosSimFull(t *testing.T) { simulate(t, fullPlan, manyOf(5_000)) }

// And some of each kind that are played twice.
func TestChaosSimReplays(t *testing.T) { replay(t, manyOf(300)) }
