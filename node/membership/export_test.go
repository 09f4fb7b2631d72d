package membership

import "testing"

// Virtually runs a test of so many members that start at once, a first one apart, on a network in memory and in virtual time; start starts one more, of any id.
func Virtually(t *testing.T, count int, test func(nodes []*Membership, start func(n int, id string) *Membership)) {
	virtually(t, func(c *cluster) {
		for n := 1; n <= count; n++ {
			c.start(n, func(cfg *Config) { cfg.Self.Copies = 2 })
		}
		test(c.nodes, func(n int, id string) *Membership {
			return c.start(n, func(cfg *Config) { cfg.Self.ID, cfg.Self.Copies = id, 2 })
		})
	})
}
