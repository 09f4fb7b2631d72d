package load

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// goroutines drives each conn by a goroutine of its own, in a closed loop: dearer than epoll, but what TLS can do.
func (t *thread) goroutines(ctx context.Context) error {
	if t.config.Rate > 0 {
		return errors.New("an open loop needs epoll: Linux, and no TLS")
	}
	links := make([]net.Conn, len(t.conns))
	plain := &net.Dialer{Timeout: quietBound}
	dial := plain.DialContext
	if t.config.TLS != nil {
		dial = (&tls.Dialer{NetDialer: plain, Config: t.config.TLS}).DialContext
	}
	var err error
	for i, addr := range t.addrs {
		if links[i], err = dial(ctx, "tcp", addr); err != nil {
			links = links[:i]
			break
		}
	}
	defer func() {
		for _, link := range links {
			_ = link.Close()
		}
	}()
	if err != nil {
		return err
	}
	t.start()
	errs, reports, lefts := make([]error, len(links)), make([]Report, len(links)), make([]uint64, len(links))
	var all sync.WaitGroup
	for i, link := range links {
		reports[i], lefts[i] = newReport(), t.left
		if t.config.Requests > 0 {
			lefts[i] = share(t.left, i, len(links))
		}
		alone := *t // nothing is shared while asking
		alone.report = &reports[i]
		c := newConn(newDealer(t.config, t.number+(i+1)*t.config.Threads), t.conns[i].values, &reports[i], &lefts[i])
		all.Go(func() { errs[i] = alone.converse(ctx, link, c) })
	}
	all.Wait()
	for i := range reports {
		t.report.Add(&reports[i])
	}
	t.stop()
	return errors.Join(errs...)
}

// converse asks, reads, and asks again.
func (t *thread) converse(ctx context.Context, link net.Conn, c *conn) error {
	for now := since(t.begun); *c.left > 0 && ctx.Err() == nil && (t.config.Duration <= 0 || now < int64(t.config.Duration)); now = since(t.begun) {
		t.soFar(now)
		c.ask(now)
		if err := link.SetDeadline(time.Now().Add(quietBound)); err != nil {
			return err
		}
		n, err := link.Write(c.out)
		if err != nil {
			return err
		}
		for c.sent(n); c.waiting() > 0; {
			n, err := link.Read(c.space())
			if err != nil {
				return err
			}
			if err := c.came(n, since(t.begun)); err != nil {
				return err
			}
		}
	}
	return nil
}
