//go:build chaos

package node_test

import "testing"

// TestChaosRandomInput is TestRandomInput with ten times as much, short or not.
func TestChaosRandomInput(t *testing.T) { pourInto(t, 100_000_000) }
