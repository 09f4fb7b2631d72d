//go:build interop

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInteropDifferential says the same to a real memcached and to a node of three, and wants the same answers.
//
//	seed, number -> program (grammar, packets, mutations) -> pieces -> memcached -> bytes -> normalised --+-- equal
//	                                                             \-> memring   -> bytes -> normalised --/
//
// A sequence is one program on one connection, over keys of its own, on a cache that was emptied. What is accepted to differ is steered round or
// normalised, each by a name that protocol/DESIGN.md explains (accepted). A sequence is known by the seed and its number, and by them said again:
//
//	MEMRING_REFERENCE=path   the memcached to compare with (default: memcached)
//	MEMRING_SEQUENCES=100000 how many (default: 3000)
//	MEMRING_SEED=1           (default: 1)
//	MEMRING_FIRST=42         the number of the first (default: 0)
//	MEMRING_NODES=1          how many nodes (default: 3)
func TestInteropDifferential(t *testing.T) {
	reference := cmp.Or(os.Getenv("MEMRING_REFERENCE"), "memcached")
	version := versionOf(t, reference)
	seed, first := number(t, "MEMRING_SEED", 1), number(t, "MEMRING_FIRST", 0)
	count := number(t, "MEMRING_SEQUENCES", 3000)
	d := &duel{
		memcached: start(t, reference, "-m", "1024"),
		memring:   startCluster(t, int(number(t, "MEMRING_NODES", 3)), "--peer-timeout", "10s")[0].address, // what is said is compared, not how soon
		version:   version,
		met:       map[string]int{},
	}
	explained(t)
	d.raiseUniques(t)
	began, failed := time.Now(), 0
	for n := first; n < first+count && failed < maxFailures; n++ {
		first := d.play(seed, n)
		for try := 0; try < maxTries && first.slow && first.complaint != ""; try++ {
			first = d.play(seed, n)
		}
		complaint := d.playAgain(first, seed, n)
		if complaint != "" {
			failed++
			t.Errorf("MEMRING_SEED=%d MEMRING_FIRST=%d MEMRING_SEQUENCES=1: %s", seed, n, complaint)
		}
	}
	t.Logf("memcached %s, seed %d: %d sequences (%d requests or so), %d differ, in %v", version, seed, count, d.steps, failed,
		time.Since(began).Round(time.Second))
	for _, a := range accepted {
		t.Logf("%8d times met: %s", d.met[a.name], a.name)
	}
}

const (
	maxFailures = 8 // more of the same teach nothing
	maxTries    = 3 // of a sequence whose difference may be explained by playing it again (accepted: played-again)

	peerFailure = `SERVER_ERROR peer `

	// conversationBound is how long a conversation may take until its end has come: everything is said before.
	conversationBound = time.Minute

	// slowRound is how long a round takes that tells nothing of seconds: a machine stood still, and one side's items may be older than the other's.
	slowRound = 2 * time.Second
)

// A duel is a memcached and a node that are asked the same.
type duel struct {
	memcached, memring string // their addresses
	version            string // of the memcached
	steps              int
	counts             bool           // the program under way may count
	met                map[string]int // how often, by the names of accepted
}

// A round is one sequence, played once: what both have answered, as it is compared, and what is wrong with it.
type round struct {
	ours, theirs string
	complaint    string
	slow         bool
}

// playAgain plays a sequence again that went wrong, and gives what is still wrong with it.
//
// A difference is forgiven if it is not there the next time, and what has changed explains it: memcached's answers, in a program that counts, while
// memring's are the same; or memring's, if a member had not answered in time, while memcached's are the same. So a fault of memring's that comes and
// goes is a failure.
func (d *duel) playAgain(first round, seed, n uint64) (complaint string) {
	late := strings.Contains(first.ours, peerFailure)
	for try := 0; try < maxTries && first.complaint != "" && (d.counts || late); try++ {
		again := d.play(seed, n)
		oursSame, theirsSame := again.ours == first.ours, again.theirs == first.theirs
		switch {
		case again.complaint != "":
		case d.counts && oursSame && !theirsSame, late && theirsSame:
			d.met["played-again"]++
			return ""
		default:
			return "comes and goes: " + first.complaint
		}
	}
	return first.complaint
}

// play plays one sequence.
func (d *duel) play(seed, n uint64) round {
	g := &generator{rng: rand.New(rand.NewPCG(seed, n)), prefix: fmt.Sprintf("s%x", n), version: d.version, met: d.met}
	program := g.program()
	d.counts = g.counting
	d.steps += g.steps
	parts := g.cut(program)
	answers := make([]answer, 2)
	began, done := time.Now(), make(chan struct{})
	go func() {
		answers[0] = converse(d.memcached, parts)
		close(done)
	}()
	answers[1] = converse(d.memring, parts)
	<-done
	slow := time.Since(began) > slowRound
	for i, name := range []string{"memcached", "memring"} {
		if err := answers[i].err; err != nil {
			return round{complaint: fmt.Sprintf("%s: %v\nsaid\n%s", name, err, quoted(program)), slow: slow}
		}
	}
	ours, theirs := read(answers[1].said, g), read(answers[0].said, g)
	played := round{ours: ours.said + pattern(ours.uniques), theirs: theirs.said + pattern(theirs.uniques), slow: slow}
	if ours.said == theirs.said && renamed(theirs.uniques, ours.uniques, d.met) || g.broken && d.lost(ours.said, theirs.said) {
		return played
	}
	played.complaint = fmt.Sprintf("said\n%s\nmemcached %s answers\n%s\nmemring answers\n%s\n%s", quoted(program), d.version, quoted(answers[0].said), quoted(answers[1].said),
		firstDifference(theirs.said, ours.said))
	return played
}

