package cmd_test

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	// situations and operations are the columns and rows of CLUSTER.md 4.3.
	situations = []string{"C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8"}
	operations = []string{"get", "set", "delete", "add", "cas", "incr", "touch", "flush_all", "unavailability", "multi-get"}

	// unpromised are the cells that are empty there.
	unpromised = []string{
		"C6 touch", "C6 unavailability",
		"C1 multi-get", "C2 multi-get", "C3 multi-get", "C4 multi-get", "C5 multi-get", "C6 multi-get", "C7 multi-get", "C8 multi-get",
	}

	testName = regexp.MustCompile("`(Test\\w+)(?:/([a-z-]+))?`")
)

// TestEveryPromiseHasItsTest holds the table of node/DESIGN.md against the tests there are: each promise has a line, and each test that a line names exists.
func TestEveryPromiseHasItsTest(t *testing.T) {
	text, err := os.ReadFile("../node/DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range brokenPromises(string(text), testsOf(rooms(t))) {
		t.Error(complaint)
	}
}

// The check finds what it is for.
func TestBrokenPromisesAreFound(t *testing.T) {
	tests := map[string][]string{"TestA": {"b"}}
	all := strings.Join(operations, ", ")
	f := func(want int, table string) {
		t.Helper()
		for _, situation := range situations {
			table += "| " + situation + " | " + all + " | `TestA` |\n"
		}
		if got := brokenPromises(table, tests); len(got) != want {
			t.Errorf("%q", got)
		}
	}
	f(0, "| C0 | get | `TestA/b` |\n")
	f(0, "| C4 | get | not yet: copies |\n")
	f(1, "| C0 | get | `TestB` |\n")
	f(1, "| C0 | get | `TestA/c` |\n")
	f(1, "| C0 | get | perhaps |\n")
	f(1, "| C0 | got | `TestA` |\n")
	if got := brokenPromises("| C0 | get | `TestA` |\n", tests); len(got) != len(situations)*len(operations)-len(unpromised)-1 {
		t.Errorf("%d promises without a line", len(got))
	}
}

// brokenPromises says which cells have no line, and which lines name no test that there is.
func brokenPromises(text string, tests map[string][]string) (complaints []string) {
	told := slices.Clone(unpromised)
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || !slices.Contains(situations, strings.TrimSpace(cells[0])) {
			continue
		}
		for operation := range strings.SplitSeq(cells[1], ",") {
			if operation = strings.TrimSpace(operation); !slices.Contains(operations, operation) {
				complaints = append(complaints, "no operation: "+operation+" in "+line)
			}
			told = append(told, strings.TrimSpace(cells[0])+" "+operation)
		}
		named := testName.FindAllStringSubmatch(cells[2], -1)
		for _, name := range named {
			if parts, found := tests[name[1]]; !found || name[2] != "" && !slices.Contains(parts, name[2]) {
				complaints = append(complaints, "there is no test "+name[0])
			}
		}
		if len(named) == 0 && !strings.Contains(cells[2], "not yet") {
			complaints = append(complaints, "no test is named: "+line)
		}
	}
	for _, situation := range situations {
		for _, operation := range operations {
			if cell := situation + " " + operation; !slices.Contains(told, cell) {
				complaints = append(complaints, "node/DESIGN.md names no test for "+cell)
			}
		}
	}
	return complaints
}

// testsOf gives every test, and the strings in its file: the names of its parts are among them.
func testsOf(rooms []room) map[string][]string {
	tests := map[string][]string{}
	for _, r := range rooms {
		for _, s := range r.files {
			if !s.test() {
				continue
			}
			var words []string
			ast.Inspect(s.File, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if word, err := strconv.Unquote(lit.Value); err == nil {
						words = append(words, word)
					}
				}
				return true
			})
			for _, d := range s.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
					tests[f.Name.Name] = append(tests[f.Name.Name], words...)
				}
			}
		}
	}
	return tests
}
