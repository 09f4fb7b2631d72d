package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/login"
	"github.com/memring/memring/protocol/session"
)

// failurePause is how long a client waits to hear that it may not come in: guessing is slow, and one who has mistyped hardly notices.
const failurePause = 300 * time.Millisecond

// NewUsers gives users for Config.Users, of whom nobody is known before their Load. Their Hold is the node's.
func NewUsers(cfg login.Config) (*login.Users, error) {
	cfg.Hold = func(answer func()) { time.AfterFunc(failurePause, answer) } // the session waits for it
	return login.New(cfg)
}

// clientSession begins a conversation with a client, behind a gate if users are known; overheard: others may hear what is said.
func (n *Node) clientSession(wire Wire, overheard bool) *session.Session {
	wires, origin := n.clientWires(n.cfg.admitted(wire)), n.origins.Add(1)
	handler, codec := protocol.Handler(n.operator), session.Codec(wires)
	if n.cfg.Users != nil {
		gate := session.NewGate(n.cfg.Users, n.operator, wires)
		if overheard && !n.cfg.PlainOffLoopback {
			gate.RefusePlain()
		}
		handler, codec = gate, gate
	}
	s := session.New(handler, codec, origin)
	n.meter.Client(s, handler)
	s.CountTo(n.executor.Counter(origin))
	s.LookAhead(n.lookAhead)
	return n.answers.Bound(s)
}

// lookAhead prepares for look-ups of keys that a client is about to ask for, those that this node answers for.
func (n *Node) lookAhead(keys [][]byte) { n.store.LookAhead(n.router.Mine(keys)) }

// admitted narrows what is spoken at an address to the wires on which one can log in.
func (c Config) admitted(wire Wire) Wire {
	switch {
	case wire != AnyWire || c.Users == nil:
		return wire
	case c.AuthFile == "":
		return BinaryWire
	case !c.SASL:
		return TextWire
	}
	return AnyWire
}

// validateLogin refuses addresses at which nobody could log in, or need not.
func (c Config) validateLogin() error {
	asked := c.AuthFile != "" || c.SASL
	var errs []error
	for _, wire := range append(c.wires(), c.Wire) {
		switch {
		case asked && wire == BinaryWire && !c.SASL:
			errs = append(errs, errors.New("-Y: nobody can log in on the binary protocol (change it with -B or -l)"))
		case asked && wire == TextWire && c.AuthFile == "":
			errs = append(errs, errors.New("-S: nobody can log in on the ASCII protocol (change it with -B or -l)"))
		}
	}
	for _, l := range c.Listen {
		if c.SASL && c.Users != nil && c.Users.Mechanisms() == login.Plain && l.overheard() && !c.PlainOffLoopback {
			errs = append(errs, fmt.Errorf("-S: nobody can log in at %s: PLAIN is the only mechanism, and others may hear the password (-Z encrypts, "+
				"--plain-off-loopback takes it as it is)", l.Address))
		}
	}
	if asked && len(c.UDP) > 0 {
		errs = append(errs, errors.New("-U: a datagram cannot log in: no UDP with -Y or -S"))
	}
	if c.Users != nil && !asked {
		errs = append(errs, errors.New("users are known, and neither -Y nor -S says how they log in"))
	}
	return errors.Join(errs...)
}

// overheard reports whether others may hear what is said at an address: it is not encrypted, and other machines reach it.
func (l Listener) overheard() bool { return l.TLS == certs.None && !onLoopback(l.Address) }

// OpenTo gives the addresses at which other machines may ask everything, without a login and without TLS.
func (c Config) OpenTo() (addresses []string) {
	for _, l := range c.Listen {
		if c.Users == nil && l.overheard() {
			addresses = append(addresses, l.Address)
		}
	}
	return addresses
}

func (c Config) wires() (wires []Wire) {
	for _, l := range c.Listen {
		wires = append(wires, l.Wire)
	}
	return wires
}
