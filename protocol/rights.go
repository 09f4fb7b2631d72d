package protocol

import (
	"slices"
	"strings"
)

// Rights is a set of what one may ask for. What each op needs is in the table of ops.
type Rights uint8

// The rights. Who connects has Public, who has logged in Common as well; the three that follow are what a user is given or not.
const (
	Public   Rights = 1 << iota // how to come in, and how to leave
	Common                      // what neither shows nor changes an item: where the nodes are, and what they count
	Read                        // what items hold, and whether they are there
	Write                       // to make, change and delete items
	Admin                       // what concerns all items or the node; and what lists keys, or who else is there
	Internal                    // what members ask each other: no client has it
)

// AllRights are those of a user who is not limited.
const AllRights = Public | Common | Read | Write | Admin

// Needs gives the rights that a client must have to be given an answer. Of statistics only the groups that are known to name no key and no client
// are for everybody: whatever else is said, it may be an administrator's.
func (r *Request) Needs() Rights {
	if r.Op == Stats && !slices.Contains(commonStats(), firstWord(r.Key)) {
		return Admin
	}
	return table[r.Op].needs
}

// ForClients reports whether a client may ask for op at all.
func (op Op) ForClients() bool { return table[op].needs&Internal == 0 }

// commonStats are those that exporters and clients ask for, by their whole names; "" are the general ones.
func commonStats() []string {
	return []string{"", "settings", "items", "slabs", "sizes", "tls", "cluster", "nodes", "partitions"}
}

func firstWord(said []byte) string {
	word, _, _ := strings.Cut(strings.TrimLeft(string(said), " "), " ")
	return word
}
