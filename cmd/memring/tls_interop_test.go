//go:build interop

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/node/certstest"
)

// TestInteropTLS lets other people's clients talk over TLS to the real binary and, in its seat, to memcached with the same flags: pymemcache,
// Dalli, and openssl's own client.
func TestInteropTLS(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // memcached becomes nobody
		t.Fatal(err)
	}
	a := certstest.New(t)
	chain, key := a.Files(dir, "server")
	ca := filepath.Join(dir, "ca.pem")
	write(t, ca, string(a.PEM))
	mine := filepath.Join(dir, "client")
	if err := os.Mkdir(mine, 0o700); err != nil {
		t.Fatal(err)
	}
	cert, private := a.Files(mine, "me")

	talks := func(t *testing.T, address, mode, keys string) {
		t.Run("pymemcache", func(t *testing.T) { python(t, "tls_talk.py", []string{address, ca, cert, private, mode, keys}) })
		t.Run("Dalli", func(t *testing.T) { talk(t, []string{address, ca, cert, private}, "ruby", "tls_talk.rb") })
		t.Run("openssl s_client", func(t *testing.T) {
			for _, version := range []string{"-tls1_2", "-tls1_3"} {
				openssl(t, address, "-CAfile", ca, "-cert", cert, "-key", private, "-verify_return_error", "-verify_ip", "127.0.0.1", version)
			}
			openssl(t, address, "-CAfile", ca, "-cert", cert, "-key", private, "-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305")
		})
	}
	for _, mode := range []string{"plain", "mutual"} {
		flags := []string{"-Z", "-o", "ssl_chain_cert=" + chain, "-o", "ssl_key=" + key, "-o", "ssl_ca_cert=" + ca}
		if mode == "mutual" {
			flags = append(flags, "-o", "ssl_verify_mode=2")
		}
		t.Run("memring, "+mode, func(t *testing.T) {
			signal, address := startedTLS(t, flags[1:]...)
			talks(t, address, mode, "500")
			signal(syscall.SIGTERM)
		})
		t.Run("memcached, "+mode, func(t *testing.T) {
			port := freePorts(t, 1)[0]
			address := net.JoinHostPort("127.0.0.1", port)
			keep(t, &process{name: "memcached", args: append([]string{"-u", "root", "-l", "127.0.0.1", "-p", port, "-U", "0"}, flags...)})
			waitFor(t, "memcached answers", func() error {
				_, _, err := askTLS(address, a.Client("me"), "version")
				return err
			})
			talks(t, address, mode, "20") // 1.6.18 hangs when more comes at once than a record holds
		})
	}
}

// openssl has openssl's client say something to the server, and read the answer.
func openssl(t *testing.T, address string, args ...string) {
	t.Helper()
	cmd := exec.Command("openssl", append([]string{"s_client", "-connect", address, "-quiet"}, args...)...)
	said, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(executeBound, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fprint(said, "set openssl 0 0 5\r\nhello\r\nget openssl\r\nquit\r\n")
	if err2 := cmd.Wait(); err != nil || err2 != nil || !strings.Contains(printed.String(), "STORED\r\nVALUE openssl 0 5\r\nhello\r\nEND\r\n") {
		t.Errorf("%v: %v, %v\n%s", args, err, err2, &printed)
	}
}
