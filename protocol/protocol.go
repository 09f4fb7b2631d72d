// Package protocol holds the words that all rooms share: what can be asked of a cache, by whom it is answered, and how the answer may come later.
//
// One request is one command on one key, and has one owner and one answer: "get a b c" is three requests, the last of which carries Last.
// Below the session nobody knows which wire (text, meta, binary, frame) a request came on.
package protocol

import "github.com/memring/memring/protocol/budget"

// A Handler is one link of the chain that answers requests.
//
// It answers at once into resp and returns nil, or it returns a Pending that will hold the answer. It may write to no field of req, and may
// read req and its slices only until it returns; what is needed later it copies. (The session keeps req for the encoder.)
// Handle is called by one goroutine per session, so by many at once.
type Handler interface {
	Handle(req *Request, resp *Response) *Pending
}

// A Request is one command on one key, as its wire's codec has read it.
// Its slices point into the read buffer; the request and they are good until the request is answered.
type Request struct {
	Op      Op
	Verb    uint8   // the wire's own number of the command; only its encoder reads it
	Options Options // what else was said
	Wire    uint8   // which of a connection's wires it came on; only its session reads it
	Reason  Status  // why the request is a Reject or a Discard
	Origin  uint32  // the session's number, set by the session: requests of one origin reach a peer in their order; not sent to it

	// View, set by the session, is the Pending.View of what it still waits for; 0: of nothing. Whoever would send the request by another view answers
	// AskAgain: else it might overtake what went before.
	View uint64

	// AfterWrite, set by the session, says that it waits for the answer to a write still: a read must not overtake that. Not sent to a peer.
	AfterWrite bool

	// Share, set by the session, is what the memory of an answer that comes later is taken from; nil: it is not counted. Not sent to a peer.
	Share *budget.Share

	// Tally, set by the session, is where the gets of its conversation are counted; nil: whoever answers counts each for itself. Not sent to a peer.
	Tally *Tally

	// Bulk, set by the session, says that it goes among long requests, or that its answer may be long: so that short ones do not wait behind it. All that a
	// session waits for at a time is alike. Not sent to a peer.
	Bulk bool

	Flags   uint32 // the client's 32 bits, kept with the item
	Opaque  uint32 // binary wire: echoed by the encoder
	Exptime int64  // as on the wire: 0 never, negative at once, up to 30 days relative, above that a Unix second
	CAS     uint64 // with Compare: the CAS unique that the item must have
	NewCAS  uint64 // with SetCAS: the CAS unique that it gets
	Delta   uint64 // Incr, Decr: how much; Verbosity: the level
	Initial uint64 // Incr, Decr with Vivify: the number an absent item starts with

	VivifyExptime int64 // with Vivify: the exptime of the item that is made
	RecacheTTL    int64 // with Recache: what the item should have left, as an exptime

	Key   []byte // 1 to MaxKeyBytes bytes for a keyed op; the argument of Stats, Owner, Explain, Drain
	Value []byte // the data block
	Raw   []byte // meta wire: the flags as sent, for the encoder
}

// A Tally counts the gets of one conversation that this node has answered, until its session hands them on: a batch of gets then adds once to what
// conversations share. Only the session's goroutine touches it.
type Tally struct{ Hits, Misses uint64 }

// Count counts a get.
func (t *Tally) Count(hit bool) {
	if hit {
		t.Hits++
	} else {
		t.Misses++
	}
}

// MaxKeyBytes is the longest key, protocol.txt "Keys".
const MaxKeyBytes = 250

// The longest name of a mechanism and the longest word that one logs in by: memcached's.
const (
	MaxMechanismBytes = 32
	MaxLoginBytes     = 16384
)

// Options is a set of bits.
type Options uint32

