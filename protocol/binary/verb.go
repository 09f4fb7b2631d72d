package binary

import "github.com/memring/memring/protocol"

// A verb is what an opcode asks for, and how its packet must be built (protocol-binary.txt, "Commands").
type verb struct {
	op       protocol.Op
	options  protocol.Options
	extras   int // bytes of them
	key      presence
	value    bool
	compares bool // heeds the packet's CAS unique, if it is not 0
	shows    bool // the answer bears the key
}

// presence says whether a packet has a key.
type presence uint8

const (
	never presence = iota
	always
	perhaps
)

// fits reports whether a packet is built as its verb wants it.
func (v verb) fits(h head) bool {
	return (h.extras == v.extras || h.extras == 0 && v.op == protocol.Flush) &&
		(h.key > 0 && v.key != never || h.key == 0 && v.key != always) &&
		(h.value == 0 || v.value)
}

// logsIn reports whether a verb is one of SASL's.
func (v *verb) logsIn() bool {
	return v.op == protocol.Mechanisms || v.op == protocol.Login || v.op == protocol.LoginStep
}

// verbs are memcached's opcodes; op None marks those that are nobody's. A quiet one is followed by Q in its documents.
var verbs = [256]verb{
	0x00: {op: protocol.Get, key: always},
	0x09: {op: protocol.Get, key: always, options: protocol.Quiet},
	0x0c: {op: protocol.Get, key: always, shows: true},
	0x0d: {op: protocol.Get, key: always, shows: true, options: protocol.Quiet},

	// Touch answers with the item's flags and CAS unique: it is a Gat whose value nobody wants.
	0x1c: {op: protocol.Gat, extras: 4, key: always, options: protocol.SetExptime | protocol.NoValue},
	0x1d: {op: protocol.Gat, extras: 4, key: always, options: protocol.SetExptime},
	0x1e: {op: protocol.Gat, extras: 4, key: always, options: protocol.SetExptime | protocol.Quiet},
	0x23: {op: protocol.Gat, extras: 4, key: always, shows: true, options: protocol.SetExptime},
	0x24: {op: protocol.Gat, extras: 4, key: always, shows: true, options: protocol.SetExptime | protocol.Quiet},

	0x01: {op: protocol.Set, extras: 8, key: always, value: true, compares: true},
	0x02: {op: protocol.Add, extras: 8, key: always, value: true, compares: true},
	0x03: {op: protocol.Replace, extras: 8, key: always, value: true, compares: true},
	0x0e: {op: protocol.Append, key: always, value: true, compares: true},
	0x0f: {op: protocol.Prepend, key: always, value: true, compares: true},
	0x11: {op: protocol.Set, extras: 8, key: always, value: true, compares: true, options: protocol.Quiet},
	0x12: {op: protocol.Add, extras: 8, key: always, value: true, compares: true, options: protocol.Quiet},
	0x13: {op: protocol.Replace, extras: 8, key: always, value: true, compares: true, options: protocol.Quiet},
	0x19: {op: protocol.Append, key: always, value: true, compares: true, options: protocol.Quiet},
	0x1a: {op: protocol.Prepend, key: always, value: true, compares: true, options: protocol.Quiet},

	0x04: {op: protocol.Delete, key: always, compares: true},
	0x05: {op: protocol.Incr, extras: 20, key: always, compares: true},
	0x06: {op: protocol.Decr, extras: 20, key: always, compares: true},
	0x14: {op: protocol.Delete, key: always, compares: true, options: protocol.Quiet},
	0x15: {op: protocol.Incr, extras: 20, key: always, compares: true, options: protocol.Quiet},
	0x16: {op: protocol.Decr, extras: 20, key: always, compares: true, options: protocol.Quiet},

	0x07: {op: protocol.Quit},
	0x08: {op: protocol.Flush, extras: 4}, // or none
	0x0a: {op: protocol.Noop},
	0x0b: {op: protocol.Version},
	0x10: {op: protocol.Stats, key: perhaps},
	0x17: {op: protocol.Quit, options: protocol.Quiet},
	0x18: {op: protocol.Flush, extras: 4, options: protocol.Quiet},

	// Amazon's, by which clients of ElastiCache find the nodes (auto discovery).
	0x60: {op: protocol.Configuration, key: always},

	// SASL's list of mechanisms, auth and step.
	0x20: {op: protocol.Mechanisms},
	0x21: {op: protocol.Login, key: always, value: true},
	0x22: {op: protocol.LoginStep, key: always, value: true},
}
