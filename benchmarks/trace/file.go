package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	header = "time,key,size,op,ttl"

	// maxKeys bounds what a file may make us allocate: a table of four bytes for each key.
	maxKeys = 1 << 28

	// maxSize bounds a size in a file; what is above MaxBytes is cut when the trace is fitted.
	maxSize = 1 << 30
)

// Open reads the trace in a gzip'd file; it is named as the file is, without .csv.gz.
func Open(path string) (t *Trace, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t, err = Read(unzipped)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t.Name = strings.TrimSuffix(filepath.Base(path), ".csv.gz")
	return t, nil
}

// Read reads lines of time,key,size,op,ttl below a header that says so. The time is not kept: it is the request's number by PerSecond.
func Read(r io.Reader) (*Trace, error) {
	lines := bufio.NewScanner(r)
	if !lines.Scan() || lines.Text() != header {
		return nil, errors.Join(lines.Err(), fmt.Errorf("the first line is not %q", header))
	}
	t := &Trace{}
	for n := 2; lines.Scan(); n++ {
		request, err := parse(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		t.Requests = append(t.Requests, request)
		t.Keys = max(t.Keys, int(request.Key)+1)
		t.Paced = t.Paced || request.TTL > 0
	}
	return t, lines.Err()
}

func parse(line []byte) (r Request, err error) {
	var words [5][]byte
	rest, more := line, true
	for i := range words {
		if !more {
			return r, fmt.Errorf("%q has fewer than %d words", line, len(words))
		}
		words[i], rest, more = bytes.Cut(rest, []byte(","))
	}
	if more {
		return r, fmt.Errorf("%q has more than %d words", line, len(words))
	}
	switch string(words[3]) {
	case "get":
		r.Op = Get
	case "set":
		r.Op = Set
	case "delete":
		r.Op = Delete
	default:
		return r, fmt.Errorf("%q is not get, set or delete", words[3])
	}
	key, ok1 := number(words[1], maxKeys-1)
	size, ok2 := number(words[2], maxSize)
	ttl, ok3 := number(words[4], 1<<31)
	if !ok1 || !ok2 || !ok3 {
		return r, fmt.Errorf("%q: key, size and ttl are whole numbers, the key below %d and the size to %d", line, maxKeys, maxSize)
	}
	r.Key, r.Size, r.TTL = key, max(size, minBytes), ttl
	return r, nil
}

// number reads a whole number of at most limit.
func number(word []byte, limit uint64) (uint32, bool) {
	var n uint64
	for _, c := range word {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = 10*n + uint64(c-'0'); n > limit {
			return 0, false
		}
	}
	return uint32(n), len(word) > 0
}
