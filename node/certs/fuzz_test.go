package certs_test

import (
	"testing"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/certstest"
)

// Whatever is in the files: either it is loaded whole, or what was in use stays in use and a failure is counted. (No handshake here: what it makes up at random
// takes other ways through the code each time, and the fuzz engine would look at nothing else.)
func FuzzLoad(f *testing.F) {
	a := certstest.New(f)
	chain, key := a.Issue("one", time.Now().Add(time.Hour))
	_, other := a.Issue("two", time.Now().Add(time.Hour))
	f.Add(chain, key, a.PEM, false)
	f.Add(append(chain[:len(chain):len(chain)], key...), []byte(nil), []byte(nil), false)
	f.Add(append(chain[:len(chain):len(chain)], a.PEM...), key, []byte("x"), false)
	f.Add(chain, other, a.PEM, false)
	f.Add(chain, key, []byte(nil), true)
	f.Add(chain[:len(chain)/2], key, a.PEM, false)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), key[:len(key)-9], []byte("-----BEGIN CERTIFICATE-----"), true)
	good := files(chain, key, nil)
	f.Fuzz(func(t *testing.T, chain, key, authorities []byte, der bool) {
		c := certs.New(certs.Config{})
		if err := c.Load(good); err != nil {
			t.Fatal(err)
		}
		before, inUse := c.Status(), c.TLS(certs.Usual)()
		read := files(chain, key, authorities)
		read.KeyDER = der
		err := c.Load(read)
		now := c.Status()
		if err != nil {
			if c.TLS(certs.Usual)() != inUse || now.Failures != before.Failures+1 || now.Expires != before.Expires {
				t.Fatalf("%v, and something has changed: %+v, %+v", err, before, now)
			}
			return
		}
		for _, mode := range []certs.Mode{certs.Usual, certs.Basic, certs.Mutual} {
			if c.TLS(mode)() == nil || len(c.TLS(mode)().Certificates) != 1 || c.TLS(mode)().ClientCAs == nil {
				t.Fatalf("mode %d: %+v", mode, c.TLS(mode)())
			}
		}
	})
}
