package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/certs"
)

// A place is one entry of -l: where to listen, and how.
type place struct {
	host string // "" for all addresses of the machine
	port int    // 0 for any free one, ownPort for that of -p, or -U
	wire node.Wire
	tls  certs.Mode
}

const (
	anyPort = -1 // memcached's word for a port that the system chooses
	ownPort = -1 // a place without one
)

// resolveListen makes addresses of -l, -p, -U, -B and -s, and gives the peer port its default.
//
//	-p 0: no TCP; -U 0: no UDP; -1: any free port; -U alone is the TCP port too; a port of -l is both's
func (o *options) resolveListen(wrong *complaints) {
	wrong.refuse(o.udpPort < anyPort || o.udpPort > 65535, "-U %d: not a port from 1 to 65535, nor 0 for none, nor -1 for any", o.udpPort)
	if o.set.Changed("udp-port") && o.udpPort != 0 && !o.set.Changed("port") {
		o.port = o.udpPort
	}
	wrong.refuse(o.port < anyPort || o.port > 65535, "-p %d: not a port from 1 to 65535, nor 0 for none, nor -1 for any", o.port)
	mode, err := strconv.ParseUint(o.unixMask, 8, 9)
	wrong.refuse(err != nil, "-a %s: not an access mode in octal, such as 700", o.unixMask)
	o.listenGiven = o.set.Changed("listen")
	o.node.UnixSocketMode = os.FileMode(mode)
	o.resolvePlaces(wrong)

	o.firstPort = max(o.port, 0)
	if len(o.node.Listen) > 0 {
		_, port, _ := net.SplitHostPort(o.node.Listen[0].Address)
		o.firstPort, _ = strconv.Atoi(port)
	}
	if !o.set.Changed("peer-port") { // beside none, or any free port: any free one
		if o.node.PeerPort = 0; o.firstPort != 0 && len(o.node.Listen) > 0 {
			o.node.PeerPort = o.firstPort + 1
		}
	}
	o.node.GiveWay = node.GiveWay{
		Peer:   !o.set.Changed("peer-port"),
		Gossip: !o.set.Changed("gossip-port"),
		Admin:  !o.set.Changed("admin-listen"),
	}
}

// resolvePlaces makes the addresses of -l: each for TCP, and for UDP.
func (o *options) resolvePlaces(wrong *complaints) {
	o.node.Listen, o.node.UDP = nil, nil
	if o.node.UnixSocket != "" && !o.listenGiven {
		return
	}
	for _, list := range o.listen {
		for _, entry := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ';' }) {
			at, err := o.parsePlace(strings.TrimSpace(entry))
			if err != nil {
				wrong.refuse(true, "-l %s: %w", entry, err)
				continue
			}
			if l := (node.Listener{Address: at.address(o.port), Wire: at.wire, TLS: at.tls}); o.port != 0 && !slices.Contains(o.node.Listen, l) {
				o.node.Listen = append(o.node.Listen, l)
			}
			if address := at.address(o.udpPort); o.udpPort != 0 && !slices.Contains(o.node.UDP, address) {
				o.node.UDP = append(o.node.UDP, address)
			}
		}
	}
}

// address completes a place with the port for those that have none.
func (at place) address(port int) string {
	if at.port != ownPort {
		port = at.port
	}
	return net.JoinHostPort(at.host, strconv.Itoa(max(port, 0)))
}

// parsePlace reads an entry of -l: [notls:|btls:|mtls:][proto[WIRE]:][tag[NAME]:]HOST[:PORT].
func (o *options) parsePlace(entry string) (at place, err error) {
	at.wire = o.node.Wire
	if o.node.TLS.Enabled {
		at.tls = certs.Usual
	}
	word, rest, _ := strings.Cut(entry, ":")
	if mode, ok := map[string]certs.Mode{"notls": certs.None, "btls": certs.Basic, "mtls": certs.Mutual}[word]; ok {
		if !o.node.TLS.Enabled {
			return at, fmt.Errorf("%s is only for a server that has TLS enabled, by -Z", word)
		}
		at.tls, entry = mode, rest
	}
	if name, rest, ok := cutBracket(entry, "proto"); ok {
		if at.wire, err = parseWire(name); err != nil {
			return at, err
		}
		entry = rest
	}
	if name, rest, ok := cutBracket(entry, "tag"); ok {
		if len(name) < 1 || len(name) > 8 {
			return at, fmt.Errorf("the tag %q must have 1 to 8 characters", name)
		}
		entry = rest // tags are for memcached's proxy: nobody asks for them here
	}
	at.host, at.port, err = parseHost(entry)
	return at, err
}

// cutBracket cuts KIND[NAME]: or KIND_NAME_: from the front of an entry.
func cutBracket(entry, kind string) (name, rest string, ok bool) {
	for _, bracket := range [][2]string{{"[", "]:"}, {"_", "_:"}} {
		if after, found := strings.CutPrefix(entry, kind+bracket[0]); found {
			if name, rest, ok = strings.Cut(after, bracket[1]); ok {
				return name, rest, true
			}
		}
	}
	return "", entry, false
}

// parseHost reads HOST, HOST:PORT, [V6], [V6]:PORT or V6; HOST may be * for all addresses.
func parseHost(text string) (host string, port int, err error) {
	bare := text
	if strings.HasPrefix(text, "[") {
		bare = strings.TrimSuffix(text[1:], "]")
	}
	if ip, err := netip.ParseAddr(bare); err == nil && len(bare) != len(text)-1 {
		return ip.String(), ownPort, nil
	}
	host, port = text, ownPort
	if strings.Contains(text, ":") {
		var given string
		host, given, _ = net.SplitHostPort(text) // both empty if that fails
		number, err := strconv.ParseUint(given, 10, 16)
		if port = int(number); err != nil {
			host = ""
		}
	}
	switch {
	case host == "*":
		return "", port, nil
	case host == "" || strings.ContainsAny(host, " /[]"):
		return "", 0, errors.New("want HOST, HOST:PORT or [V6]:PORT; proto[ascii|binary|negotiating]: or tag[NAME]: may stand before it")
	default:
		return host, port, nil
	}
}

// parseWire reads the name of a wire, of -B or of proto[...].
func parseWire(name string) (node.Wire, error) {
	switch name {
	case "auto", "negotiating":
		return node.AnyWire, nil
	case "ascii":
		return node.TextWire, nil
	case "binary":
		return node.BinaryWire, nil
	default:
		return 0, fmt.Errorf("%q is no protocol: one of auto, binary or ascii", name)
	}
}
