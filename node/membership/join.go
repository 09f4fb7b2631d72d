package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The join loop. memberlist itself never asks the dead again, so after a split both sides would stay apart for good (measured).
//
//	every RejoinEvery:  seeds' addresses + the lost  -  who is alive, ourselves  =  missing
//	                    ask some of the missing for all they know
const (
	resolveTimeout = 2 * time.Second
	firstPause     = 250 * time.Millisecond // between rounds until JoinTimeout, while nobody is reached: members often start together
	warnEvery      = time.Minute            // that nobody is reached
	atOnceAlone    = 8                      // of the missing, asked in one round while nobody is reached
	atOnce         = 2                      // and later: one that answers brings news of its whole side

	// lateSeeds is how long a first round waits for the other seeds once one has answered. That one may be as new as we are: two newcomers that knew only each
	// other would take the cluster for theirs alone, with nothing in it. Below what a node waits before it serves alone.
	lateSeeds = 700 * time.Millisecond
)

func (m *Membership) keepJoining(ctx context.Context) {
	started := time.Now()
	nextWarning := started.Add(m.cfg.JoinTimeout)
	for {
		err := m.joinRound(ctx)
		now := time.Now()
		pause := m.cfg.RejoinEvery*3/4 + rand.N(m.cfg.RejoinEvery/2)
		if !m.Joined() {
			if now.Sub(started) < m.cfg.JoinTimeout {
				pause = min(firstPause, pause)
			}
			if !now.Before(nextWarning) && err != nil {
				m.log.Warn("no seed answers: this node is alone and keeps asking", "join", m.cfg.Seeds, "error", err)
				nextWarning = now.Add(warnEvery)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// joinRound asks some of the missing, all at once. The error is of one that failed.
func (m *Membership) joinRound(ctx context.Context) error {
	seeds, err := m.seedAddrs(ctx)
	m.mu.Lock()
	missing := m.view.missing(seeds, time.Now())
	others := len(m.view.alive)
	m.mu.Unlock()
	if len(missing) == 0 && err == nil {
		m.settle() // all the seeds are members, or there are none but ourselves
	}
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
	if others == 0 || !m.asked.Load() {
		missing = missing[:min(len(missing), atOnceAlone)]
	} else if rand.IntN(others) < len(missing) {
		missing = missing[:min(len(missing), atOnce)]
	} else {
		missing = nil // many look for few: somebody else does it this time
	}
	return cmp.Or(err, m.joinAll(ctx, missing))
}

// joinAll asks all of missing at once, and gives one of the errors. We have our place when all have answered or failed, and one of them has answered; who is
// silent is not waited for much longer than for the first.
func (m *Membership) joinAll(ctx context.Context, missing []netip.AddrPort) (err error) {
	answers := make(chan error, len(missing))
	for _, addr := range missing {
		go func() { answers <- m.joinOne(ctx, addr) }()
	}
	var late <-chan time.Time
	for left := len(missing); left > 0; {
		select {
		case failure := <-answers:
			left--
			err = cmp.Or(err, failure)
			if failure == nil && late == nil {
				late = time.After(lateSeeds)
			}
		case <-late:
			m.settle()
		}
	}
	// Members are counted by id: a former start of this node, which nobody has found dead yet, is nobody. Nor is who answers before it knows itself, the first time.
	if again := m.asked.Swap(true); again && late != nil || len(m.Members()) > 1 {
		m.settle()
	}
	return err
}

// joinOne exchanges all that we and addr know.
func (m *Membership) joinOne(ctx context.Context, addr netip.AddrPort) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, err := m.list.Join([]string{addr.String()}); err != nil {
		m.metrics.JoinFailures.Add(1)
		return fmt.Errorf("join %v: %w", addr, err)
	}
	m.metrics.Joins.Add(1)
	return nil
}

// seedAddrs looks up the seeds. The error is of one that has no address; the others are given nonetheless.
func (m *Membership) seedAddrs(ctx context.Context) (addrs []netip.AddrPort, err error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	for _, s := range m.seeds {
		ips := []netip.Addr{s.ip}
		if !s.ip.IsValid() {
			var failure error
			if ips, failure = m.cfg.Resolve(ctx, s.host); failure != nil {
				err = fmt.Errorf("look up %s: %w", s.host, failure)
			}
		}
		for _, ip := range ips {
			ip = ip.Unmap()
			if s.port == m.Addr().Port() && slices.Contains(m.own, ip) {
				continue
			}
			addrs = append(addrs, netip.AddrPortFrom(ip, s.port))
		}
	}
	return addrs, err
}

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// A seed is where to look for members: at ip, or if that is not valid at all the addresses of host.
type seed struct {
	host string
	ip   netip.Addr
	port uint16
}

const (
	defaultPort  = 7946 // memberlist's custom
	maxHostBytes = 253  // of a DNS name
)

func parseSeeds(texts []string) ([]seed, error) {
	var seeds []seed
	for _, text := range texts {
		s, err := parseSeed(text)
		if err != nil {
			return nil, fmt.Errorf("--join %q: %w: want HOST or HOST:PORT, and an IPv6 address with a port in brackets", text, err)
		}
		seeds = append(seeds, s)
	}
	return seeds, nil
}

func parseSeed(text string) (seed, error) {
	host, port := text, uint16(defaultPort)
	bare, bracketed := strings.CutPrefix(text, "[")
	bare, closed := strings.CutSuffix(bare, "]")
	switch {
	case bracketed && closed:
		host = bare
		if !strings.Contains(host, ":") {
			return seed{}, errors.New("brackets are for IPv6 addresses")
		}
	case bracketed || strings.Count(text, ":") == 1: // more colons without brackets are a bare IPv6 address
		var digits string
		var err error
		if host, digits, err = net.SplitHostPort(text); err != nil {
			return seed{}, errors.New("no address with a port")
		}
		number, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || number == 0 {
			return seed{}, fmt.Errorf("port %q is none of 1 to 65535", digits)
		}
		port = uint16(number)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return seed{host: host, ip: ip.Unmap(), port: port}, nil
	}
	if host == "" || len(host) > maxHostBytes || strings.ContainsFunc(host, notInHost) {
		return seed{}, errors.New("no host name and no address")
	}
	return seed{host: host, port: port}, nil
}

func notInHost(r rune) bool {
	return !(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.", r))
}

// anywhere is an address that is kept for documentation: no packet will go there.
const anywhere = "192.0.2.1:9"

// Reachable finds the address that others most likely reach us at, when we listen on bind.
func Reachable(bind netip.Addr) (netip.Addr, error) {
	if !bind.IsUnspecified() {
		return bind, nil
	}
	// To connect a UDP socket sends nothing, but shows which of our addresses the default route uses.
	if conn, err := net.Dial("udp", anywhere); err == nil {
		defer conn.Close()
		if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
			return local.AddrPort().Addr().Unmap(), nil
		}
	}
	// Without a route: a private address, any other that is no loopback, or that.
	rank := func(ip netip.Addr) int {
		switch {
		case ip.IsPrivate() && ip.Is4():
			return 0
		case ip.IsGlobalUnicast():
			return 1
		case ip.IsLoopback():
			return 2
		}
		return 3
	}
	own, err := ownAddrs()
	slices.SortStableFunc(own, func(a, b netip.Addr) int { return cmp.Compare(rank(a), rank(b)) })
	if len(own) == 0 || rank(own[0]) == 3 {
		return netip.Addr{}, cmp.Or(err, errors.New("this machine has no address to tell the others: give one with --advertise"))
	}
	return own[0], nil
}

// listenedAddrs gives the addresses at which one reaches whoever listens on bind.
func listenedAddrs(bind netip.Addr) ([]netip.Addr, error) {
	if bind.IsUnspecified() {
		return ownAddrs()
	}
	return []netip.Addr{bind.Unmap()}, nil
}

// ownAddrs gives the addresses of this machine.
func ownAddrs() ([]netip.Addr, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this machine: %w", err)
	}
	var own []netip.Addr
	for _, n := range nets {
		if prefix, err := netip.ParsePrefix(n.String()); err == nil {
			own = append(own, prefix.Addr().Unmap())
		}
	}
	return own, nil
}
