package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/certstest"
	"github.com/memring/memring/protocol/login"
)

// withCerts gives options with -Z and files of a, and what they log.
func withCerts(t *testing.T, a *certstest.Authority, dir string) (o *options, logged *bytes.Buffer) {
	t.Helper()
	logged = new(bytes.Buffer)
	o = newOptions(os.Getenv)
	o.node.Log = slog.New(slog.NewTextHandler(logged, nil))
	o.node.TLS.Enabled = true
	o.node.TLS.ChainFile, o.node.TLS.KeyFile = a.Files(dir, "one")
	o.node.Listen[0].TLS = certs.Usual
	return o, logged
}

func TestCertificatesAreRefused(t *testing.T) {
	a := certstest.New(t)
	f := func(change func(o *options, dir string), want string) {
		t.Helper()
		dir := t.TempDir()
		o, _ := withCerts(t, a, dir)
		change(o, dir)
		if err := o.openCerts(); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), dir) != 1 {
			t.Errorf("got %v, want %s...", err, want)
		}
	}
	f(func(o *options, dir string) { o.node.TLS.ChainFile = dir + "/none" }, "-o ssl_chain_cert=/")
	f(func(o *options, dir string) { o.node.TLS.ChainFile = dir }, "-o ssl_chain_cert=/")
	f(func(o *options, dir string) { o.node.TLS.ChainFile = o.node.TLS.KeyFile }, "-o ssl_chain_cert=/")
	f(func(o *options, dir string) { o.node.TLS.KeyFile = dir + "/none" }, "-o ssl_key=/")
	f(func(o *options, dir string) { o.node.TLS.KeyFile = o.node.TLS.ChainFile }, "-o ssl_key=/")
	f(func(o *options, dir string) { o.node.TLS.KeyFile = "" }, "-o ssl_chain_cert=/")
	f(func(o *options, dir string) { o.node.TLS.KeyFormat = 2 }, "-o ssl_key=/")
	f(func(o *options, dir string) { write(t, o.node.TLS.KeyFile, "") }, "-o ssl_key=/")
	f(func(o *options, dir string) { o.node.TLS.AuthorityFile = o.node.TLS.KeyFile }, "-o ssl_ca_cert=/")
	f(func(o *options, dir string) {
		_, key := a.Issue("other", time.Now().Add(time.Hour))
		write(t, o.node.TLS.KeyFile, string(key))
	}, "-o ssl_key=/")
}

