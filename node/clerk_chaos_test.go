//go:build chaos

package node_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// clerkBatch is how many requests a clerk has under way at once, each of another key.
	clerkBatch = 200
	// clerkRest is between two batches: the members run in this process, and shall not starve.
	clerkRest = 3 * time.Millisecond
	// clerkPatience bounds the wait for a batch: more than members wait for each other.
	clerkPatience = 2 * changesDeadline
)

// A clerk is a client who keeps the books of its own keys. It asks whoever of the members has an open door.
type clerk struct {
	c      *changes
	rnd    *rand.Rand
	number int
	book   *ledger
	serial uint64
	shut   map[int]time.Time // keys with a request of unknown end, which may still be done until then
	loose  map[int]bool      // keys written while two members held the same: of the sides' versions one is left, nobody knows which. What is read next is believed

	at    string // the member that it talks to
	conn  net.Conn
	in    *bufio.Reader
	asked int
	lost  int // requests of unknown end
}

// An entry is one request of a batch.
type entry struct {
	key  int
	verb verb
	arg  uint64
}

func (k *clerk) name(key int) string { return fmt.Sprintf("item:%d:%d", k.number, key) }

// fill stores all keys.
func (k *clerk) fill() {
	for from := 0; from < len(k.book.is); from += clerkBatch {
		var batch []entry
		for key := from; key < min(from+clerkBatch, len(k.book.is)); key++ {
			batch = append(batch, entry{key, toSet, k.fresh()})
		}
		k.run(batch)
	}
}

// fresh gives a value that was never stored, and that counting from another one does not reach.
func (k *clerk) fresh() uint64 {
	k.serial++
	return k.serial * 10_000
}

// work asks for some keys: three of five only to read them.
func (k *clerk) work() {
	var batch []entry
	for taken := map[int]bool{}; len(taken) < min(clerkBatch, len(k.book.is)/2); {
		key := k.rnd.IntN(len(k.book.is))
		if taken[key] {
			continue
		}
		taken[key] = true
		e := entry{key: key}
		switch k.rnd.IntN(10) {
		case 0, 1:
			e.verb, e.arg = toSet, k.fresh()
		case 2:
			e.verb, e.arg = toIncr, 1
		case 3:
			if e.verb = toDelete; k.rnd.IntN(3) > 0 {
				e.verb, e.arg = toAdd, k.fresh()
			}
		}
		batch = append(batch, e)
	}
	k.run(batch)
}

// sweep reads all keys.
func (k *clerk) sweep() {
	for from := 0; from < len(k.book.is); from += clerkBatch {
		var batch []entry
		for key := from; key < min(from+clerkBatch, len(k.book.is)); key++ {
			batch = append(batch, entry{key: key})
		}
		k.run(batch)
	}
}

// run sends a batch to one member, and books what it says.
func (k *clerk) run(batch []entry) {
	now := time.Now()
	batch = slices.DeleteFunc(batch, func(e entry) bool { return now.Before(k.shut[e.key]) })
	began := k.c.weather()
	var answers []string
	err := k.c.enter(k.rnd, k.at, func(id, addr string) error {
		err := k.dial(id, addr)
		if err == nil {
			answers, err = k.converse(batch)
		}
		return err
	})
	ended := k.c.weather()
	k.asked += len(batch)
	if err != nil {
		k.hangUp()
		if !ended.mayFail(began) {
			k.c.fault("%s: a connection broke: %v", k.at, err)
		}
	}
	for i, e := range batch {
		said := "no answer"
		if i < len(answers) {
			said = answers[i]
		}
		k.enterBook(e, said, began, ended)
	}
}

// enterBook books one answer.
func (k *clerk) enterBook(e entry, said string, began, ended weather) {
	answer, known := answerOf(e.verb, said)
	switch {
	case !known:
		k.lost++
		k.book.open(e.key, e.verb, e.arg)
		k.shut[e.key] = time.Now().Add(clerkPatience)
		if !ended.mayFail(began) {
			k.c.fault("%v %s at %s, where none may fail: %q", e.verb, k.name(e.key), k.at, said)
		}
	case ended.split(began):
		if e.verb != toGet {
			k.loose[e.key] = true
		}
	case k.loose[e.key]:
		if e.verb == toGet { // whatever is left is the newest
			delete(k.loose, e.key)
			k.book.become(e.key, []uint64{answer})
		}
	default:
		if err := k.book.done(e.key, e.verb, e.arg, answer); err != nil {
			k.c.fault("at %s: %v", k.at, err)
			k.loose[e.key] = true // told once
		}
	}
}

// answerOf reads an answer of the meta wire; an error tells nothing.
func answerOf(v verb, said string) (answer uint64, known bool) {
	switch said {
	case "EN", "NF", "NS":
		return 0, true
	case "HD":
		return 1, v != toGet && v != toIncr
	}
	answer, err := strconv.ParseUint(said, 10, 64)
	return answer, err == nil && answer > 0
}

func (k *clerk) dial(id, addr string) error {
	if k.conn != nil && k.at == id {
		return nil
	}
	k.hangUp()
	conn, err := net.Dial("tcp", addr)
	k.at = id
	if err == nil {
		k.conn, k.in = conn, bufio.NewReader(conn)
	}
	return err
}

func (k *clerk) hangUp() {
	if k.conn != nil {
		k.conn.Close()
		k.conn = nil
	}
}

// converse sends a batch and gives the answers, or those before the first that did not come.
func (k *clerk) converse(batch []entry) (answers []string, err error) {
	if err := k.conn.SetDeadline(time.Now().Add(clerkPatience)); err != nil {
		return nil, err
	}
	out := make([]byte, 0, 40*len(batch))
	for _, e := range batch {
		value := strconv.FormatUint(e.arg, 10)
		switch key := k.name(e.key); e.verb {
		case toGet:
			out = fmt.Appendf(out, "mg %s v\r\n", key)
		case toSet:
			out = fmt.Appendf(out, "ms %s %d\r\n%s\r\n", key, len(value), value)
		case toAdd:
			out = fmt.Appendf(out, "ms %s %d ME\r\n%s\r\n", key, len(value), value)
		case toDelete:
			out = fmt.Appendf(out, "md %s\r\n", key)
		case toIncr:
			out = fmt.Appendf(out, "ma %s D%s v\r\n", key, value)
		}
	}
	if _, err := k.conn.Write(out); err != nil {
		return nil, err
	}
	for range batch {
		line, err := k.in.ReadString('\n')
		if err == nil && strings.HasPrefix(line, "VA ") {
			line, err = k.in.ReadString('\n')
		}
		if err != nil {
			return answers, err
		}
		answers = append(answers, strings.TrimRight(line, "\r\n"))
	}
	return answers, nil
}