// The options of a request.
const (
	Quiet   Options = 1 << iota // the nominal answer is not sent (noreply, q, the binary quiet opcodes)
	Last                        // the last request of a multi-get: its encoder adds the end line
	Hangup                      // the conversation ends once this request is answered
	Compare                     // the item's CAS unique must equal CAS

	NoValue    // Get, Gat: the value is not wanted
	NoBump     // Get, Gat: does not count as a use
	Lease      // Get, Gat: the answer says who is to recache the item (Response.Marks)
	Vivify     // an absent item is made: empty by Gat, Initial by Incr and Decr, the value by Append and Prepend, what a flush_all has swept by Install
	Recache    // Gat: the first to see less than RecacheTTL left is told to recache
	SetExptime // Gat, Incr, Decr, Delete with Invalidate: the item's exptime becomes Exptime
	FormerTTL  // with SetExptime: the answer's TTL is the one before
	SetCAS     // the item's new CAS unique is NewCAS
	Invalidate // Delete: the item is marked stale instead; Set, Replace: one with a CAS unique above CAS is replaced, and marked stale
	Clear      // Delete: the item stays, without value, and with Flags

	Brief // Get, Gat: a value of over BulkBytes is Withheld, since others would have to wait while it goes with them
	Again // Get: it is asked for the value that was withheld: what it does and counts is done and counted

	AfterAll  // the answer tells how the requests before it went, so it is encoded after theirs
	Delivered // between members: the value has gone before, in parts; Delta is its number. Its receiver puts the request together again
	FromCopy  // between members, Get: a good copy will do. Who has none of the item, and is not its owner, answers PeerMoved
)

// BulkBytes is from where on a request or an answer is long: it holds up what is behind it for as long as a hundred short ones.
const BulkBytes = 64 << 10

// Has reports whether all bits of want are set.
func (o Options) Has(want Options) bool { return o&want == want }

// A Response is the answer to one request. The zero Response is ready for use; Reset makes it ready for the next.
type Response struct {
	Status Status
	Marks  Marks
	Flags  uint32 // the item's
	CAS    uint64 // the item's, or that of the item just stored
	Number uint64 // Incr, Decr: the result
	TTL    int64  // the seconds that the item has left, -1 for no expiry
	Idle   int64  // the seconds since it was last used, before this request
	Size   uint32 // the bytes of its value, wanted or not

	// Value is the item's data, the version, or the message of a ClientError or ServerError.
	// It lies in Scratch or is constant, and is good until the Response is reset.
	Value []byte

	Report []ReportLine // Stats, Members, Owner, Status...: the lines of the answer
	Stream Stream       // the answer, when it is too long for memory; with it, Value names the command

	Scratch []byte // memory for Value, kept from one answer to the next
}

// Marks is a set of bits.
type Marks uint8

// The marks of an item that was found. Won, Stale and Leased are given with Lease alone, Parted and Withheld
// never leave the lanes between members and the session.
const (
	Fetched  Marks = 1 << iota // it had been used before this request
	Won                        // this client is to recache it
	Stale                      // it is out of date
	Leased                     // another client has been told to recache it
	Parted                     // between members: Value is the first part of Size bytes; the others are to be collected, as Number
	Withheld                   // there was no room for Value, of Size bytes, only for what stands around it: it is to be asked for Again
)

// Has reports whether all bits of want are set.
func (m Marks) Has(want Marks) bool { return m&want == want }

// A ReportLine is one line of a report, "STAT pid 42": the wire decides how it looks.
type ReportLine struct{ Label, Name, Value string }

// A Stream is an answer that is too long for memory, given piece by piece: the next is asked for when the one before has been sent. So whoever
// reads slowly waits for himself alone. One goroutine at a time uses it.
type Stream interface {
	// Next appends the next piece to dst, some 100 KB at most; more is false after the last. Nothing is appended if there is nothing yet.
	Next(dst []byte) (piece []byte, more bool)

	// Close ends it: no piece is wanted any more. It is called once, whether the last has been given or not.
	Close()
}

// Reset empties r for the next answer; Scratch stays.
func (r *Response) Reset() { *r = Response{Scratch: r.Scratch[:0]} }

// Fail answers with a ServerError and its message.
func (r *Response) Fail(message string) {
	r.Status = ServerError
	r.Scratch = append(r.Scratch[:0], message...)
	r.Value = r.Scratch
}
