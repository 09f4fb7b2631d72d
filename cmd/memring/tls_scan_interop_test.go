//go:build interop

package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/memring/memring/node/certstest"
)

// TestInteropTLSScan tries every version and every cipher suite that openssl's client has, and finds those that are configured, and no other.
func TestInteropTLSScan(t *testing.T) {
	dir := t.TempDir()
	a := certstest.New(t)
	chain, key := a.Files(dir, "server")
	ca := filepath.Join(dir, "ca.pem")
	write(t, ca, string(a.PEM))
	versions := []string{"-tls1", "-tls1_1", "-tls1_2", "-tls1_3"}

	const (
		modern  = "TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256" // of 1.3, where nothing is to be chosen
		old     = "ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES256-SHA"                              // the best that there was before 1.2
		usual   = "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305 " + old
		nothing = ""
	)
	f := func(name, options string, want ...string) {
		t.Run(name, func(t *testing.T) {
			args := []string{"-o", "ssl_chain_cert=" + chain, "-o", "ssl_key=" + key}
			if options != "" {
				args = append(args, "-o", options)
			}
			_, address := startedTLS(t, args...)
			tried := 0
			for i, version := range versions {
				var got []string
				for _, suite := range suitesOf(t, version) {
					if tried++; agrees(address, ca, version, suite) {
						got = append(got, suite)
					}
				}
				slices.Sort(got)
				if expected := strings.Fields(want[i]); !slices.Equal(got, slices.Sorted(slices.Values(expected))) {
					t.Errorf("%s: %q, want %q", version, got, expected)
				}
			}
			if tried < 50 {
				t.Errorf("%d suites tried: which has this openssl?", tried)
			}
		})
	}
	f("default", "", nothing, nothing, usual, modern)
	f("only 1.3", "ssl_min_version=tlsv1.3", nothing, nothing, nothing, modern)
	f("from 1.0", "ssl_min_version=tlsv1.0", old, old, usual, modern)
	f("two suites", "ssl_ciphers=ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA", nothing, nothing, "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES128-SHA", modern)
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

// agrees reports whether a handshake comes about in that version and with that suite.
func agrees(address, ca, version, suite string) bool {
	args := []string{"s_client", "-connect", address, "-CAfile", ca, "-verify_return_error", version}
	if version == "-tls1_3" {
		args = append(args, "-ciphersuites", suite)
	} else {
		args = append(args, "-cipher", suite+":"+insecure)
	}
	said, err := exec.Command("openssl", args...).CombinedOutput() // its input is empty: it ends when it has shaken hands
	return err == nil && strings.Contains(string(said), "Cipher is "+suite)
}
