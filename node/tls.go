package node

import (
	"errors"
	"fmt"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/stats"
)

// TLS is how the connections of clients are encrypted, at the addresses that have it (Listener.TLS). The unix socket and UDP never have.
type TLS struct {
	// Enabled says that there is any. -Z.
	Enabled bool

	// Certs are what clients are shown, loaded; Refresh reads their files again, for "refresh_certs". Both come from whoever has the files.
	Certs   *certs.Certs
	Refresh func() error

	// What was set, for "stats settings".
	ChainFile        string // -o ssl_chain_cert
	KeyFile          string // -o ssl_key; default the file of the chain
	KeyFormat        int    // -o ssl_keyformat: 1 for PEM, 2 for DER
	AuthorityFile    string // -o ssl_ca_cert
	VerifyMode       int    // -o ssl_verify_mode
	MinVersion       int    // -o ssl_min_version: 0 to 3 for TLS 1.0 to 1.3
	Ciphers          string // -o ssl_ciphers
	SessionCache     bool   // -o ssl_session_cache; "stats" has the line ssl_new_sessions
	WriteBufferBytes int    // -o ssl_wbuf_size; without effect, as is
	KernelTLS        bool   // -o ssl_kernel_tls
}

// DefaultTLS gives memcached's.
func DefaultTLS() TLS { return TLS{KeyFormat: 1, MinVersion: 2, WriteBufferBytes: 16 << 10} }

// validateTLS refuses addresses with TLS where there is none.
func (c Config) validateTLS() error {
	for _, l := range c.Listen {
		if l.TLS != certs.None && !c.TLS.Enabled {
			return fmt.Errorf("-l %s: has TLS, which needs -Z", l.Address)
		}
	}
	return nil
}

// listen takes one address for clients.
func (n *Node) listen(l Listener) (bound string, err error) {
	kind, begin := network("tcp", l.Address), n.speaking(l.Wire, l.overheard())
	switch {
	case l.TLS == certs.None:
		return n.clients.ListenAs(begin, kind, l.Address, 0)
	case n.cfg.TLS.Certs == nil:
		return "", errors.New("TLS without certificates (set them with -o ssl_chain_cert)")
	default:
		return n.clients.ListenTLS(n.cfg.TLS.Certs.TLS(l.TLS), begin, kind, l.Address)
	}
}

func (n *Node) tlsSettings(list *stats.List) {
	t := &n.cfg.TLS
	yesNo(list, "ssl_enabled", t.Enabled)
	list.Add("ssl_chain_cert", either(t.ChainFile != "", t.ChainFile, "(null)"))
	list.Add("ssl_key", either(t.KeyFile != "", t.KeyFile, "(null)"))
	list.Add("ssl_verify_mode", t.VerifyMode)
	list.Add("ssl_keyformat", t.KeyFormat)
	list.Add("ssl_ciphers", either(t.Ciphers != "", t.Ciphers, "NULL"))
	list.Add("ssl_ca_cert", either(t.AuthorityFile != "", t.AuthorityFile, "NULL"))
	list.Add("ssl_wbuf_size", t.WriteBufferBytes)
	yesNo(list, "ssl_session_cache", t.SessionCache)
	yesNo(list, "ssl_kernel_tls", t.KernelTLS)
	list.Add("ssl_min_version", fmt.Sprintf("tlsv1.%d", t.MinVersion))
}
