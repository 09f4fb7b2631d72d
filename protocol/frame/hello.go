package frame

import (
	"encoding/binary"
	"errors"
)

// Version is the version of what goes over lanes. Under one version none of it changes, and a build speaks the one before as well: see protocol/DESIGN.md, "Versions".
const Version = 1

// A Lane is what a connection between members is for: which handler answers on it.
type Lane uint8

// The lanes. A client's answer waits only on the forward lane, that only on the copy lane, that on nothing: so answers cannot deadlock.
const (
	Forward Lane = 1 + iota // requests for items that the receiver owns
	Copy                    // items that the receiver is to keep a copy of
	laneEnd
)

// String names the lane, for logs.
func (l Lane) String() string {
	switch l {
	case Forward:
		return "forward"
	case Copy:
		return "copy"
	}
	return "unknown"
}

// A Hello is the Value of the first request of a lane: who speaks, to whom, and what both must agree about.
type Hello struct {
	Version  uint8
	Lane     Lane
	Boot     uint64 // of the sender: its id names a node, this its present run
	Print    uint64 // of the ring's parameters: with other ones partitions mean other keys
	Sender   string // its id
	Receiver string // the id of the member the sender believes to talk to: addresses are used again, by others
	Cluster  string // its name
}

// maxNameBytes bounds the names in a Hello, which are logged, and sent back, when it is refused: an id has 64 bytes at most, a cluster's name 255.
const maxNameBytes = 255

var errHello = errors.New("frame: not a hello")

// AppendHello adds h to dst. The version comes first, and stays there in all versions to come.
func AppendHello(dst []byte, h *Hello) []byte {
	dst = append(dst, h.Version, byte(h.Lane))
	dst = binary.LittleEndian.AppendUint64(dst, h.Boot)
	dst = binary.LittleEndian.AppendUint64(dst, h.Print)
	return appendText(appendText(appendText(dst, h.Sender), h.Receiver), h.Cluster)
}

// ParseHello reads value into h. Of a Hello of another version it reads the version only, and gives no error: the receiver can name it.
func ParseHello(value []byte, h *Hello) error {
	*h = Hello{}
	if len(value) == 0 {
		return errHello
	}
	if h.Version = value[0]; h.Version != Version {
		return nil
	}
	if len(value) < 18 {
		return errHello
	}
	h.Lane = Lane(value[1])
	if h.Lane == 0 || h.Lane >= laneEnd {
		return errHello
	}
	h.Boot, h.Print = binary.LittleEndian.Uint64(value[2:]), binary.LittleEndian.Uint64(value[10:])
	rest := value[18:]
	for _, text := range [...]*string{&h.Sender, &h.Receiver, &h.Cluster} {
		var ok bool
		if *text, rest, ok = cutText(rest); !ok || len(*text) > maxNameBytes {
			return errHello
		}
	}
	if len(rest) > 0 {
		return errHello
	}
	return nil
}
