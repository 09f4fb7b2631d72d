package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

const (
	idleName  = "idle connection"
	idleConns = 900     // with the first ones fewer than memcached serves by default, 1024
	idleFirst = 100     // are open before memory is read: with them a server makes what it makes once
	idleBar   = 8 << 10 // bytes of RSS for each
	idleAim   = 1 << 10
)

// idle opens connections that say nothing, and reads what they cost.
func (s *speed) idle(servers [2]*server) (row []string, err error) {
	each, err := idleBytes(servers, idleConns)
	if err != nil {
		return nil, err
	}
	s.progress.Say("%-24s %7.0f  %7.0f bytes", idleName, each[0], each[1])
	return []string{
		idleName + ", bytes", fmt.Sprintf("%.0f", each[0]), fmt.Sprintf("%.0f", each[1]), "", strconv.Itoa(idleBar), whether(each[1], idleBar), strconv.Itoa(idleAim), "", "", "", "", "", "",
	}, nil
}

// idleBytes tells by how much so many connections that say one word and then nothing make each server's resident memory grow, for each of them. The servers
// must just have started: the memory of connections that have ended would serve these ones too, and they would seem to cost nothing.
func idleBytes(servers [2]*server, n int) (each [2]float64, err error) {
	for i, s := range servers {
		first, err1 := openIdle(s, idleFirst)
		before, _, err2 := s.memory()
		conns, err3 := openIdle(s, n)
		after, _, err4 := s.memory()
		err := errors.Join(err1, err2, err3, err4)
		for _, c := range append(first, conns...) {
			err = errors.Join(err, c.Close())
		}
		if err != nil {
			return each, err
		}
		each[i] = (float64(after) - float64(before)) / float64(n)
	}
	return each, nil
}

// openIdle opens connections that say one word and then nothing. They are to be closed with an error too.
func openIdle(s *server, n int) (conns []net.Conn, err error) {
	for range n {
		c, err := net.DialTimeout("tcp", s.addr, askBound)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
		if err := saysVersion(c); err != nil {
			return conns, err
		}
	}
	return conns, nil
}

// saysVersion asks a connection for one answer: a server that has too many accepts it too, and says so.
func saysVersion(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(askBound)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("version\r\n")); err != nil {
		return err
	}
	var answer [64]byte
	n, err := c.Read(answer[:])
	if err != nil {
		return err
	}
	if said := answer[:n]; !bytes.HasPrefix(said, []byte("VERSION ")) {
		return fmt.Errorf("an idle connection is answered %q", said)
	}
	return nil
}