func TestCertificatesAreAccepted(t *testing.T) {
	a := certstest.New(t)
	f := func(change func(o *options, dir string), wantLogged string) {
		t.Helper()
		dir := t.TempDir()
		o, logged := withCerts(t, a, dir)
		change(o, dir)
		if err := o.openCerts(); err != nil {
			t.Error(err)
			return
		}
		o.files[0].Tell()
		if !strings.Contains(logged.String(), wantLogged) || wantLogged == "" && strings.Contains(logged.String(), "WARN") {
			t.Errorf("logged %s, want %q", logged, wantLogged)
		}
	}
	f(func(*options, string) {}, "")
	f(func(o *options, dir string) { // all in one
		key, err := os.ReadFile(o.node.TLS.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := os.ReadFile(o.node.TLS.ChainFile)
		if err != nil {
			t.Fatal(err)
		}
		write(t, o.node.TLS.ChainFile, string(chain)+string(key))
		o.node.TLS.KeyFile = ""
	}, "")
	f(func(o *options, dir string) {
		key, err := os.ReadFile(o.node.TLS.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(key)
		write(t, o.node.TLS.KeyFile, string(block.Bytes))
		o.node.TLS.KeyFormat = 2
	}, "")
	f(func(o *options, dir string) {
		o.node.TLS.VerifyMode, o.node.TLS.AuthorityFile = 2, filepath.Join(dir, "ca.pem")
		write(t, o.node.TLS.AuthorityFile, string(a.PEM))
	}, "")
	f(func(o *options, dir string) { o.node.TLS.VerifyMode = 1 }, "no authority")
	f(func(o *options, dir string) { o.node.Listen[0].TLS = certs.Mutual }, "no authority")
	f(func(o *options, dir string) { o.node.Listen = nil }, "no address for clients has TLS")
	f(func(o *options, dir string) { o.node.UDP = []string{"127.0.0.1:0"} }, "not encrypted")
	f(func(o *options, dir string) {
		chain, key := a.Issue("late", time.Now().Add(-time.Minute))
		write(t, o.node.TLS.ChainFile, string(chain))
		write(t, o.node.TLS.KeyFile, string(key))
	}, "not good now")
}

// startedTLS runs a node with TLS and gives its first client address.
func startedTLS(t *testing.T, args ...string) (signal func(syscall.Signal), address string) {
	t.Helper()
	ports := filepath.Join(t.TempDir(), "ports")
	t.Setenv("MEMCACHED_PORT_FILENAME", ports)
	cmd, _, _ := started(t, append([]string{"-Z"}, args...)...)
	var port []string
	waitFor(t, "it writes its ports", func() error {
		text, err := os.ReadFile(ports)
		if port = regexp.MustCompile(`TCP INET: (\d+)`).FindStringSubmatch(string(text)); port == nil {
			return fmt.Errorf("%q, %v", text, err)
		}
		return nil
	})
	return func(s syscall.Signal) {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}, net.JoinHostPort("127.0.0.1", port[1])
}

// ask says a line over TLS and gives the answer's first line, and the name in the certificate.
func askTLS(address string, client *tls.Config, line string) (answer, name string, err error) {
	c, err := tls.Dial("tcp", address, client)
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, line+"\r\nquit\r\n"); err != nil {
		return "", "", err
	}
	answers, err := io.ReadAll(c)
	answer, _, _ = strings.Cut(string(answers), "\r\n")
	return answer, c.ConnectionState().PeerCertificates[0].Subject.CommonName, err
}

// The whole process: TLS, a client's certificate, SIGHUP, refresh_certs, and nothing bad is ever used.
func TestProcessWithTLS(t *testing.T) {
	a, dir := certstest.New(t), t.TempDir()
	chain, key := a.Files(dir, "one")
	authority := filepath.Join(dir, "ca.pem")
	write(t, authority, string(a.PEM))
	signal, address := startedTLS(t, "-o", "ssl_chain_cert="+chain+",ssl_key="+key, "-o", "ssl_verify_mode=2,ssl_ca_cert="+authority)

	f := func(line, wantAnswer, wantName string) {
		t.Helper()
		waitFor(t, line+" is answered", func() error {
			answer, name, err := askTLS(address, a.Client("me"), line)
			if err != nil || answer != wantAnswer || name != wantName {
				return fmt.Errorf("%q by %s, %v", answer, name, err)
			}
			return nil
		})
	}
	f("version", "VERSION 1.6.45", "one")
	if answer, _, err := askTLS(address, a.Client(""), "version"); err == nil {
		t.Errorf("a client without certificate was answered %q", answer)
	}
	a.Files(dir, "two")
	signal(syscall.SIGHUP)
	f("version", "VERSION 1.6.45", "two")
	write(t, key, "bad")
	signal(syscall.SIGHUP)
	f("refresh_certs", "SERVER_ERROR -o ssl_key="+key+": the private key: tls: failed to find any PEM data in key input", "two")
	a.Files(dir, "three")
	f("refresh_certs", "OK", "two") // this connection had begun
	f("version", "VERSION 1.6.45", "three")

	// The cluster commands.
	mine := t.TempDir()
	cert, private := a.Files(mine, "me")
	for line, want := range map[string]string{
		"--tls --tls-ca " + authority + " --tls-cert " + cert + " --tls-key " + private: "",
		"--tls --tls-ca " + authority:                        "certificate required",
		"--tls --tls-cert " + cert + " --tls-key " + private: "unknown authority",
		"--tls --tls-ca " + key:                              "no certificate",
		"--tls --tls-ca /none":                               "--tls-ca: open /none",
		"--tls --tls-cert " + cert:                           "--tls-key",
		"--tls-cert " + cert:                                 "need --tls",
		"":                                                   "--tls",
	} {
		_, printed, err := run(nil, append([]string{"cluster", "members", "--addr", address}, strings.Fields(line)...)...)
		if want == "" && (err != nil || !strings.Contains(printed, "active")) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("cluster members %s: %q, %v", line, printed, err)
		}
	}
	signal(syscall.SIGTERM)
}

