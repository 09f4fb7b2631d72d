package storage

// An Item is what is kept under a key.
type Item struct {
	Value  []byte
	Flags  uint32 // the client's; kept, never read
	Expiry int64  // the Unix second at which it is gone; 0: never
	CAS    uint64 // the CAS unique: rises with every change of the item, never 0
}
