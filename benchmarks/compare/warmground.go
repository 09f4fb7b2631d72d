package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/memring/memring/benchmarks/warm"
)

// A ground is a cluster that events happen to: a fourth node joins it, the second is drained, the third is started again or killed.
type ground struct {
	name    string
	recipe  func(i int) (recipe, error) // of a node, with ports of its own that stay the same
	cluster bool                        // the nodes know one another, and their clients nothing; else it is the other way round
	servers *warm.Servers               // the clients' list

	nodes []*node // that run
	items uint64  // of all keys
}

// A node is a server that may be stopped and started again at the same address.
type node struct {
	*server
	recipe recipe
	seat   *warm.Server
}

const (
	joining = 3 // what joins
	drained = 1
	hurt    = 2 // is restarted, or killed
)

func (w *warmth) memringGround(name string, more ...string) *ground {
	var gossip []string
	return &ground{name: name, cluster: true, servers: warm.NewServers(false), items: uint64(w.config.Keys), recipe: func(i int) (recipe, error) {
		ports, err := lastingPorts(3)
		if err != nil {
			return recipe{}, err
		}
		args := []string{
			"-l", "127.0.0.1", "-p", ports[0], "--peer-port", ports[1], "--gossip-port", ports[2], "--admin-listen", "off",
			"--id", fmt.Sprintf("n%d", i), "-m", strconv.Itoa(w.limits[0]),
		}
		for _, port := range gossip {
			args = append(args, "--join", "127.0.0.1:"+port)
		}
		gossip = append(gossip, ports[2])
		return lasting("memring", w.memring, ports[0], slices.Concat(args, more)), nil
	}}
}

func (w *warmth) memcachedGround() *ground {
	return &ground{name: onMemcached, servers: warm.NewServers(true), items: uint64(w.config.Keys), recipe: func(int) (recipe, error) {
		ports, err := lastingPorts(1)
		if err != nil {
			return recipe{}, err
		}
		return lasting("memcached", w.memcached, ports[0], []string{"-l", "127.0.0.1", "-p", ports[0], "-U", "0", "-m", strconv.Itoa(w.limits[0])}), nil
	}}
}

// lasting is a recipe that gives the same each time.
func lasting(name, path, port string, args []string) recipe {
	args = append(args, asRoot()...)
	return recipe{name: name, path: path, args: func() ([]string, string, error) { return args, "127.0.0.1:" + port, nil }}
}

// start starts the first nodes, until they see one another.
func (g *ground) start(ctx context.Context) error {
	for range nodesAtFirst {
		if err := g.add(ctx); err != nil {
			return err
		}
	}
	g.list()
	return g.see(ctx, len(g.nodes))
}

// add starts another node.
func (g *ground) add(ctx context.Context) error {
	i := len(g.nodes)
	r, err := g.recipe(i)
	if err != nil {
		return err
	}
	n := &node{recipe: r}
	if n.server, err = r.start(ctx); err != nil {
		return err
	}
	n.seat = &warm.Server{Addr: n.addr, Number: uint8(i)}
	g.nodes = append(g.nodes, n)
	return nil
}

// list tells the clients of all nodes that run.
func (g *ground) list() { g.unlist(nil) }

// unlist tells the clients of all nodes but one.
func (g *ground) unlist(gone *node) {
	var seats []*warm.Server
	for _, n := range g.running() {
		if n != gone {
			seats = append(seats, n.seat)
		}
	}
	g.servers.Set(seats...)
}

func (g *ground) running() []*node {
	return slices.DeleteFunc(slices.Clone(g.nodes), func(n *node) bool { return n.over() })
}

func (s *server) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// see waits until all nodes that run see so many. Plain memcacheds see nobody.
func (g *ground) see(ctx context.Context, want int) error {
	if !g.cluster {
		return nil
	}
	var running []*server
	for _, n := range g.running() {
		running = append(running, n.server)
	}
	return seen(ctx, want, running...)
}

// warm has all keys asked for and set, until none misses. It tells how many missed, and what values came, until each had been asked for without an error.
func (g *ground) warm(ctx context.Context, fleet *warm.Fleet) (missed int, t warm.Tally, err error) {
	g.list()
	ctx, cancel := context.WithTimeout(ctx, formBound)
	defer cancel()
	for right := 0; right < warmPasses; {
		n, said, passErr := fleet.Warm(ctx, g.servers)
		if ctx.Err() != nil {
			return missed, t, fmt.Errorf("make it warm: %w", cmp.Or(err, ctx.Err()))
		}
		if right == 0 {
			missed += n
			t.Add(said)
		}
		if err = passErr; err == nil {
			right++
		}
		if err == nil && n == 0 {
			break
		}
	}
	return missed, t, nil
}

// end stops a node in good order, and waits for it.
func (n *node) end(ctx context.Context) error {
	n.seat.Stopping()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-n.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *node) kill() {
	n.seat.Stopping()
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.ended
}

// again starts a node that has ended.
func (n *node) again(ctx context.Context) (err error) {
	s, err := n.recipe.start(ctx)
	if err != nil {
		return err
	}
	n.server = s
	n.seat.Started()
	return nil
}

// asked is how many of the most popular keys are followed from owner to owner.
const asked = 20_000

// owners gives what tells each of these keys' owner, by its number.
func (g *ground) owners() func(context.Context) ([]uint8, error) {
	if g.cluster {
		return g.ownersTold
	}
	return func(context.Context) ([]uint8, error) {
		all := make([]uint8, g.followed())
		for i := range all {
			all[i] = g.servers.Server(warm.KeyAt(i)).Number
		}
		return all, nil
	}
}

func (g *ground) followed() int { return int(min(asked, g.items)) }

// ownersTold asks a node.
func (g *ground) ownersTold(ctx context.Context) (all []uint8, err error) {
	conn, err := (&net.Dialer{Timeout: askBound}).DialContext(ctx, "tcp", g.running()[0].addr)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	const batch = 100
	read := bufio.NewReader(conn)
	for i := 0; i < g.followed(); i += batch {
		var out bytes.Buffer
		n := min(batch, g.followed()-i)
		for j := range n {
			fmt.Fprintf(&out, "cluster owner %s\r\n", warm.KeyAt(i+j))
		}
		if err := conn.SetDeadline(time.Now().Add(askBound)); err != nil {
			return nil, err
		}
		if _, err := conn.Write(out.Bytes()); err != nil {
			return nil, err
		}
		for range n {
			number, err := ownerNumber(read)
			if err != nil {
				return nil, err
			}
			all = append(all, number)
		}
	}
	return all, nil
}

// ownerNumber reads "OWNER n<number> ..." and END.
func ownerNumber(read *bufio.Reader) (uint8, error) {
	line, err := read.ReadString('\n')
	if err != nil {
		return 0, err
	}
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "OWNER" {
		return 0, fmt.Errorf("cluster owner: unexpected answer %q", line)
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(words[1], "n"), 10, 8)
	if err != nil {
		return 0, fmt.Errorf("cluster owner: unexpected answer %q", line)
	}
	if _, err := read.ReadString('\n'); err != nil {
		return 0, err
	}
	return uint8(number), nil
}

// itemsOf counts a node's items: none while it does not answer.
func itemsOf(addr string) uint64 {
	n, _ := (&server{addr: addr}).stat("", "curr_items")
	return n
}