// The cluster commands log in where a login is asked for, with the rights of that user, and say what is missing.
func TestClusterCommandsLogIn(t *testing.T) {
	a, dir := certstest.New(t), t.TempDir()
	chain, key := a.Files(dir, "a-name")
	authority, users, right, wrong := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "users"), filepath.Join(dir, "right"), filepath.Join(dir, "wrong")
	write(t, authority, string(a.PEM))
	hash, err := login.Hash([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, users, "boss:secret\nreader:"+hash+" rights=read\n")
	write(t, right, "secret\n")
	write(t, wrong, "sesame\n")
	_, address := startedTLS(t, "-o", "ssl_chain_cert="+chain+",ssl_key="+key, "-Y", users)
	f := func(line, wantPrinted, wantErr string) {
		t.Helper()
		_, printed, err := run(map[string]string{"MEMRING_PASSWORD_FILE": right}, append(strings.Fields("cluster "+line), "--addr", address, "--tls", "--tls-ca", authority)...)
		switch {
		case wantErr == "" && err != nil, wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)), !strings.Contains(printed, wantPrinted):
			t.Errorf("%s: %q, %v; want %q, %q", line, printed, err, wantPrinted, wantErr)
		case strings.Contains(fmt.Sprint(printed, err), "secret"), strings.Contains(fmt.Sprint(printed, err), "sesame"):
			t.Errorf("%s: %q, %v tells a password", line, printed, err)
		}
	}
	f("members --login boss", "active", "")
	f("status --login reader --tls-server-name a-name", "no problems", "")
	f("explain key --login reader", "key", "")
	f("forget n9 --login reader", "", "permission denied: the user of --login may not ask that")
	f("forget n9 --login boss", "", "n9")
	f("members --login boss --password-file "+wrong, "", "--login boss: authentication failure")
	f("members --login nobody", "", "--login nobody: authentication failure")
	f("members --login boss --tls-server-name another", "", "another")
	f("members --password-file= ", "", "the node asks for a login: --login and --password-file")
}

// Certificates are replaced again and again, as Kubernetes does it, while clients come and go: no handshake fails, and none is left with an old one.
func TestCertificatesSwappedUnderLoad(t *testing.T) {
	a, dir := certstest.New(t), t.TempDir()
	swap := func(name string) {
		t.Helper()
		folder, link := filepath.Join(dir, name), filepath.Join(dir, "link")
		err := os.Mkdir(folder, 0o700)
		if err == nil {
			a.Files(folder, name)
			err = os.Symlink(folder, link)
		}
		if err == nil {
			err = os.Rename(link, filepath.Join(dir, "now"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	swap("first")
	signal, address := startedTLS(t, "-o", "ssl_chain_cert="+filepath.Join(dir, "now", "cert.pem")+",ssl_key="+filepath.Join(dir, "now", "key.pem"))

	client := a.Client("")
	var clients sync.WaitGroup
	var shaken atomic.Int64
	ended := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				if answer, _, err := askTLS(address, client, "version"); err != nil || answer != "VERSION 1.6.45" {
					t.Errorf("%q, %v", answer, err)
					return
				}
				shaken.Add(1)
			}
		})
	}
	for i := range 10 {
		before, name := shaken.Load(), fmt.Sprintf("number %d", i)
		swap(name)
		signal(syscall.SIGHUP)
		waitFor(t, name+" is shown, and others have come", func() error {
			if _, got, err := askTLS(address, client, "version"); err != nil || got != name || shaken.Load() < before+8 {
				return fmt.Errorf("%s, %v, %d handshakes", got, err, shaken.Load()-before)
			}
			return nil
		})
	}
	close(ended)
	clients.Wait()
}

func TestCannotStartTLS(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		cmd, logged := memring(t, append([]string{"-Z"}, args...)...)
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(logged.String(), want) {
			t.Errorf("%v: %v, want %q in\n%s", args, err, want, logged)
		}
	}
	f("-o ssl_chain_cert")
	f("-o ssl_chain_cert=/none: no such file", "-o", "ssl_chain_cert=/none")
}

// A key that only root can read is read before another user is become; that it cannot be read again is told.
func TestKeyOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	chain, key := certstest.New(t).Files(t.TempDir(), "one")
	cmd, logged, _ := started(t, "-u", "nobody", "-Z", "-o", "ssl_chain_cert="+chain+",ssl_key="+key)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || strings.Count(logged.String(), "the user of -u cannot read") != 2 {
		t.Errorf("%v:\n%s", err, logged)
	}
}
