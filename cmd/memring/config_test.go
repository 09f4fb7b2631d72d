package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/cmd/settings"
	"github.com/memring/memring/node"
)

// settingsFile writes a file of settings.
func settingsFile(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "memring.yaml")
	write(t, path, content)
	return path
}

// A file gives what the flags give, and gives way to them and to the environment.
func TestConfigFile(t *testing.T) {
	path := settingsFile(t, "memory-limit: 256\nmax-item-size: 4m\njoin: [one, two]\ncopies: 2\nack: all\nextended: {idle_timeout: 60, no_lru_crawler: true}\nlisten: ['127.0.0.1:11300']\n")
	o, _, err := run(map[string]string{"MEMRING_CONFIG": path, "MEMRING_COPIES": "3"}, "-m", "512", "-o", "idle_timeout=5")
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := run(nil, strings.Fields("-m 512 -I 4m --join one,two --copies 3 --ack all -o no_lru_crawler,idle_timeout=5 -l 127.0.0.1:11300")...)
	if err != nil {
		t.Fatal(err)
	}
	got := o.node
	got.Log, got.Level, want.node.Log, want.node.Level = nil, nil, nil, nil
	if !reflect.DeepEqual(got, want.node) {
		t.Errorf("got %+v\nwant %+v", got, want.node)
	}
}

// check-config says all that is wrong, and where.
func TestCheckConfig(t *testing.T) {
	path := settingsFile(t, "cpies: 2\nport: no\ncopies: 9\nweight: 99\nextended:\n  idle_time: 5\n  hashpower: 99\nack: some\nconn-limit: 0\n")
	_, _, err := run(map[string]string{"MEMRING_ZONE": strings.Repeat("z", 40)}, "check-config", "--config", path, "--gossip-port", "70000")
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		path + `:1: unknown setting "cpies": is it "copies"?`,
		path + `:2: port: want a whole number, not "no"`,
		path + ":3: --copies: 9 is not between 1 and 8",
		path + ":4: --weight: 99 is not between 1 and 32",
		path + `:6: -o idle_time=5: illegal suboption "idle_time=5": is it "idle_timeout"?`,
		path + ":7: -o hashpower=99: must be a number from 12 to 32",
		path + `:8: ack: none, one or all, not "some"`,
		path + ":9: -c 0: maximum connections must be greater than 0",
		"--gossip-port: 70000 is not a port",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if !strings.Contains(err.Error(), "\n$MEMRING_ZONE: --zone: ") {
		t.Error("it does not say that the zone of the environment is too long")
	}
	if len(lines) != 10 {
		t.Errorf("%d lines:\n%s", len(lines), err)
	}
}

// check-config looks into the files that settings name, too; and it says when all is well.
func TestCheckConfigReadsFiles(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	path := settingsFile(t, "auth-file: "+users+"\ncluster-key-file: "+users+".key\n")
	if _, _, err := run(nil, "check-config", "--config", path); err == nil || strings.Count(err.Error(), "no such file") != 2 {
		t.Errorf("no files: %v", err)
	}
	write(t, users, "shop:secret")
	write(t, users+".key", strings.Repeat("k", 44)+"\n")
	o, printed, err := run(nil, "check-config", "--config", path)
	if o != nil || err != nil || printed != "the settings are good\n" {
		t.Errorf("served %v, error %v, printed %q", o != nil, err, printed)
	}
	write(t, users, "shop")
	var said struct {
		Good  bool
		Wrong []string
	}
	_, printed, err = run(nil, "check-config", "--json", "--config", path)
	if err := json.Unmarshal([]byte(printed), &said); err != nil {
		t.Fatal(err)
	}
	if err == nil || said.Good || len(said.Wrong) != 1 || strings.Contains(printed, "secret") {
		t.Errorf("error %v, printed %s", err, printed)
	}
}

