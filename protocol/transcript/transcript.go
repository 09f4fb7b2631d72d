// Package transcript plays recorded conversations against any address (ours, or a real memcached) and compares.
//
// A file holds conversations, which are read best aloud:
//
//	# a comment
//	== a counter wraps                        a conversation begins, with an empty cache
//	> set n 0 0 20                            is sent, with CR LF
//	> 18446744073709551615
//	< STORED                                  is answered, with CR LF
//	>> incr n 1\n                             is sent as it stands
//	<< 0\r\n                                  is answered as it stands
//	2> gets n                                 on a second connection (1 to 9)
//	2< VALUE n 0 1 {unique}                   digits, remembered
//	2< 0
//	2< END
//	> cas n 0 0 1 {unique}                    and sent again; in an answer: the same again
//	> 5
//	< STORED
//	> version
//	< VERSION {*}                             anything up to the end of the line
//	> get
//	< CLIENT_ERROR bad command line format
//	@1.6.18: lines too short were unknown     the server 1.6.18 differs, because; instead of what was answered since the last send:
//	@1.6.18< ERROR
//	> quit
//	hangup                                    the server ends the conversation (2 hangup, @1.6.18 hangup)
//	3=> incr key=n extras=0000000000000001,0000000000000000,00000000
//	3<= incr cas=next value=\0\0\0\0\0\0\0\x06   a packet of the binary wire, and its answer: see packet
//
// In a text, \r \n \t \0 \\ \{ and \xFF are bytes, and {250*a} is a repeated: 250 times. After the title of a conversation may stand
//
//	@1.6.18 skip: why it cannot be played there
//	@1.6.18 uncut: why it is played there only as it stands, and not with its bytes cut into pieces
//
// A line without a mark is memcached 1.6.45's, the reference. So no difference is passed over in silence: it stands in the file, with its reason.
package transcript

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// A Conversation is what is said, and must be answered, on one or more connections.
type Conversation struct {
	Name string // its title
	At   string // file and line

	steps []step
	skip  map[string]string // version to reason
	uncut map[string]string
}

// A step is something said, and then something heard.
type step struct {
	sends   []send
	wants   []want
	instead map[string]instead // by version
}

type send struct {
	on     int // the connection
	text   text
	packet *packet // instead of a text
}

type want struct {
	on     int
	at     string // file and line
	text   text
	packet *packet // instead of a text
	hangup bool    // neither but the end
}

// instead is how a version differs.
type instead struct {
	reason string
	wants  []want
}

// A Conn is one connection to whoever is tested: a net.Conn, or Alone.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
}

// Options say how a conversation is played.
type Options struct {
	Version string        // who answers: "memring", "1.6.18", or the reference "1.6.45"
	Cut     int           // how many bytes are sent at a time; 0: all of a text
	Timeout time.Duration // how long an answer may take; 0: 5 seconds
}

// maxPieces bounds the pieces that one text is cut into: a large value need not be sent byte by byte.
const maxPieces = 4096

// Skip says why version cannot play c; "" if it can.
func (c *Conversation) Skip(version string) (reason string) { return c.skip[version] }

// Uncut says why version can play c only with Cut 0; "" if it need not.
func (c *Conversation) Uncut(version string) (reason string) { return c.uncut[version] }

// Play says its part and compares the answers. The cache is emptied first, over the first connection. At the end every connection that
// is still open must answer a get (a noop, if it is of packets), and nothing else: so an answer too many is found.
func (c *Conversation) Play(dial func() (Conn, error), o Options) error {
	p := player{dial: dial, options: o, names: map[string]string{}}
	defer p.close()
	if err := p.begin(c.ofPackets()); err != nil {
		return fmt.Errorf("%s: %s: at the start: %w", c.At, c.Name, err)
	}
	for _, s := range c.steps {
		for _, send := range s.sends {
			if err := p.say(send); err != nil {
				return fmt.Errorf("%s: %s: %w", c.At, c.Name, err)
			}
		}
		wants := s.wants
		if other, differs := s.instead[o.Version]; differs {
			wants = other.wants
		}
		for _, w := range wants {
			if err := p.hear(w); err != nil {
				return fmt.Errorf("%s: %s: %w\n%s", w.at, c.Name, err, p.spoken())
			}
		}
	}
	for on, ended := range p.ended {
		if !ended && p.peers[on] != nil {
			if err := p.end(on); err != nil {
				return fmt.Errorf("%s: %s: at the end, connection %d: %w\n%s", c.At, c.Name, on, err, p.spoken())
			}
		}
	}
	return nil
}

// ofPackets reports whether packets are spoken on the first connection.
func (c *Conversation) ofPackets() bool {
	for _, s := range c.steps {
		for _, send := range s.sends {
			if send.on == 1 {
				return send.packet != nil
			}
		}
	}
	return false
}

// Run plays each conversation as a subtest, as it stands and cut into pieces of one, three and seven bytes.
func Run(t *testing.T, all []Conversation, version string, dial func() (Conn, error)) {
	for i := range all {
		c := &all[i]
		t.Run(c.Name, func(t *testing.T) {
			if reason := c.Skip(version); reason != "" {
				t.Skip(reason)
			}
			for _, cut := range []int{0, 1, 3, 7} {
				if reason := c.Uncut(version); cut > 0 && reason != "" {
					return
				}
				if err := c.Play(dial, Options{Version: version, Cut: cut}); err != nil {
					t.Fatalf("in pieces of %d: %v", cut, err)
				}
			}
		})
	}
}

var errNothingMore = errors.New("nothing more came")
