//go:build interop

package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/memring/memring/node/certstest"
)

const (
	modernSuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256" // of 1.3, where nothing is to be chosen
	defaultECDSA = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA"
	defaultRSA   = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
)

// TestInteropTLSScan scans for every version and every cipher suite that openssl's client has, and finds those that are configured, and no other: for each least version, with each
// kind of list of suites, with a key of either kind.
func TestInteropTLSScan(t *testing.T) {
	dir := t.TempDir()
	a := certstest.New(t)
	chain, key := a.Files(dir, "server")
	ca := filepath.Join(dir, "ca.pem")
	write(t, ca, string(a.PEM))
	rsaChain, rsaKey := filepath.Join(dir, "rsa.pem"), filepath.Join(dir, "rsa.key")
	execute(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2", "-keyout", rsaKey, "-out", rsaChain)

	versions := []string{"-tls1", "-tls1_1", "-tls1_2", "-tls1_3"}
	// scan holds a server against what it says it is: list is its ssl_ciphers, "" for none; then byDefault are meant.
	scan := func(chain, key, ca, least, list, byDefault string) {
		t.Run(strings.Join([]string{filepath.Base(chain), least, list}, " "), func(t *testing.T) {
			args := []string{"-o", "ssl_chain_cert=" + chain, "-o", "ssl_key=" + key}
			from := 2
			if least != "" {
				args = append(args, "-o", "ssl_min_version="+least)
				from, _ = strconv.Atoi(least[len(least)-1:]) // "1", or "tlsv1.1"
			}
			meant := byDefault
			if list != "" {
				args = append(args, "-o", "ssl_ciphers="+list)
				meant = list
			}
			_, address := startedTLS(t, args...)
			for i, version := range versions {
				var want []string
				switch {
				case i < from:
				case version == "-tls1_3":
					want = strings.Split(modernSuites, ":")
				default:
					want = slices.DeleteFunc(strings.Split(meant, ":"), func(suite string) bool { return version != "-tls1_2" && !strings.HasSuffix(suite, "-SHA") }) // the others came with 1.2
				}
				slices.Sort(want)
				if got := suitesAgreed(t, address, ca, version); !slices.Equal(got, want) {
					t.Errorf("%s: %q, want %q", version, got, want)
				}
			}
		})
	}
	for _, least := range []string{"", "0", "tlsv1.1", "2", "tlsv1.3"} {
		for _, list := range []string{"", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA256"} {
			scan(chain, key, ca, least, list, defaultECDSA)
		}
	}
	for _, list := range []string{"", "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256:AES256-SHA:AES128-SHA"} {
		scan(rsaChain, rsaKey, rsaChain, "tlsv1.0", list, defaultRSA)
	}
}

// insecure lets openssl offer what it has, however old: else this machine's policy would be tested, not ours.
const insecure = "@SECLEVEL=0"

// suitesOf gives the suites that openssl can offer in a version.
func suitesOf(t *testing.T, version string) []string {
	t.Helper()
	names := execute(t, "openssl", "ciphers", "-s", version, "ALL:COMPLEMENTOFALL:"+insecure)
	suites := strings.Split(strings.TrimSpace(names), ":")
	if version == "-tls1_3" {
		return suites
	}
	return slices.DeleteFunc(suites, func(name string) bool { return strings.HasPrefix(name, "TLS_") })
}

// suitesAgreed gives the suites by which a handshake comes about in a version: of those that are offered the server takes one, and then of the others, until there is none that it takes.
func suitesAgreed(t *testing.T, address, ca, version string) (agreed []string) {
	t.Helper()
	left := suitesOf(t, version)
	if version != "-tls1_3" && len(left) < 20 {
		t.Fatalf("%s: %d suites are offered: which has this openssl?", version, len(left))
	}
	for len(left) > 0 {
		suite := handshake(t, address, ca, version, strings.Join(left, ":"))
		at := slices.Index(left, suite)
		if at < 0 {
			break
		}
		agreed, left = append(agreed, suite), slices.Delete(left, at, at+1)
	}
	slices.Sort(agreed)
	return agreed
}

// handshake gives the suite that is agreed on, of those that are offered; "" if there is none.
func handshake(t *testing.T, address, ca, version, offered string) (suite string) {
	t.Helper()
	args := []string{"s_client", "-connect", address, "-CAfile", ca, "-verify_return_error", version}
	if version == "-tls1_3" {
		args = append(args, "-ciphersuites", offered)
	} else {
		args = append(args, "-cipher", offered+":"+insecure)
	}
	ctx, cancel := context.WithTimeout(t.Context(), executeBound)
	defer cancel()
	said, err := exec.CommandContext(ctx, "openssl", args...).CombinedOutput() // its input is empty: it ends when it has shaken hands
	if ctx.Err() != nil {
		t.Fatalf("openssl s_client %s: no end", version)
	}
	if found := agreedSuite.FindSubmatch(said); err == nil && found != nil {
		suite = string(found[1])
	}
	return suite
}

var agreedSuite = regexp.MustCompile(`Cipher is ([A-Z0-9_-]+)\n`)
