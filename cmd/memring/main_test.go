package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/memring/memring/cmd/output"
)

// What a command line does that cannot be understood, or asks nobody.
func TestExitCodes(t *testing.T) {
	f := func(line string, want int) {
		t.Helper()
		if served, _, err := run(nil, strings.Fields(line)...); output.ExitCode(err) != want || served != nil {
			t.Errorf("%s: %v (%d), want %d", line, err, output.ExitCode(err), want)
		}
	}
	f("version", 0)
	f("bogus", output.Usage)
	f("--bogus", output.Usage)
	f("-p x", output.Usage)
	f("get", output.Usage)
	f("get a b", output.Usage)
	f("get a --bogus", output.Usage)
	f("cluster bogus", output.Usage)
	f("cluster owner", output.Usage)
	f("user add", output.Usage)
	for _, line := range []string{"get a", "set a b", "delete a", "touch a", "incr a", "decr a", "stats", "watch", "health", "health --wire", "top", "cluster status", "cluster members"} {
		at := " --addr 127.0.0.1:1" // nobody listens there
		if line == "health" {
			at = " --admin-listen 127.0.0.1:1"
		}
		f(line+at, output.Unreachable)
	}
}

// The shells' scripts are there, and what they ask to complete a line is answered.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		_, printed, err := run(nil, "completion", shell)
		if err != nil || !strings.Contains(printed, "__complete") {
			t.Errorf("%s: %v\n%s", shell, err, printed)
		}
		if path, err := exec.LookPath(shell); err == nil {
			read := exec.Command(path, "-n")
			read.Stdin = strings.NewReader(printed)
			if said, err := read.CombinedOutput(); err != nil {
				t.Errorf("%s -n: %v\n%s", shell, err, said)
			}
		}
	}
	f := func(want string, line ...string) {
		t.Helper()
		if _, printed, err := run(nil, append([]string{"__complete"}, line...)...); err != nil || !strings.Contains(printed, want) {
			t.Errorf("%q: %q, %v", line, printed, err)
		}
	}
	f("hotkeys\t", "stats", "h")
	f("mutations\t", "watch", "")
	f("drain\t", "cluster", "d")
	f("--expiry\t", "set", "k", "--e")
	f("top\t", "to")
}
