//go:build chaos && linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	registers = 24 // keys that everything is done to
	counters  = 6  // keys that are only counted up
	growings  = 6  // keys that one talker stores growing numbers in

	// talkPause is the longest that a talker is silent between two requests: the load is there to be hurt, not to keep the processors busy.
	talkPause = 5 * time.Millisecond

	// talkBound is how long a talker waits for an answer before it asks elsewhere.
	talkBound = 1500 * time.Millisecond
)

func registerKey(n int) string { return fmt.Sprintf("register-%d", n) }
func counterKey(n int) string  { return fmt.Sprintf("counter-%d", n) }
func growingKey(n int) string  { return fmt.Sprintf("growing-%d", n) }

// allKeys gives every key of a round.
func allKeys() (keys []string) {
	for n := range registers {
		keys = append(keys, registerKey(n))
	}
	for n := range counters {
		keys = append(keys, counterKey(n))
	}
	for n := range growings {
		keys = append(keys, growingKey(n))
	}
	return keys
}

// A talker is a client: one connection at a time, one request at a time, and it writes down what it asked and what it was told.
type talker struct {
	r      *trial
	number int
	rnd    *rand.Rand
	node   int
	conn   net.Conn
	in     *bufio.Reader

	unique  map[string]uint64 // as last told, by key
	version int               // of what it stores
	told    []*op
}

func (r *trial) newTalker(number int) *talker {
	return &talker{r: r, number: number, rnd: rand.New(rand.NewPCG(r.seed, uint64(number))), unique: map[string]uint64{}}
}

// talk asks until ctx is done, this node and that one.
func (k *talker) talk(ctx context.Context) {
	for ctx.Err() == nil {
		if k.conn == nil || k.rnd.IntN(10) == 0 {
			k.move()
		}
		if k.conn != nil {
			k.ask(k.draw())
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(talkPause)):
		}
	}
	k.hangUp()
}

// move connects to one of the nodes that are up, or stays without a connection.
func (k *talker) move() {
	if up := k.r.up(); len(up) > 0 {
		k.connect(up[k.rnd.IntN(len(up))])
	}
}

func (k *talker) connect(node int) {
	k.hangUp()
	if conn, err := k.r.net.dial(node, talkBound); err == nil { // else it is about to end or to begin: nothing was asked
		k.node, k.conn, k.in = node, conn, bufio.NewReader(conn)
	}
}

func (k *talker) hangUp() {
	if k.conn != nil {
		_ = k.conn.Close()
	}
	k.conn = nil
}

// draw thinks of something to ask.
func (k *talker) draw() *op {
	k.version++
	fresh := fmt.Sprintf("%d.%d", k.number, k.version)
	switch lot := k.rnd.IntN(100); {
	case lot < 60:
		o := &op{key: registerKey(k.rnd.IntN(registers))}
		switch lot := k.rnd.IntN(20); {
		case lot < 9:
			o.kind = opGet
		case lot < 13:
			o.kind, o.arg = opSet, fresh
		case lot < 14:
			o.kind, o.arg = opAdd, fresh
		case lot < 15:
			o.kind, o.arg = opReplace, fresh
		case lot < 16:
			o.kind, o.arg = opAppend, "+"+fresh
		case lot < 17:
			o.kind = opTouch
		case lot < 18:
			o.kind = opDelete
		case k.unique[o.key] != 0:
			o.kind, o.arg, o.cas = opCAS, fresh, k.unique[o.key]
		}
		return o
	case lot < 75:
		return &op{kind: opIncr, key: counterKey(k.rnd.IntN(counters))}
	case lot < 80:
		return &op{kind: opGet, key: counterKey(k.rnd.IntN(counters))}
	case lot < 88 && k.number < growings:
		return &op{kind: opSet, key: growingKey(k.number), arg: strconv.Itoa(k.version)}
	default:
		return &op{kind: opGet, key: growingKey(k.rnd.IntN(growings))}
	}
}

// ask sends a request and waits for the answer.
func (k *talker) ask(o *op) {
	o.client, o.node, o.call, o.ret = k.number, k.node, k.r.now(), never
	k.told = append(k.told, o)
	_ = k.conn.SetDeadline(time.Now().Add(k.r.patience))
	err := k.answer(o, func(format string, args ...any) (string, error) {
		if _, err := fmt.Fprintf(k.conn, format+"\r\n", args...); err != nil {
			return "", err
		}
		return k.line()
	})
	if err != nil {
		o.outcome, o.said = unknown, "lost: "+err.Error()
		o.lost = k.r.now()
		k.hangUp()
		return
	}
	if now := k.r.now(); o.outcome != unknown {
		o.ret = now
	} else {
		o.lost = now
	}
	if o.unique != 0 {
		k.unique[o.key] = o.unique
	}
	if o.kind == opIncr && o.outcome == missed { // a fault has taken it, or nobody has begun to count
		k.ask(&op{kind: opAdd, key: o.key, arg: "0"})
	}
}

