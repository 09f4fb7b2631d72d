package backup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/node/piece"
)

// An exported is what a member answers to "export": see node/dump.
type exported struct {
	expect func() error // before what is read next
	in     *bufio.Reader
	memory []byte

	complete, gone, short piece.Set // the last two nil from a build that does not tell them
}

// maxSets bounds how many sets are read at the end, those of later builds as well.
const maxSets = 16

// maxPieceBytes bounds what is believed of a length: the largest item, and what stands before it.
const maxPieceBytes = 1<<30 + 1<<20

func (x *exported) read(began func(partitions int, bytes int64) error, took func(items []byte) error) error {
	var partitions, held int
	sets := 1
	var bytes int64
	if err := x.expect(); err != nil {
		return err
	}
	first, err := x.in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	answer := strings.TrimSpace(string(first))
	if n, _ := fmt.Sscanf(answer, "EXPORT %d %d %d %d", &partitions, &held, &bytes, &sets); n < 3 || partitions < 1 || partitions > 1<<16 || sets < 1 || sets > maxSets {
		return refusal(answer)
	}
	if err := began(partitions, bytes); err != nil {
		return err
	}
	for {
		items, err := x.piece()
		switch {
		case err != nil:
			return fmt.Errorf("what it gives ends early: %w", err)
		case len(items) == 0:
			return x.end(partitions, sets)
		}
		if err := took(items); err != nil {
			return err
		}
	}
}

// end reads what is told of the partitions.
func (x *exported) end(partitions, sets int) error {
	told := []*piece.Set{&x.complete, &x.gone, &x.short}
	for n := range sets {
		if err := x.expect(); err != nil {
			return err
		}
		set := piece.NewSet(partitions)
		if _, err := io.ReadFull(x.in, set); err != nil {
			return fmt.Errorf("what it gives ends early: %w", err)
		}
		if !set.Fits(partitions) {
			return errors.New("it tells of partitions that there are not")
		}
		if n < len(told) {
			*told[n] = set
		}
	}
	return nil
}

// piece reads the next items; none at the end.
func (x *exported) piece() ([]byte, error) {
	if err := x.expect(); err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(x.in, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(length[:]))
	if n > maxPieceBytes {
		return nil, fmt.Errorf("a piece of %d bytes is announced", n)
	}
	x.memory = x.memory[:0]
	for len(x.memory) < n { // it grows with what comes, not with what is announced
		part := min(n-len(x.memory), partBytes)
		x.memory = slices.Grow(x.memory, part)
		if err := x.expect(); err != nil {
			return nil, err
		}
		got, err := io.ReadFull(x.in, x.memory[len(x.memory):len(x.memory)+part])
		if x.memory = x.memory[:len(x.memory)+got]; err != nil {
			return nil, err
		}
	}
	return x.memory, nil
}

// refusal is the error of an answer that is none.
func refusal(answer string) error {
	if err := dial.Refusal(answer); err != nil {
		return fatalError{err}
	}
	switch {
	case answer == "ERROR export not allowed":
		return fatalError{errors.New("it was started with -X, which refuses what lists keys")}
	case strings.HasPrefix(answer, "SERVER_ERROR "):
		return errors.New(answer[len("SERVER_ERROR "):])
	default:
		return fatalError{fmt.Errorf("answered %q: is it a memring node, of a build that knows backups?", answer)}
	}
}
