package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/memring/memring/benchmarks/trace"
)

// Fill sets all keys and counters that a run of the same Config asks for, on each server, so that a run measures hits.
func Fill(ctx context.Context, config Config) error {
	config.Requests = 1 // it does not matter when a run would end
	if err := config.complete(); err != nil {
		return err
	}
	addrs := slices.Clone(config.Addrs)
	slices.Sort(addrs)
	addrs = slices.Compact(addrs)
	keys := uint64(config.Keys)
	for i, addr := range addrs {
		played := func(n uint64) {
			if config.Filled != nil {
				config.Filled(uint64(i)*keys+n, uint64(len(addrs))*keys)
			}
		}
		if err := errors.Join(fillKeys(ctx, &config, addr, played), fillCounters(addr, uint32(config.Keys))); err != nil {
			return fmt.Errorf("fill %s: %w", addr, err)
		}
	}
	return nil
}

func fillKeys(ctx context.Context, c *Config, addr string, played func(uint64)) (err error) {
	p, err := trace.Dial(addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	p.Played = played
	t, err := p.Play(ctx, func(yield func(trace.Request) bool) {
		for key := range uint32(c.Keys) {
			if !yield(trace.Request{Key: key, Size: c.sizeOf(key), Op: trace.Set}) {
				return
			}
		}
	})
	if err == nil && t.Refused > 0 {
		err = fmt.Errorf("%d of %d sets were refused", t.Refused, c.Keys)
	}
	return err
}

// fillCounters sets them high enough that they keep their length.
func fillCounters(addr string, first uint32) (err error) {
	link, err := net.DialTimeout("tcp", addr, quietBound)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	if err := link.SetDeadline(time.Now().Add(quietBound)); err != nil {
		return err
	}
	const stored = "STORED\r\n"
	var ask []byte
	for i := range uint32(counters) {
		ask = append(trace.AppendKey(append(ask, "set "...), first+i), " 0 0 10\r\n1000000000\r\n"...)
	}
	if _, err := link.Write(ask); err != nil { // the answers fit where nobody reads: counters * 8 bytes
		return err
	}
	answers := make([]byte, counters*len(stored))
	if _, err := io.ReadFull(link, answers); err != nil {
		return err
	}
	if want := bytes.Repeat([]byte(stored), counters); !bytes.Equal(answers, want) {
		return unexpected(answers)
	}
	return nil
}
