// Package ring says which member holds which partition of the keys.
package ring

// A Member is what the ring knows of a member of the cluster.
type Member struct {
	ID     string // unique in the cluster, and the same after a restart; 1 to 64 bytes
	Zone   string // copies avoid sharing one; may be empty
	Weight uint8  // how many times the keys of a member of weight 1 it takes, 1 to 32
}
