package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/memring/memring/cmd/output"
)

// encryption is how a node is reached whose client port is on TLS.
type encryption struct {
	on                    bool
	authority, serverName string
	cert, key             string
}

func (e *encryption) flags(set *pflag.FlagSet) {
	set.BoolVar(&e.on, "tls", false, "speak TLS")
	set.StringVar(&e.authority, "tls-ca", "", "PEM `FILE` of the authorities that may have signed the node's certificate (default the system's)")
	set.StringVar(&e.serverName, "tls-server-name", "", "`NAME` that the certificate must be for (default the host of the address)")
	set.StringVar(&e.cert, "tls-cert", "", "PEM `FILE` of a certificate to show, where one is required")
	set.StringVar(&e.key, "tls-key", "", "PEM `FILE` of its private key")
}

// config gives nil for no TLS.
func (e *encryption) config() (*tls.Config, error) {
	if !e.on {
		if e.authority+e.serverName+e.cert+e.key != "" {
			return nil, output.Exit(output.Usage, errors.New("--tls-ca, --tls-server-name, --tls-cert and --tls-key need --tls"))
		}
		return nil, nil
	}
	config := &tls.Config{ServerName: e.serverName}
	if e.authority != "" {
		signers, err := os.ReadFile(e.authority)
		if err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(signers) {
			return nil, fmt.Errorf("--tls-ca %s: no certificate in PEM format is in there", e.authority)
		}
	}
	if e.cert+e.key != "" {
		pair, err := tls.LoadX509KeyPair(e.cert, e.key)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