func TestConfigPrint(t *testing.T) {
	path := settingsFile(t, "\ncopies: 2\nextended: {idle_timeout: 60}\n")
	_, printed, err := run(map[string]string{"MEMRING_ZONE": "east"}, "config", "print", "--config", path, "-c", "77")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`copies: 2 +# ` + path + `:2`, `zone: east +# \$MEMRING_ZONE`, `conn-limit: 77 +# flag; live`, `extended: \[idle_timeout=60\] +# ` + path + `:3`, `#port: 11211 +# default`} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(printed) {
			t.Errorf("no %q in\n%s", want, printed)
		}
	}
	// It is a file itself.
	again, _, err := run(nil, "--config", settingsFile(t, printed))
	if err != nil || again.node.Ring.Copies != 2 || again.node.MaxConns != 77 || again.node.IdleTimeout != time.Minute {
		t.Errorf("what is printed is no file: %v", err)
	}
	_, printed, err = run(nil, "config", "print", "--config", path, "--json")
	var values []settings.Value
	if err := errors.Join(err, json.Unmarshal([]byte(printed), &values)); err != nil {
		t.Fatal(err)
	}
	if at := slices.IndexFunc(values, func(v settings.Value) bool { return v.Name == "copies" }); at < 0 || values[at].Value != 2. || values[at].From[0].Line != 2 {
		t.Errorf("--json: %s", printed)
	}
}

// Every setting that is said to change live does, and a file that is wrong, or a setting that cannot change, leaves all as it was.
func TestReloadSettings(t *testing.T) {
	path := settingsFile(t, "")
	o, _, err := run(nil, "--config", path, "--zone", "east")
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	o.node.Log = slog.New(slog.NewTextHandler(&logged, nil))
	was := o.node.Live
	reload := func(file string) (to *node.Live) {
		t.Helper()
		logged.Reset()
		write(t, path, file)
		o.reloadSettings(func(live node.Live) error { to = &live; return nil })
		return to
	}
	others := map[string]string{
		"memory-limit": "128", "conn-limit": "10", "verbose": "1", "log-level": "warn", "drain-timeout": "1s", "on-minority": "miss", "min-members": "2",
		"idle-timeout": "1m0s", "peer-timeout": "2s", "handover-rate": "1m",
	}
	for _, v := range o.set.Values() {
		if !v.Live {
			continue
		}
		other, known := others[v.Name]
		if !known {
			t.Errorf("%s: what else may it be?", v.Name)
			continue
		}
		if to := reload(v.Name + ": " + other); to == nil || *to == was || !strings.Contains(logged.String(), fmt.Sprintf("name=%s from=%v to=%s", v.Name, v.Value, other)) {
			t.Errorf("%s: %+v\n%s", v.Name, to, &logged)
		}
		if to := reload(""); to == nil || *to != was {
			t.Errorf("%s does not return: %+v", v.Name, to)
		}
		delete(others, v.Name)
	}
	if len(others) > 0 {
		t.Errorf("they do not change live: %v", others)
	}

	if to := reload("conn-limit: 10\ncopies: 9\nprot: 1"); to != nil || !strings.Contains(logged.String(), "no setting is changed") || !strings.Contains(logged.String(), "memring.yaml:3") {
		t.Errorf("a file with faults: %+v\n%s", to, &logged)
	}
	logged.Reset()
	write(t, path, "conn-limit: 10")
	o.reloadSettings(func(node.Live) error { return errors.New("-m: too little for -I") })
	if !strings.Contains(logged.String(), "no setting is changed") || strings.Contains(logged.String(), "setting changed") {
		t.Errorf("the node refuses: %s", &logged)
	}
	to := reload("conn-limit: 10\ncopies: 2\nzone: west")
	if to == nil || to.MaxConns != 10 || !strings.Contains(logged.String(), "needs a restart\" name=copies now=1 wanted=2") || strings.Contains(logged.String(), "zone") {
		t.Errorf("%+v\n%s", to, &logged)
	}
	if to := reload("conn-limit: 10"); to == nil || !strings.Contains(logged.String(), "no setting differs") {
		t.Errorf("%+v\n%s", to, &logged)
	}
}

