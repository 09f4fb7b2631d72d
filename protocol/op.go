package protocol

// An Op is what a request asks for, whichever wire it came on.
type Op uint8

// The ops. The wires map their verbs to these; see the table below for what each is called and does.
const (
	None Op = iota // no request at all: the codec has only swallowed bytes
	Reject
	Discard

	Get
	Gat
	Inspect
	Touch
	Set
	Add
	Replace
	Append
	Prepend
	Delete
	Incr
	Decr

	Flush
	FlushMark
	Noop
	Quit
	Version
	Verbosity
	Stats
	ResetStats
	Operate
	Configuration
	Members
	Moves
	Owner
	ClusterStatus
	Explain
	Drain
	Forget
	Hello

	Mechanisms
	Login
	LoginStep

	Deliver
	Collect

	Takeover
	Offer
	Fetch
	Pull
	Pulled

	Follow
	Unfollow
	Copy
	Draw
	Confirm

	Suspect

	Export
	Install

	Uses

	opCount
)

// table is the one place where ops are described.
var table = [opCount]struct {
	name   string
	needs  Rights // what a client must have to ask for it; see Request.Needs
	keyed  bool   // concerns one item: goes to the owner of its key
	writes bool   // may change the item
}{
	None:    {name: "none", needs: Public},
	Reject:  {name: "reject", needs: Public},                            // malformed: answered with Reason, in its seat of the order
	Discard: {name: "discard", needs: Write, keyed: true, writes: true}, // a store whose value was refused: the old value goes, Reason is the answer

	Get:     {name: "get", needs: Read, keyed: true},
	Gat:     {name: "gat", needs: Read | Write, keyed: true, writes: true}, // get that may change the item's expiry or who recaches it
	Inspect: {name: "inspect", needs: Read, keyed: true},                   // what is known of an item, without a use
	Touch:   {name: "touch", needs: Write, keyed: true, writes: true},
	Set:     {name: "set", needs: Write, keyed: true, writes: true}, // with Compare: cas
	Add:     {name: "add", needs: Write, keyed: true, writes: true},
	Replace: {name: "replace", needs: Write, keyed: true, writes: true},
	Append:  {name: "append", needs: Write, keyed: true, writes: true},
	Prepend: {name: "prepend", needs: Write, keyed: true, writes: true},
	Delete:  {name: "delete", needs: Write, keyed: true, writes: true},
	Incr:    {name: "incr", needs: Read | Write, keyed: true, writes: true},
	Decr:    {name: "decr", needs: Read | Write, keyed: true, writes: true},

	Flush:      {name: "flush_all", needs: Admin, writes: true}, // Exptime: when; 0 now. Delta: the mark that the members have agreed on, 0 from a client
	FlushMark:  {name: "flush mark", needs: Internal},           // between members, before a Flush: Number is the answering member's, for this Exptime
	Noop:       {name: "noop", needs: Common},
	Quit:       {name: "quit", needs: Public},
	Version:    {name: "version", needs: Public},
	Verbosity:  {name: "verbosity", needs: Admin},
	Stats:      {name: "stats", needs: Common},      // Key: the group and what else was said, empty for the general ones
	ResetStats: {name: "stats reset", needs: Admin}, // of this node

	Operate:       {name: "operate", needs: Admin},     // Key: a command that concerns this node alone (lru_crawler, watch...); Value: its words, as sent
	Configuration: {name: "config get", needs: Common}, // Key: whose; "cluster": where its nodes are (auto discovery)

	Members:       {name: "cluster members", needs: Common},
	Moves:         {name: "cluster moves", needs: Common},  // what the member that is asked hands over, or takes over
	Owner:         {name: "cluster owner", needs: Common},  // Key: the key in question; answered by any member
	ClusterStatus: {name: "cluster status", needs: Common}, // of all members
	Explain:       {name: "explain", needs: Read},          // Key: the key in question; to a client of all members, on a lane of the one that is asked
	Drain:         {name: "cluster drain", needs: Admin},   // Key: the member that is to hand over what it has, and leave; on a copy lane: does the receiver stay, if that one leaves?
	Forget:        {name: "cluster forget", needs: Admin},  // Key: the member that is gone for good; on a lane Delta: its boot
	Hello:         {name: "hello", needs: Internal},        // between members: the first request of a lane

	Mechanisms: {name: "login mechanisms", needs: Public}, // by which one may log in
	Login:      {name: "login", needs: Public},            // Key: the mechanism, none on a wire that knows but one way; Value: the client's first word
	LoginStep:  {name: "login step", needs: Public},       // Key: the mechanism; Value: what the client answers to a Challenge

	Deliver: {name: "deliver", needs: Internal}, // between members: Value is the part at Initial of the value, CAS bytes in all, that a request Delivered as Delta goes with
	Collect: {name: "collect", needs: Internal}, // between members: the part at Initial of the value kept as Delta for who asked; behind its end: it is not wanted any more

	// Of hand-over, on copy lanes (node/handover).
	Takeover: {name: "take over", needs: Internal}, // Value: the partitions wanted
	Offer:    {name: "offer", needs: Internal},     // Value: partitions that are the receiver's
	Fetch:    {name: "fetch", needs: Internal, keyed: true},
	Pull:     {name: "pull", needs: Internal},   // Delta: the move; Value: where to go on
	Pulled:   {name: "pulled", needs: Internal}, // Delta: the move, all of which has arrived

	// Of copies, on copy lanes (node/replicator).
	Follow:   {name: "follow", needs: Internal},   // Value: the partitions whose writes the sender is to hear of
	Unfollow: {name: "unfollow", needs: Internal}, // Value: the partitions of which the receiver hears no more
	Copy:     {name: "copy", needs: Internal},     // CAS: the number; Delta: the turn; Value: the item as it is now; or Key: of one that is gone
	Draw:     {name: "draw", needs: Internal},     // CAS: the number; Value: where to go on
	Confirm:  {name: "confirm", needs: Internal},  // CAS: the number; the answer's Value: the partitions whose writes are all sent under it

	Suspect: {name: "suspect", needs: Internal}, // on copy lanes: does the member Key, started as Delta, refuse you as well? (node/suspicion)

	// Of backups.
	Export:  {name: "export", needs: Admin | Read},                              // Value: partitions, a bit each, or none for all; of those that the node holds all items. Delta: how many milliseconds it looks back
	Install: {name: "install", needs: Admin | Write, keyed: true, writes: true}, // Value: an item (node/piece), which is stored as it is unless ours is newer; with Vivify also one that was flushed

	Uses: {name: "uses", needs: Internal}, // on copy lanes: Value is hashes of items that are used where they are held (node/uses)
}

// String gives the op's name, for logs and metrics.
func (op Op) String() string {
	if !op.Known() {
		return "unknown"
	}
	return table[op].name
}

// Known reports whether op is one of the table's: a frame may bring any byte.
func (op Op) Known() bool { return op < opCount }

// Keyed reports whether op concerns the item of one key, so that the key's owner answers it.
func (op Op) Keyed() bool { return table[op].keyed }

// Writes reports whether op may change what is stored.
func (op Op) Writes() bool { return table[op].writes }
