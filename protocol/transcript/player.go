package transcript

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// maxPeers is one more than the highest number of a connection.
const maxPeers = 10

// maxSpoken bounds what a failure shows of the talk before it.
const maxSpoken = 12

// A player holds the connections of one conversation.
type player struct {
	dial    func() (Conn, error)
	options Options
	peers   [maxPeers]*peer // by number; nil: not used yet
	ended   [maxPeers]bool  // the server has hung up
	names   map[string]string
	talk    []string
}

// A peer is one connection and what it has answered that has not been compared yet.
type peer struct {
	conn      Conn
	got       []byte
	spoken    bool
	ofPackets bool // what was spoken first was one: it decides for the connection
}

func (p *player) close() {
	for _, peer := range p.peers {
		if peer != nil {
			_ = peer.conn.Close() // everything has been compared
		}
	}
}

// peer gives a connection, the first time a new one.
func (p *player) peer(on int) (*peer, error) {
	if p.peers[on] == nil {
		conn, err := p.dial()
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", on, err)
		}
		p.peers[on] = &peer{conn: conn}
	}
	return p.peers[on], nil
}

// send says data in pieces. Who has been hung up on may still speak, to nobody.
func (p *player) send(on int, data []byte) error {
	peer, err := p.peer(on)
	if err != nil {
		return err
	}
	p.note(on, ">", data)
	if !peer.spoken && len(data) > 0 {
		peer.spoken, peer.ofPackets = true, data[0] == requestMagic
	}
	size := len(data)
	if p.options.Cut > 0 {
		size = max(p.options.Cut, (len(data)+maxPieces-1)/maxPieces)
	}
	for len(data) > 0 {
		n := min(size, len(data))
		if _, err := peer.conn.Write(data[:n]); err != nil {
			return nil // what is heard next tells
		}
		data = data[n:]
	}
	return nil
}

// say says what stands in a file.
func (p *player) say(s send) error {
	if s.packet == nil {
		return p.send(s.on, s.text.fill(p.names))
	}
	data, err := s.packet.fill(p.names)
	if err != nil {
		return err
	}
	return p.send(s.on, data)
}

// begin empties the cache.
func (p *player) begin(ofPackets bool) error {
	if !ofPackets {
		return p.ask(1, "flush_all\r\n", "OK\r\n")
	}
	return p.askPacket(1, "flush")
}

// end asks for an answer that is certain, and that nothing else may precede.
func (p *player) end(on int) error {
	if !p.peers[on].ofPackets {
		return p.ask(on, "get transcript:end\r\n", "END\r\n")
	}
	return p.askPacket(on, "noop opaque=7fffffff") // which no conversation says
}

// askPacket says a verb that is answered by an empty packet.
func (p *player) askPacket(on int, verb string) error {
	question, err := parsePacket(requestMagic, verb)
	if err != nil {
		return err
	}
	answer, err := parsePacket(answerMagic, verb)
	if err != nil {
		return err
	}
	if err := p.say(send{on: on, packet: question}); err != nil {
		return err
	}
	return p.hear(want{on: on, packet: answer})
}

// ask says a question that has one answer.
func (p *player) ask(on int, question, answer string) error {
	if err := p.send(on, []byte(question)); err != nil {
		return err
	}
	return p.hear(want{on: on, text: text{{literal: answer}}})
}

// hear compares what comes next.
func (p *player) hear(w want) error {
	peer, err := p.peer(w.on)
	if err != nil {
		return err
	}
	if w.hangup {
		p.ended[w.on] = true
		return p.hearEnd(peer)
	}
	if w.packet != nil {
		return p.hearPacket(peer, w)
	}
	if !w.text.open(p.names) {
		return p.hearLiteral(peer, w.on, w.text.fill(p.names))
	}
	for {
		if end := bytes.IndexByte(peer.got, '\n') + 1; end > 0 {
			line := peer.got[:end]
			if !w.text.match(line, p.names) {
				return differ(w.text.String(), line)
			}
			p.note(w.on, "<", line)
			peer.got = peer.got[end:]
			return nil
		}
		if err := p.read(peer); err != nil {
			return fmt.Errorf("%w: %w", differ(w.text.String(), peer.got), err)
		}
	}
}

// hearLiteral compares byte by byte, so that a wrong answer is told from a slow one at once.
func (p *player) hearLiteral(peer *peer, on int, want []byte) error {
	for {
		n := min(len(want), len(peer.got))
		if !bytes.Equal(want[:n], peer.got[:n]) {
			return differ(show(want), peer.got)
		}
		if n == len(want) {
			p.note(on, "<", want)
			peer.got = peer.got[n:]
			return nil
		}
		if err := p.read(peer); err != nil {
			return fmt.Errorf("%w: %w", differ(show(want), peer.got), err)
		}
	}
}

// hearPacket compares a whole packet; an answer that is none is told at once.
func (p *player) hearPacket(peer *peer, w want) error {
	for {
		got, ok := cutPacket(peer.got)
		switch {
		case !ok:
			return differ("<= "+w.packet.said, peer.got)
		case got != nil && !w.packet.match(got, p.names):
			return fmt.Errorf("want <= %s, got <= %s", w.packet.said, showPacket(got))
		case got != nil:
			p.note(w.on, "<", got)
			peer.got = peer.got[len(got):]
			return nil
		}
		if err := p.read(peer); err != nil {
			return fmt.Errorf("%w: %w", differ("<= "+w.packet.said, peer.got), err)
		}
	}
}

func (p *player) hearEnd(peer *peer) error {
	for {
		if len(peer.got) > 0 {
			return differ("the end", peer.got)
		}
		switch err := p.read(peer); {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("want the end, and the connection is still open")
		default:
			return nil // a reset is an end, too
		}
	}
}

// read waits for more.
func (p *player) read(peer *peer) error {
	timeout := p.options.Timeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	if err := peer.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	var buf [16 << 10]byte
	n, err := peer.conn.Read(buf[:])
	peer.got = append(peer.got, buf[:n]...)
	if n > 0 {
		return nil
	}
	if err == nil {
		err = errNothingMore
	}
	return err
}

func differ(want string, got []byte) error { return fmt.Errorf("want %s, got %s", want, show(got)) }

// note keeps what was said for the report of a failure.
func (p *player) note(on int, mark string, data []byte) {
	said := show(data)
	if whole, ok := cutPacket(data); ok && len(whole) == len(data) {
		mark, said = map[string]string{">": "=>", "<": "<="}[mark], showPacket(data)
	}
	p.talk = append(p.talk, fmt.Sprintf("%d%s %s", on, mark, said))
}

func (p *player) spoken() string {
	talk := p.talk
	if len(talk) > maxSpoken {
		talk = talk[len(talk)-maxSpoken:]
	}
	return "\t" + strings.Join(talk, "\n\t")
}

// maxShown bounds what a failure shows of a text.
const maxShown = 200

func show(data []byte) string {
	if len(data) <= maxShown {
		return fmt.Sprintf("%q", data)
	}
	return fmt.Sprintf("%q... (%d bytes)", data[:maxShown], len(data))
}
