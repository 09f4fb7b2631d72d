//go:build chaos

package storage

import (
	"math/rand/v2"
	"testing"
)

// chaosSteps is how many steps the models below do in each of their stores.
func chaosSteps() int {
	if testing.Short() {
		return 10_000
	}
	return 500_000
}

// TestChaosModelAtOnce is TestModelAtOnce with millions of steps.
func TestChaosModelAtOnce(t *testing.T) { modelAtOnce(t, chaosSteps(), 64<<20) }

// TestChaosModel is TestModel with millions of steps and values to 2 MB.
func TestChaosModel(t *testing.T) {
	steps := chaosSteps()
	for seed, cfg := range []Config{{MaxBytes: 16 << 20, MaxItemBytes: 2 << 20}, {MaxBytes: 64 << 20, MaxItemBytes: 2 << 20}, {MaxBytes: 8 << 20, NoEvict: true, Partitions: manyPartitions}} {
		m := newModel(t, cfg, 2<<20-300, rand.New(rand.NewPCG(uint64(seed), 1)).IntN)
		for i := range steps {
			if m.step(20_000); i%100_000 == 0 {
				check(t, m.s)
			}
		}
		m.finish()
		t.Logf("%+v", m.s.Stats())
		m.s.Close()
	}
}
