package carrier

import (
	"log"
	"net/netip"

	"github.com/hashicorp/memberlist"
)

// anyPortTries: a port that is free for TCP may be taken for UDP.
const anyPortTries = 10

// Listen opens the port for gossip, UDP and TCP. Port 0 is any free one; anyPort: so is another if the one wanted cannot be had.
func Listen(bind netip.AddrPort, anyPort bool, log *log.Logger) (network *memberlist.NetTransport, err error) {
	cfg := memberlist.NetTransportConfig{BindAddrs: []string{bind.Addr().String()}, BindPort: int(bind.Port()), Logger: log}
	network, err = memberlist.NewNetTransport(&cfg)
	if anyPort { // it does not say what is wrong; if it is not the port, it fails again
		cfg.BindPort = 0
	}
	for try := 0; err != nil && cfg.BindPort == 0 && try < anyPortTries; try++ {
		network, err = memberlist.NewNetTransport(&cfg)
	}
	return network, err
}
