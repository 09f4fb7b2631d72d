package protocol

// A Status is how a request ended. Each wire has its own words for it.
type Status uint8

// The statuses. The first group are outcomes, the second the client's mistakes, the third refusals of the server, the fourth failures between members.
const (
	Unset     Status = iota // no handler has answered: a programmer's mistake
	OK                      // found, stored, deleted, touched: done
	Verbatim                // done, or not: Value is the line to be answered, for an operator to read
	NotFound                // no such item
	NotStored               // the condition of add, replace, append or prepend does not hold
	Exists                  // the CAS unique differs
	Challenge               // Login, LoginStep: Value is what the client is to answer
	AskAgain                // of the session alone: once what it waits for is answered

	UnknownCommand
	BadFormat   // bad command line format
	BadChunk    // the data block does not end in CR LF
	BadExptime  // not a number
	BadDelta    // not a 64-bit unsigned number
	NonNumeric  // incr or decr of an item that holds no number
	ClientError // Value says what
	Pipelined   // Value names a command whose answer must be the first of its batch

	TooLarge    // over the item size limit
	OutOfMemory // no room and eviction is off
	NotAllowed  // flush_all switched off; Login, LoginStep, and what is asked without them: who asks may not come in
	Denied      // who asks is known, and lacks a right to that (Request.Needs)
	ServerError // Value says what

	PeerTimeout    // the owner did not answer in time: whether it acted is unknown
	PeerLost       // the owner cannot be reached, or the link broke before it answered
	PeerOverloaded // too much is waiting for the owner already
	PeerMoved      // the member asked does not hold the partition, and has not acted; Value is the id of the one who does, if known

	statusCount
)

// Known reports whether s is one of these: a frame may bring any byte.
func (s Status) Known() bool { return s < statusCount }

// FromPeer reports whether the request failed between members, so that the owner's answer is unknown.
func (s Status) FromPeer() bool { return s >= PeerTimeout && s < statusCount }
