package cmd_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

var (
	requirement = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)(?: // indirect)?$`)
	reviewed    = regexp.MustCompile("(?m)^\\| `(\\S+)` \\| (v\\S+) \\|")
)

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
