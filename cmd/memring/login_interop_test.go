//go:build interop

package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/memring/memring/protocol/login"
)

// TestInteropLogin lets other people's clients log in to the real binary: pymemcache in lines, libmemcached over Cyrus SASL by each mechanism,
// with passwords that are hashed, and as users who may not do all.
func TestInteropLogin(t *testing.T) {
	hash, err := login.Hash([]byte("bar"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(name, way, mechanisms, password string) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			users, ports := filepath.Join(dir, "users"), filepath.Join(dir, "ports")
			write(t, users, "foo:"+password+"\n")
			write(t, filepath.Join(dir, "memcached.conf"), "mech_list: "+mechanisms+"\n")
			t.Setenv("MEMCACHED_SASL_PWDB", users)
			t.Setenv("SASL_CONF_PATH", dir)
			t.Setenv("MEMCACHED_PORT_FILENAME", ports)
			flags := []string{"-S"}
			if strings.HasPrefix(way, "lines") {
				flags = []string{"-Y", users}
			}
			cmd, _, _ := started(t, flags...)
			text, err := os.ReadFile(ports)
			if err != nil {
				t.Fatal(err)
			}
			port := regexp.MustCompile(`TCP INET: (\d+)`).FindStringSubmatch(string(text))
			if port == nil {
				t.Fatalf("%q", text)
			}
			python(t, "login_talk.py", []string{way, net.JoinHostPort("127.0.0.1", port[1])})
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
	f("lines", "lines", "", "bar")
	f("lines, hashed", "lines", "", hash)
	for mechanism := range strings.FieldsSeq("plain scram-sha-256 cram-md5") {
		f(mechanism, "sasl", mechanism, "bar")
	}
	f("plain, hashed", "sasl", "plain", hash)
	f("scram, hashed", "sasl", "scram-sha-256", hash)
	f("lines, limited", "lines-limited", "", hash+" prefix=own:")
	f("plain, limited", "sasl-limited", "plain", hash+" prefix=own:")
	f("scram, limited", "sasl-limited", "scram-sha-256", hash+" prefix=own:")
}
