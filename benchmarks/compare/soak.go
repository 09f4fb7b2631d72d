package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/memring/memring/benchmarks/load"
)

// soak asks a cluster of three for a long time while a fourth node joins and leaves again, and looks at what must not grow.
//
//	start three, fill -> periods: load (a wire each, in turn) | a node joins, and is drained -> the load ends -> look at the three
//
// The load is an open loop of all commands, through the three nodes that stay. They are looked at between periods, so that each time the same is open.
type soak struct {
	*bench
	length, period time.Duration
	rate           float64

	admins []string // where the nodes that stay tell of themselves
	rows   []soaked
}

// A soaked is what came of a period.
type soaked struct {
	report                  load.Report
	wire                    load.Wire
	rss, store              uint64 // bytes of the three nodes that stay, together, as all below; and what of them the items' store has taken
	descriptors, goroutines int
}

const (
	soakMembers = 3
	soakConns   = 60
)

func newSoak(b *bench, flags *flag.FlagSet) *soak {
	s := &soak{bench: b}
	flags.DurationVar(&s.length, "for", 30*time.Minute, "`TIME` under load in all")
	flags.DurationVar(&s.period, "period", time.Minute, "`TIME` between two looks; in each a node joins and leaves")
	flags.Float64Var(&s.rate, "rate", 4000, "`REQUESTS` a second")
	return s
}

// run writes what it has also when it is interrupted, or a period fails: the results then say so.
func (s *soak) run(ctx context.Context) (err error) {
	if s.period <= 0 || s.length < 2*s.period || s.rate <= 0 {
		return errors.New("-for must be two of -period at least, and -rate above 0")
	}
	ports, err := lastingPorts(soakMembers)
	if err != nil {
		return err
	}
	for _, port := range ports {
		s.admins = append(s.admins, "127.0.0.1:"+port)
	}
	nodes, err := startCluster(ctx, s.memring, soakMembers, s.limits[0], func(i int) []string {
		return []string{"--admin-listen", s.admins[i]}
	})
	defer func() {
		for _, n := range nodes {
			err = errors.Join(err, n.stop())
		}
	}()
	if err != nil {
		return err
	}
	err = s.periods(ctx, nodes)
	if len(s.rows) == 0 {
		return err
	}
	return errors.Join(err, s.write(partial(ctx, err)), s.judge())
}

// periods fills the nodes, and asks them for one period after the other.
func (s *soak) periods(ctx context.Context, nodes []*server) error {
	config := load.Config{
		Conns: soakConns, Rate: s.rate, Mix: load.Mix{Get: 75, Set: 15, MultiGet: 2, Touch: 4, Incr: 4}, PerGet: 20,
		Keying: load.Keying{Zipf: 0.99}, ValueBytes: load.Range{Least: 50, Most: 5000}, Duration: s.period,
	}
	config.Addrs = []string{nodes[0].addr} // any node takes every key
	if err := load.Fill(ctx, config); err != nil {
		return err
	}
	for _, n := range nodes[1:] {
		config.Addrs = append(config.Addrs, n.addr)
	}
	for range s.length / s.period {
		config.Wire, config.Seed = load.Wire(len(s.rows)%len(load.Wires)), config.Seed+1
		s.progress.Begin("period %d, %v", len(s.rows)+1, config.Wire)
		s.progress.At(uint64(len(s.rows)), uint64(s.length/s.period))
		row, err := s.one(ctx, nodes, config)
		if err != nil {
			return err
		}
		s.rows = append(s.rows, row)
		s.progress.Say("%3d  %s", len(s.rows), strings.Join(row.words(), "  "))
	}
	return nil
}

// one asks for a period, in which a node joins and leaves, and looks.
func (s *soak) one(ctx context.Context, nodes []*server, config load.Config) (row soaked, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	happened := make(chan error, 1)
	go func() { // ends with what happens, for which the receive below waits
		err := s.visit(ctx, nodes)
		if err != nil {
			cancel() // the load is of no use without
		}
		happened <- err
	}()
	report, err := load.Run(ctx, config)
	if err = errors.Join(err, <-happened, ctx.Err()); err != nil { // a load that is interrupted ends well, but early
		return row, err
	}
	if report.Wrong > 0 {
		return row, fmt.Errorf("%d answers hold another value than was set", report.Wrong)
	}
	row = soaked{report: *report, wire: config.Wire}
	if err := idle(ctx, nodes); err != nil {
		return row, err
	}
	for i, n := range nodes {
		rss, _, err1 := n.memory()
		store, err4 := n.stat("slabs", "total_malloced")
		descriptors, err2 := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid))
		goroutines, err3 := goroutinesAt(ctx, s.admins[i])
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return row, err
		}
		row.rss, row.store = row.rss+rss, row.store+store
		row.descriptors, row.goroutines = row.descriptors+len(descriptors), row.goroutines+goroutines
	}
	return row, nil
}

// idle waits until nodes have no connections but the one that asks how many there are: those of the load are neither what grows nor what was there before.
func idle(ctx context.Context, nodes []*server) error {
	ctx, cancel := context.WithTimeout(ctx, formBound)
	defer cancel()
	for _, n := range nodes {
		for {
			conns, err := n.stat("", "curr_connections")
			if err == nil && conns <= 1 {
				break
			}
			if pause(ctx, pollEvery) != nil {
				return fmt.Errorf("%s has %d connections after all have ended: %w", n.addr, conns, cmp.Or(err, ctx.Err()))
			}
		}
	}
	return nil
}

// visit has a node join, and leave in order, until those that stay know.
func (s *soak) visit(ctx context.Context, nodes []*server) (err error) {
	if err := pause(ctx, s.period/8); err != nil {
		return nil // the load has ended early, and says why
	}
	guest, err := memringAt(s.memring).start(ctx, "--id", "guest", "-m", strconv.Itoa(s.limits[0]), "--join", "127.0.0.1:"+argument(nodes[0], "--gossip-port"))
	if err != nil {
		return err
	}
	defer func() {
		if !guest.over() {
			err = errors.Join(err, guest.stop())
		}
	}()
	if err := seen(ctx, soakMembers+1, nodes...); err != nil {
		return err
	}
	if err := pause(ctx, s.period/4); err != nil {
		return nil
	}
	if err := guest.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-guest.ended:
	case <-time.After(actBound):
		return fmt.Errorf("the node that leaves is there after %v", actBound)
	}
	return seen(ctx, soakMembers, nodes...)
}

// goroutinesAt asks a node for its goroutines.
func goroutinesAt(ctx context.Context, admin string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	request.Close = true // it would be a descriptor more
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			return strconv.Atoi(n)
		}
	}
	return 0, fmt.Errorf("%s: no go_goroutines", admin)
}
