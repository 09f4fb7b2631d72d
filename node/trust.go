package node

import (
	"crypto/tls"
	"errors"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/node/server"
	"github.com/memring/memring/node/stats"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/protocol/session"
)

// Trust is how members know each other. Without any of it who reaches the ports for members is one.
type Trust struct {
	// Identity is what this node is known by, loaded, and Certs the certificates in it; both come from whoever has the files. nil: nobody proves anything.
	Identity *identity.Identity
	Certs    *certs.Certs

	// KeyFile has the cluster keys, a line each: the first is used, all are accepted. They encrypt gossip, and lanes as long as there are no certificates.
	// --cluster-key-file.
	KeyFile string

	// ChainFile, CertKeyFile and AuthorityFile have the certificate of this node, its private key, and who must have signed those of the others, in PEM; then lanes use
	// these. --peer-tls-cert, --peer-tls-key, --peer-tls-ca.
	ChainFile, CertKeyFile, AuthorityFile string

	// Insecure opens the ports for members also where others reach them, without a cluster key. --insecure-peers.
	Insecure bool
}

// alone reports whether no other member is meant to find this node: other machines reach its clients' port, and there is neither a key by which they would know each other, nor a word of a
// cluster. Then its ports for members are on loopback: so -l 0.0.0.0 alone does what it does with memcached.
func (c Config) alone() bool {
	t := &c.Trust
	trusts := t.KeyFile != "" || t.ChainFile != "" || t.Insecure
	told := len(c.Join) > 0 || c.Advertise.IsValid() || c.Ring.Copies > 1 || !c.GiveWay.Peer || !c.GiveWay.Gossip
	return !trusts && !told && len(c.Listen) > 0 && !onLoopback(c.Listen[0].Address)
}

// validateTrust refuses ports for members at which anybody could be one.
func (c Config) validateTrust() error {
	t := &c.Trust
	switch {
	case (t.ChainFile == "") != (t.AuthorityFile == "") || t.CertKeyFile != "" && t.ChainFile == "":
		return errors.New("--peer-tls-cert, --peer-tls-key and --peer-tls-ca: a certificate, its private key and the authorities of the others' go together")
	case t.KeyFile != "" || t.Insecure || len(c.Listen) == 0 || onLoopback(c.Listen[0].Address) || c.alone():
		return nil
	case t.ChainFile != "":
		return errors.New("--peer-tls-cert protects the lanes between members, not gossip, which other machines reach here: --cluster-key-file FILE does that, with a key that " +
			"all members have (or --insecure-peers, where only members reach these ports)")
	}
	return errors.New("-l: other machines reach the ports for gossip and for other members here, and could read, change and join: " +
		"--cluster-key-file FILE, with a key that all members have (openssl rand -base64 32 makes one), keeps them out; " +
		"--insecure-peers takes the risk, where only members reach these ports")
}

// maxStrangers bounds the connections to the peer port that have not shown yet who they are. A member makes a few at a time, and is through in milliseconds.
const maxStrangers = 256

// openLanes makes the server of the peer port.
func (n *Node) openLanes() {
	n.lanes = server.New(server.Config{
		Awake:           n.awake,
		Session:         func() *session.Session { return n.laneSession(nil) },
		MaxRequestBytes: frame.MaxBytes,
		MaxStrangers:    maxStrangers,
		Refused:         func(from string, why error) { n.reception.Refuse(from, why) },
		Log:             n.log,
	})
}

// listenLanes takes an address for other members.
func (n *Node) listenLanes(address string) (bound string, err error) {
	if !n.cfg.Trust.Identity.Encrypts() {
		return n.lanes.Listen("tcp", address, 0)
	}
	return n.lanes.ListenEach(func() (*session.Session, *tls.Config) {
		config, with := n.cfg.Trust.Identity.Meet()
		return n.laneSession(with), config
	}, "tcp", address)
}

// laneSession begins a conversation with another member. Its requests go to the executor: they have been routed.
func (n *Node) laneSession(with *identity.Peer) *session.Session {
	door, codec, origin := n.reception.Door(with), frame.NewCodec(), n.origins.Add(1)
	codec.Cut = door.Cut
	s := session.New(door, codec, origin)
	n.meter.Lane(s, door)
	s.CountTo(n.executor.Counter(origin))
	door.BeforeWait = s.Waits
	s.AtEnd(door.Close)
	s.LookAhead(n.store.LookAhead)
	return s
}

// lanes is what members know this one by on lanes; nil: nobody proves anything.
func (t *Trust) lanes() *identity.Identity {
	if !t.Identity.Encrypts() {
		return nil
	}
	return t.Identity
}

// gossip is what members know this one by in gossip, which needs a cluster key; nil: nobody proves anything.
func (t *Trust) gossip() *identity.Identity {
	if t.Identity == nil || t.Identity.Keys() == 0 {
		return nil
	}
	return t.Identity
}

// strangers counts who was refused as a member.
func (n *Node) strangers() (lanes int64, gossip uint64) {
	return n.reception.Refused(), n.members.Metrics().Strangers.Load()
}

// trustFigures are lines of "stats tls": by what this node is known to other members.
func (n *Node) trustFigures(list *stats.List) {
	t := &n.cfg.Trust
	if t.KeyFile != "" {
		list.Add("tls_cluster_keys", t.Identity.Keys())
		list.Add("tls_cluster_key_loads", t.Identity.Loads())
		list.Add("tls_cluster_key_failures", t.Identity.Failures())
	}
	if t.Certs != nil {
		status := t.Certs.Status()
		list.Add("tls_peer_certificate_expires", status.Expires.Unix())
		list.Add("tls_peer_refresh_failures", status.Failures)
	}
}
