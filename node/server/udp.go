package server

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// A socket answers datagrams (protocol.txt, "UDP protocol"). Each has a head of four numbers of 16 bits: request id, which the answers
// repeat, sequence number, number of datagrams of the message, and 0.
//
//	datagram -> session of its own -> answers, cut into datagrams
//
// Anybody may write any address as the sender of a datagram, so this is a way to have a third one flooded: what is sent for one request is
// bounded, and whoever opens a socket to others than this machine ought to have been asked whether that is meant (cmd/memring).
type socket struct {
	server *Server
	id     int64
	net    *net.UDPConn
	port   uint16
	last   atomic.Int64 // the second of its last request
}

const (
	udpHeadBytes = 8

	// maxDatagramBytes is memcached's: with its head it fits a frame of Ethernet.
	maxDatagramBytes = 1400
	maxPieceBytes    = maxDatagramBytes - udpHeadBytes

	// maxUDPAnswerBytes bounds the answer to one datagram: it is what a client's socket takes by default without loss, with room to spare.
	// A larger answer is not sent at all: a part of it would be no use.
	maxUDPAnswerBytes = 64 << 10

	// maxRequestDatagram is the largest datagram there is.
	maxRequestDatagram = 64 << 10

	// udpReaders read from one socket, so that a request which waits for another member holds up only a part of the others.
	udpReaders = 4
)

// ListenUDP binds a UDP address and gives it as bound: network "udp", "udp4" or "udp6". Datagrams wait in the system's queue until Start.
func (s *Server) ListenUDP(network, address string) (bound string, err error) {
	resolved, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return "", err
	}
	nc, err := net.ListenUDP(network, resolved)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	u := &socket{server: s, id: s.lastID, net: nc, port: nc.LocalAddr().(*net.UDPAddr).AddrPort().Port()}
	u.last.Store(s.cfg.Now())
	s.sockets = append(s.sockets, u)
	return nc.LocalAddr().String(), nil
}

// finish lets the readers end once the datagrams at hand are answered.
func (u *socket) finish() { _ = u.net.SetReadDeadline(time.Unix(1, 0)) }

// serve answers datagrams, one after the other, until finish.
func (u *socket) serve() {
	in := make([]byte, maxRequestDatagram)
	var answer, piece []byte
	for {
		n, from, err := u.net.ReadFromUDPAddrPort(in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(acceptPause) // for want of memory
			continue
		}
		stats := &u.server.stats
		stats.Datagrams.Add(1)
		stats.BytesRead.Add(int64(n))
		u.last.Store(u.server.cfg.Now())

		ok := soundHead(in[:n]) && u.mayAnswer(from)
		if ok {
			answer, ok = u.answer(answer[:0], in[udpHeadBytes:n])
		}
		if !ok {
			stats.DatagramsDropped.Add(1)
			continue
		}
		for i := range pieces(len(answer)) {
			piece = appendPiece(piece[:0], binary.BigEndian.Uint16(in), answer, i)
			n, err := u.net.WriteToUDPAddrPort(piece, from)
			if err != nil {
				break // the rest would be no use
			}
			stats.BytesWritten.Add(int64(n))
		}
	}
}

// soundHead reports whether a datagram is a whole request. Requests of several datagrams are not served, nor are they by memcached.
func soundHead(in []byte) bool {
	return len(in) > udpHeadBytes &&
		binary.BigEndian.Uint16(in[2:]) == 0 && binary.BigEndian.Uint16(in[4:]) == 1 && binary.BigEndian.Uint16(in[6:]) == 0
}

// mayAnswer is false for ports of our own number: if somebody forged the first datagram, two servers would answer each other's answers for ever.
func (u *socket) mayAnswer(to netip.AddrPort) bool { return to.Port() != u.port && to.Port() != 0 }

// answer adds the answers to the requests in a datagram to dst; false if they are too large. What is left of an unfinished request is lost,
// and so is what an answer that comes in pieces has not got yet.
func (u *socket) answer(dst, in []byte) (answer []byte, ok bool) {
	s := u.server.cfg.UDPSession()
	defer s.Close()
	if u.server.cfg.Awake != nil {
		u.server.cfg.Awake()
	}
	for !s.Ended() {
		answers, used := s.Answer(in)
		if len(dst)+len(answers) > maxUDPAnswerBytes {
			return dst, false
		}
		dst, in = append(dst, answers...), in[used:]
		if used == 0 && len(answers) == 0 {
			break
		}
	}
	return dst, true
}

// pieces says how many datagrams an answer takes.
func pieces(answerBytes int) int { return (answerBytes + maxPieceBytes - 1) / maxPieceBytes }

// appendPiece adds the i-th datagram of an answer to dst.
func appendPiece(dst []byte, request uint16, answer []byte, i int) []byte {
	for _, number := range [...]uint16{request, uint16(i), uint16(pieces(len(answer))), 0} {
		dst = binary.BigEndian.AppendUint16(dst, number)
	}
	return append(dst, answer[i*maxPieceBytes:min((i+1)*maxPieceBytes, len(answer))]...)
}
