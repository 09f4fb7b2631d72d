package replicator

import "fmt"

// Ack is how many replicas must have a write before it is answered.
type Ack uint8

// The acks.
const (
	AckOne  Ack = iota // the first: who leads if this node dies has what was answered
	AckNone            // none: a write that was answered may be lost with this node
	AckAll
)

// The words for them.
const (
	ackOne  = "one"
	ackNone = "none"
	ackAll  = "all"
)

// String gives the word for it.
func (a Ack) String() string {
	switch a {
	case AckNone:
		return ackNone
	case AckAll:
		return ackAll
	default:
		return ackOne
	}
}

// MarshalText implements encoding.TextMarshaler.
func (a Ack) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Ack) UnmarshalText(word []byte) error {
	switch string(word) {
	case ackNone:
		*a = AckNone
	case ackOne:
		*a = AckOne
	case ackAll:
		*a = AckAll
	default:
		return fmt.Errorf("none, one or all, not %q", word)
	}
	return nil
}

// of is how many of the replicas are waited for.
func (a Ack) of(replicas int) int {
	switch a {
	case AckNone:
		return 0
	case AckAll:
		return replicas
	default:
		return min(1, replicas)
	}
}
