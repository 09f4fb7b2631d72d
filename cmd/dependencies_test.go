package cmd_test

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	requirement = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)(?: // indirect)?$`)
	reviewed    = regexp.MustCompile("(?m)^\\| `(\\S+)` \\| (v\\S+) \\|")
)

// inBinary finds the modules that the tables say are in the binary.
var inBinary = regexp.MustCompile("(?m)^\\| `(\\S+)` \\| v\\S+ \\|[^|\n]*\\| yes \\|")

// TestDependenciesInTheBinary holds what the compiler needs for the binary against what the tables say is in it: what is not is no risk to who runs it.
func TestDependenciesInTheBinary(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./memring")
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	printed, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, found := range inBinary.FindAllStringSubmatch(string(text), -1) {
		said = append(said, found[1])
	}
	slices.Sort(said)
	needed := strings.Fields(string(printed))
	slices.Sort(needed)
	if needed = slices.Compact(needed); !slices.Equal(said, needed) {
		t.Errorf("cmd/DESIGN.md says that in the binary are\n%q; there are\n%q", said, needed)
	}
}

// TestDependenciesAreReviewed holds go.mod against the tables of DESIGN.md, which say what each module is for.
func TestDependenciesAreReviewed(t *testing.T) {
	read := func(path string, lines *regexp.Regexp) map[string]string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		versions := map[string]string{}
		for _, found := range lines.FindAllStringSubmatch(string(text), -1) {
			versions[found[1]] = found[2]
		}
		if len(versions) < 10 {
			t.Fatalf("%s: only %d modules are found", path, len(versions))
		}
		return versions
	}
	asked, known := read("../go.mod", requirement), read("DESIGN.md", reviewed)
	for _, module := range slices.Sorted(maps.Keys(asked)) {
		if known[module] != asked[module] {
			t.Errorf("%s %s: cmd/DESIGN.md says %q: look at it, and write there what it is for", module, asked[module], known[module])
		}
	}
	for _, module := range slices.Sorted(maps.Keys(known)) {
		if asked[module] == "" {
			t.Errorf("%s: go.mod does not ask for it any more, cmd/DESIGN.md does", module)
		}
	}
}
