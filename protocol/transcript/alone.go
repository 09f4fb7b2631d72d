package transcript

import (
	"io"
	"os"
	"time"
)

// Alone makes a connection to a session that has none: what is written to it is answered at once, and can then be read.
// answer and ended are the session's (session.Session); a read that finds nothing fails as if its time were up.
func Alone(answer func(in []byte) (answers []byte, used int), ended func() bool) Conn {
	return &alone{answer: answer, ended: ended}
}

type alone struct {
	answer  func(in []byte) (answers []byte, used int)
	ended   func() bool
	in, out []byte
}

// Write hands the session what it has not used yet, as an engine does, but in memory that is spoilt afterwards: whoever keeps a slice of it
// for longer than he may is found.
func (a *alone) Write(p []byte) (int, error) {
	a.in = append(a.in, p...)
	for !a.ended() {
		answers, used := a.answer(a.in)
		a.out = append(a.out, answers...)
		if used == 0 && len(answers) == 0 {
			break
		}
		rest := append([]byte(nil), a.in[used:]...)
		clear(a.in)
		a.in = rest
	}
	return len(p), nil
}

func (a *alone) Read(p []byte) (int, error) {
	if len(a.out) == 0 {
		if a.ended() {
			return 0, io.EOF
		}
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, a.out)
	a.out = a.out[n:]
	return n, nil
}

func (a *alone) Close() error                    { return nil }
func (a *alone) SetReadDeadline(time.Time) error { return nil }