func (k *talker) line() (string, error) {
	line, err := k.in.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// answer asks in the words of the wire and understands what is said.
func (k *talker) answer(o *op, say func(format string, args ...any) (string, error)) (err error) {
	var head string
	switch o.kind {
	case opGet:
		if len(o.key)%2 == 0 { // some keys by one wire, some by the other
			head, err = say("mg %s c v", o.key)
		} else {
			head, err = say("gets %s", o.key)
		}
	case opDelete:
		head, err = say("md %s", o.key)
	case opTouch:
		head, err = say("touch %s 0", o.key)
	case opIncr:
		head, err = say("ma %s c v", o.key)
	case opCAS:
		head, err = say("ms %s %d c C%d\r\n%s", o.key, len(o.arg), o.cas, o.arg)
	case opFlush:
		head, err = say("flush_all")
	default:
		mode := map[opKind]string{opSet: "S", opAdd: "E", opReplace: "R", opAppend: "A"}[o.kind]
		head, err = say("ms %s %d c M%s\r\n%s", o.key, len(o.arg), mode, o.arg)
	}
	if err != nil {
		return err
	}
	words := strings.Fields(head)
	if len(words) == 0 {
		return errors.New("an empty line")
	}
	switch words[0] {
	case "EN", "END", "NF", "NOT_FOUND":
		o.outcome = missed
	case "NS":
		o.outcome = notStored
	case "EX":
		o.outcome = exists
	case "HD", "TOUCHED", "OK":
		o.outcome = done
	case "VA", "VALUE":
		return k.value(o, words)
	case "SERVER_ERROR":
		o.said = head
		if head == "SERVER_ERROR partition is moving" {
			o.outcome = notDone
		}
		return nil
	default:
		return fmt.Errorf("answered %q", head)
	}
	if len(words) > 1 && o.outcome == done {
		return o.understand(words[1:])
	}
	return nil
}

// value reads what follows "VA SIZE OPTIONS" or "VALUE KEY FLAGS SIZE UNIQUE".
func (k *talker) value(o *op, words []string) error {
	at, tail := 1, ""
	if words[0] == "VALUE" {
		at, tail = 3, "END\r\n"
		if len(words) != 5 || words[1] != o.key {
			return fmt.Errorf("answered %q", words)
		}
		words[4] = "c" + words[4]
	}
	size, err := strconv.Atoi(words[at])
	if err != nil || size > 1<<20 {
		return fmt.Errorf("answered %q", words)
	}
	data := make([]byte, size+len("\r\n"+tail))
	if _, err := io.ReadFull(k.in, data); err != nil {
		return err
	}
	if string(data[size:]) != "\r\n"+tail {
		return fmt.Errorf("a value that does not end: %q", data)
	}
	o.outcome, o.value = done, string(data[:size])
	return o.understand(words[at+1:])
}

// understand reads what the options of a meta answer tell.
func (o *op) understand(options []string) (err error) {
	for _, option := range options {
		if option[0] == 'c' {
			o.unique, err = strconv.ParseUint(option[1:], 10, 64)
		}
	}
	return err
}

// sweeps is how often a flush_all is thought to go over all nodes at most: again when some see other members than others do (node/router, flush.go). Each takes
// what was stored before it, also during the flush_all.
const sweeps = 3

// flush flushes all keys, and writes it down for each.
func (k *talker) flush() {
	if k.conn == nil {
		k.move()
	}
	if k.conn == nil {
		return
	}
	o := &op{kind: opFlush}
	k.ask(o)
	k.told = k.told[:len(k.told)-1]
	for _, key := range allKeys() {
		one := *o
		one.key = key
		k.told = append(k.told, &one)
		for range sweeps - 1 {
			k.told = append(k.told, &op{client: -1, kind: opVanish, key: key, call: o.call, ret: o.ret, outcome: done})
		}
	}
}

// auditTries is how often a question is asked: a busy machine may stand still for longer than a node waits for another.
const auditTries = 3

// audit reads every key through a node.
func (k *talker) audit(node int) error {
	k.connect(node)
	for _, key := range allKeys() {
		if k.conn == nil {
			return fmt.Errorf("node-%d does not answer", node+1)
		}
		o := &op{}
		for try := 0; try < auditTries && k.conn != nil && o.outcome == unknown; try++ {
			o = &op{kind: opGet, key: key}
			if k.ask(o); k.conn == nil {
				k.connect(node)
			}
		}
		if o.outcome == unknown {
			return fmt.Errorf("nothing happens any more, and still: %v", o)
		}
	}
	return nil
}