// A running node obeys its file on SIGHUP.
func TestHangUpChangesSettings(t *testing.T) {
	ports := filepath.Join(t.TempDir(), "ports")
	t.Setenv("MEMCACHED_PORT_FILENAME", ports)
	path := settingsFile(t, "conn-limit: 100\nlog-level: warn\n")
	cmd, logged, _ := started(t, "--config", path, "--log-format", "json")
	text, err := os.ReadFile(ports)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimSpace(string(text)), ": ")
	settled := func(want ...string) {
		t.Helper()
		waitFor(t, fmt.Sprintf("it says %q", want), func() error {
			said, err := askLines(net.JoinHostPort("127.0.0.1", port), "stats settings")
			for _, line := range want {
				if err == nil && !slices.Contains(said, line) {
					err = fmt.Errorf("no %q", line)
				}
			}
			return err
		})
	}
	settled("STAT maxconns 100", "STAT verbosity 0", "STAT maxbytes 67108864")
	write(t, path, "conn-limit: 50\nlog-level: debug\nmemory-limit: 96\nport: 1\n")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	settled("STAT maxconns 50", "STAT verbosity 1", "STAT maxbytes 100663296")
	if _, err := askLines(net.JoinHostPort("127.0.0.1", port), "verbosity 0"); err != nil { // to what the file says
		t.Fatal(err)
	}
	settled("STAT verbosity 1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`"msg":"setting changed","name":"conn-limit","from":"100","to":"50"`, `"msg":"setting not changed: it needs a restart","name":"port"`} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// askLines gives the lines of an answer up to END or OK.
func askLines(address, command string) (lines []string, err error) {
	conn, err := net.DialTimeout("tcp", address, waitBound)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(waitBound))
	fmt.Fprintf(conn, "%s\r\n", command)
	scanner := bufio.NewScanner(conn)
	for scanner.Scan() {
		if line := scanner.Text(); line == "END" || line == "OK" {
			return lines, nil
		} else {
			lines = append(lines, line)
		}
	}
	return lines, fmt.Errorf("%s: no end: %w", command, scanner.Err())
}

// deploy/memring.yaml is what the settings are.
func TestReferenceIsDeployed(t *testing.T) {
	_, printed, err := run(nil, "config", "reference")
	if err != nil {
		t.Fatal(err)
	}
	deployed, err := os.ReadFile("../../deploy/memring.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, said, err := run(nil, "check-config", "--config", "../../deploy/memring.yaml"); err != nil {
		t.Errorf("deploy/memring.yaml: %v, %s", err, said)
	}
	if printed != string(deployed) {
		t.Error("deploy/memring.yaml is not what the settings are: go run ./cmd/memring config reference > deploy/memring.yaml")
	}
}

// At info, and above it, the log has no keys and no values, whatever clients do.
func TestNoKeysInTheLog(t *testing.T) {
	ports := filepath.Join(t.TempDir(), "ports")
	t.Setenv("MEMCACHED_PORT_FILENAME", ports)
	cmd, logged, _ := started(t, "-A", "-m", "8", "--log-format", "json")
	text, err := os.ReadFile(ports)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimSpace(string(text)), ": ")
	const secret = "sesame"
	for _, command := range []string{
		"set " + secret + " 0 0 6\r\n" + secret + "\r\nget " + secret + "\r\nincr " + secret + " 1\r\nexplain " + secret + "\r\ncluster owner " + secret,
		"set " + secret + " 0 0 9999999", "set " + secret + " 0 0 x", "get " + strings.Repeat(secret, 100), secret, "mg " + secret + " v k\r\nmn",
		"ms " + secret + " 6\r\n" + secret + "\r\nmd " + secret + "\r\nstats " + secret, "\x80" + secret + strings.Repeat(secret, 10), "verbosity 0 " + secret,
	} {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(waitBound))
		fmt.Fprintf(conn, "%s\r\nversion\r\nquit\r\n", command)
		_ = conn.(*net.TCPConn).CloseWrite() // some wait for more than is said
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if said := logged.String(); strings.Contains(said, secret) || !strings.Contains(said, "stopped") {
		t.Errorf("logged:\n%s", said)
	}
}
