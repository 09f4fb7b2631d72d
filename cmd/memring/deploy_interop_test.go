//go:build interop

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

const (
	helmPackage = "helm.sh/helm/v3/cmd/helm@v3.19.2"
	// kubernetes is what the chart is rendered for: helm without its own build takes an old one.
	kubernetes  = "1.33.0"
	nfpmPackage = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4"
)

// root is the repository's, seen from this package.
const root = "../.."

// outputOf runs a command at the repository's root.
func outputOf(t *testing.T, environment []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), environment...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, &out, &complaints)
	}
	return out.String()
}

// tool builds a program of a package for the length of the test.
func tool(t *testing.T, of string) (program string) {
	t.Helper()
	dir := t.TempDir()
	fetched(t, "env", "GOBIN="+dir, "go", "install", of)
	name, _, _ := strings.Cut(path.Base(of), "@")
	return filepath.Join(dir, name)
}

// static builds the binary as it is released.
func static(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "memring")
	outputOf(t, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/memring")
	return path
}

// The chart is what helm takes, with all that can be switched on and with all that can be switched off.
func TestInteropHelm(t *testing.T) {
	const chart = "deploy/helm/memring"
	helm := tool(t, helmPackage)
	f := func(kinds string, sets ...string) {
		t.Helper()
		var args []string
		for _, set := range sets {
			args = append(args, "--set", set)
		}
		outputOf(t, nil, helm, append([]string{"lint", "--strict", chart}, args...)...)
		text := outputOf(t, nil, helm, append([]string{"template", "warm", chart, "--kube-version", kubernetes}, args...)...)
		got := map[string]int{}
		for line := range strings.Lines(text) {
			if kind, is := strings.CutPrefix(line, "kind: "); is {
				got[strings.TrimSpace(kind)]++
			}
		}
		if fmt.Sprint(got) != kinds {
			t.Errorf("%v: %v, want %s", sets, got, kinds)
		}
	}
	f("map[ConfigMap:1 PodDisruptionBudget:1 Secret:1 Service:2 ServiceAccount:1 StatefulSet:1]")
	f("map[ConfigMap:2 PodDisruptionBudget:1 PrometheusRule:1 Service:2 ServiceAccount:1 ServiceMonitor:1 StatefulSet:1]",
		"serviceMonitor.enabled=true", "prometheusRule.enabled=true", "grafanaDashboard.enabled=true", "clusterKey.existingSecret=k", "tls.existingSecret=t", "auth.existingSecret=a",
		"snapshots.enabled=true", "snapshots.storageClass=fast")
	f("map[ConfigMap:1 Service:2 StatefulSet:1]", "podDisruptionBudget.enabled=false", "clusterKey.enabled=false", "serviceAccount.create=false", "zones.enabled=false")
	cmd := exec.Command(helm, "template", "warm", chart, "--kube-version", kubernetes, "--set", "copies=9")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("copies")) {
		t.Errorf("nine copies: %v\n%s", err, out)
	}
}

// The settings that the chart gives are settings that memring takes, with TLS and users as well.
func TestInteropHelmSettings(t *testing.T) {
	helm := tool(t, helmPackage)
	render := func(sets ...string) (settings string) {
		text := outputOf(t, nil, helm, append([]string{"template", "warm", "deploy/helm/memring", "--kube-version", kubernetes}, sets...)...)
		_, file, _ := strings.Cut(text, "memring.yaml: |\n")
		for line := range strings.Lines(file) {
			inner, is := strings.CutPrefix(line, "    ")
			if !is {
				break
			}
			settings += inner
		}
		return settings
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "cluster.key")
	write(t, key, strings.Repeat("k", 44)+"\n")
	here := strings.NewReplacer("/etc/memring/cluster/cluster.key", key, "- 0.0.0.0", "- 127.0.0.1:0", "0.0.0.0:9150", "off", "- warm-memring-members.default.svc", "- 127.0.0.1")
	path := settingsFile(t, here.Replace(render()))
	t.Setenv("MEMRING_ID", "warm-0")
	t.Setenv("MEMRING_ADVERTISE", "127.0.0.1")
	t.Setenv("MEMRING_ZONE", "a")
	started(t, "--config", path, "--peer-port=0")

	full := render("--set", "tls.existingSecret=t,auth.existingSecret=a,settings.max-item-size=4m,settings.extended.idle_timeout=3600,settings.copies=3,snapshots.enabled=true")
	o, _, err := run(nil, "--config", settingsFile(t, full))
	if err != nil || o.node.Ring.Copies != 3 || o.node.MaxItemBytes != 4<<20 || o.node.IdleTimeout != time.Hour || !o.node.TLS.Enabled || o.node.AuthFile != "/etc/memring/auth/users" || o.node.SnapshotDir != "/var/lib/memring" {
		t.Errorf("%v: %+v, of\n%s", err, o, full)
	}
}

func TestInteropSystemd(t *testing.T) {
	const unit = "deploy/systemd/memring.service"
	text, err := os.ReadFile(filepath.Join(root, unit))
	if err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(t.TempDir(), "memring.service")
	write(t, here, strings.ReplaceAll(string(text), "/usr/bin/memring", static(t)))
	outputOf(t, nil, "systemd-analyze", "verify", "--recursive-errors=no", here)
	// The threshold counts in tenths: an exposure of 2.0.
	t.Log(outputOf(t, nil, "systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit))
}

// What the image is made of, a root with nothing but the binary, is enough for it to run as nobody in particular.
func TestInteropScratch(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("chroot is root's")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(static(t), filepath.Join(dir, "memring")); err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + freePorts(t, 1)[0]
	cmd := exec.Command("chroot", "--userspec=65532:65532", dir, "/memring", "-l", address, "--peer-port", "0", "--gossip-port", "0", "--admin-listen", "off")
	var logged bytes.Buffer
	cmd.Stdout, cmd.Stderr = &logged, &logged
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	client := memcache.New(address)
	client.Timeout = 10 * time.Second
	waitFor(t, "it answers", client.Ping)
	if err := client.Set(&memcache.Item{Key: "k", Value: []byte("v")}); err != nil {
		t.Errorf("%v\n%s", err, &logged)
	}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)); err != nil || !bytes.Contains(status, []byte("Uid:\t65532")) {
		t.Errorf("it does not run as 65532: %v\n%s", err, status)
	}
}

// The deb holds the binary and the unit, and dpkg takes it.
func TestInteropPackages(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	outputOf(t, nil, "make", "build")
	nfpm := tool(t, nfpmPackage)
	for _, kind := range []string{"deb", "rpm"} {
		outputOf(t, []string{"VERSION=0.0.1", "ARCH=amd64"}, nfpm, "package", "-f", "deploy/packages/nfpm.yaml", "-p", kind, "-t", filepath.Join(dir, "memring."+kind))
	}
	listed := outputOf(t, nil, "dpkg-deb", "--contents", filepath.Join(dir, "memring.deb"))
	for _, want := range []string{"./usr/bin/memring\n", "./usr/lib/systemd/system/memring.service\n", "./etc/memring/memring.yaml\n"} {
		if !strings.Contains(listed, want) {
			t.Errorf("no %q in\n%s", want, listed)
		}
	}
}