// pattern tells which uniques are the same, whatever they are: of each, which was the first like it.
func pattern(uniques []unique) string {
	first, firsts := map[string]int{}, make([]int, len(uniques))
	for i, u := range uniques {
		key := fmt.Sprint(u.n)
		if _, known := first[key]; !known {
			first[key] = i
		}
		firsts[i] = first[key]
	}
	return fmt.Sprint(firsts)
}

// firstDifference shows the first answers that are not alike, as they were compared.
func firstDifference(theirs, ours string) string {
	a, b := strings.SplitAfter(theirs, "\n"), strings.SplitAfter(ours, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("first, memcached: %q\n       memring:   %q", a[i], b[i])
		}
	}
	return fmt.Sprintf("memcached answers %d lines, memring %d; or they differ in which CAS uniques are the same", len(a), len(b))
}

// lost reports whether what differs is only that memcached has hung up with answers unsent.
func (d *duel) lost(ours, theirs string) bool {
	if len(ours) == len(theirs) || !strings.HasPrefix(ours, theirs) {
		return false
	}
	d.met["unsent"]++
	return true
}

// An answer is all that was answered on one connection, until it was closed.
type answer struct {
	said []byte
	err  error
}

// converse empties the cache, says the parts, piece by piece, on a new connection, half-closes it, and hears the answers to their end. All parts but
// the last end in a noop, whose answer is waited for.
func converse(address string, parts [][][]byte) (a answer) {
	if err := empty(address); err != nil {
		return answer{err: err}
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return answer{err: err}
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(conversationBound)); err != nil {
		return answer{err: err}
	}
	for i, pieces := range parts {
		before := len(a.said)
		for _, piece := range pieces {
			if _, err := conn.Write(piece); err != nil {
				break // it has hung up: what it said before is there to be read
			}
		}
		for i < len(parts)-1 && a.err == nil && !endsInNoop(a.said[before:]) {
			var some [4096]byte
			var n int
			n, a.err = conn.Read(some[:])
			a.said = append(a.said, some[:n]...)
		}
	}
	if a.err == io.EOF {
		a.err = nil // before the noop: there is no more
		return a
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	var rest []byte
	rest, a.err = io.ReadAll(conn)
	a.said = append(a.said, rest...)
	if errors.Is(a.err, syscall.ECONNRESET) {
		a.err = nil // it has hung up on what it had not read
	}
	return a
}

// endsInNoop reports whether the last answer is that to a noop.
func endsInNoop(said []byte) bool {
	const headBytes = 24
	return bytes.HasSuffix(said, []byte("MN\r\n")) || len(said) >= headBytes && bytes.HasPrefix(said[len(said)-headBytes:], []byte("\x81\x0a\x00\x00\x00\x00\x00\x00"))
}

// empty empties the cache, and ends a talkativeness that a program may have asked for.
func empty(address string) (err error) {
	for range maxTries {
		if err = tryToEmpty(address); err == nil {
			return nil
		}
	}
	return err
}

func tryToEmpty(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(conversationBound)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "verbosity 0\r\nflush_all\r\nquit\r\n"); err != nil {
		return err
	}
	said, err := io.ReadAll(conn)
	if err == nil && string(said) != "OK\r\nOK\r\n" {
		err = fmt.Errorf("flush_all: %q", said)
	}
	return err
}

// raiseUniques makes memcached's CAS uniques, which begin at 1, larger than lowCAS.
func (d *duel) raiseUniques(t *testing.T) {
	var b bytes.Buffer
	for range lowCAS {
		b.WriteString("set k 0 0 0 noreply\r\n\r\n")
	}
	if a := converse(d.memcached, [][][]byte{{b.Bytes()}}); a.err != nil || len(a.said) > 0 {
		t.Fatalf("%v %q", a.err, a.said)
	}
}

// explained checks that protocol/DESIGN.md has a reason for everything that is accepted.
func explained(t *testing.T) {
	text, err := os.ReadFile("../../protocol/DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accepted {
		if !bytes.Contains(text, []byte("| `"+a.name+"` |")) {
			t.Errorf("protocol/DESIGN.md does not say why %s is accepted", a.name)
		}
	}
}

// start starts a memcached and returns its address once it answers.
func start(t *testing.T, name string, args ...string) (address string) {
	port := freePorts(t, 1)[0]
	address = net.JoinHostPort("127.0.0.1", port)
	keep(t, &process{name: name, args: append([]string{"-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", "0"}, args...)})
	waitFor(t, "memcached answers", func() error { return empty(address) })
	return address
}

// versionOf asks a memcached for its version: "1.6.45".
func versionOf(t *testing.T, name string) string {
	printed, err := exec.Command(name, "-V").Output()
	version, ok := strings.CutPrefix(strings.TrimSpace(string(printed)), "memcached ")
	if err != nil || !ok {
		t.Fatalf("%s -V: %v %q", name, err, printed)
	}
	return version
}

// number reads an environment variable.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// quoted shows bytes so that they may be read, and said again: a line of them a line, and packets in hexadecimal.
func quoted(said []byte) string {
	if len(said) > 0 && (said[0] == 0x80 || said[0] == 0x81) {
		var b strings.Builder
		for chunk := range slices.Chunk(said, 24) {
			fmt.Fprintf(&b, "    %x %q\n", chunk, chunk)
		}
		return b.String()
	}
	var b strings.Builder
	for line := range bytes.Lines(said) {
		fmt.Fprintf(&b, "    %.300q\n", line)
	}
	return b.String()
}
