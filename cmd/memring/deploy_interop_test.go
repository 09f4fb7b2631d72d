//go:build interop

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

const (
	helm = "helm.sh/helm/v3/cmd/helm@v3.19.2"
	// kubernetes is what the chart is rendered for: helm without its own build takes an old one.
	kubernetes = "1.33.0"
	nfpm       = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4"
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
	f := func(kinds string, sets ...string) {
		t.Helper()
		var args []string
		for _, set := range sets {
			args = append(args, "--set", set)
		}
		outputOf(t, nil, "go", append([]string{"run", helm, "lint", "--strict", chart}, args...)...)
		text := outputOf(t, nil, "go", append([]string{"run", helm, "template", "warm", chart, "--kube-version", kubernetes}, args...)...)
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
	f("map[PodDisruptionBudget:1 Secret:1 Service:2 ServiceAccount:1 StatefulSet:1]")
	f("map[ConfigMap:1 PodDisruptionBudget:1 PrometheusRule:1 Service:2 ServiceAccount:1 ServiceMonitor:1 StatefulSet:1]",
		"serviceMonitor.enabled=true", "prometheusRule.enabled=true", "grafanaDashboard.enabled=true", "clusterKey.existingSecret=k", "tls.existingSecret=t", "auth.existingSecret=a")
	f("map[Service:2 StatefulSet:1]", "podDisruptionBudget.enabled=false", "clusterKey.enabled=false", "serviceAccount.create=false", "zones.enabled=false")
	cmd := exec.Command("go", "run", helm, "template", "warm", chart, "--kube-version", kubernetes, "--set", "copies=9")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("copies")) {
		t.Errorf("nine copies: %v\n%s", err, out)
	}
}

// The flags that the chart gives are flags that memring takes.
func TestInteropHelmFlags(t *testing.T) {
	text := outputOf(t, nil, "go", "run", helm, "template", "warm", "deploy/helm/memring", "--kube-version", kubernetes)
	_, list, _ := strings.Cut(text, "args:\n")
	list, _, _ = strings.Cut(list, " env:\n")
	var args []string
	values := strings.NewReplacer("$(POD_IP)", "127.0.0.1", "$(POD_NAME)", "warm-0", "$(ZONE)", "a", "0.0.0.0", "127.0.0.1")
	for line := range strings.Lines(list) {
		arg := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "- "))
		switch name, _, _ := strings.Cut(arg, "="); name {
		case "--join", "": // a name that only the cluster's DNS knows
		case "--cluster-key-file":
			key := filepath.Join(t.TempDir(), "cluster.key")
			if err := os.WriteFile(key, []byte(strings.Repeat("k", 44)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, name+"="+key)
		case "--admin-listen":
			args = append(args, name+"=off")
		case "--listen":
			args = append(args, name+"=127.0.0.1:0")
		default:
			args = append(args, values.Replace(arg))
		}
	}
	if len(args) < 10 {
		t.Fatalf("the chart gives %q", args)
	}
	started(t, append(args, "--peer-port=0", "--gossip-port=0")...)
}

func TestInteropSystemd(t *testing.T) {
	const unit = "deploy/systemd/memring.service"
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
	client.Timeout = time.Second
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
	for _, kind := range []string{"deb", "rpm"} {
		outputOf(t, []string{"VERSION=0.0.1", "ARCH=amd64"}, "go", "run", nfpm, "package", "-f", "deploy/packages/nfpm.yaml", "-p", kind, "-t", filepath.Join(dir, "memring."+kind))
	}
	listed := outputOf(t, nil, "dpkg-deb", "--contents", filepath.Join(dir, "memring.deb"))
	for _, want := range []string{"./usr/bin/memring\n", "./usr/lib/systemd/system/memring.service\n", "./etc/memring/memring.env\n"} {
		if !strings.Contains(listed, want) {
			t.Errorf("no %q in\n%s", want, listed)
		}
	}
}
