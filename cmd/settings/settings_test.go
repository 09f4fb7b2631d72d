package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// some are settings of each kind.
type some struct {
	*Set
	port       int
	join       []string
	patience   time.Duration
	fast       bool
	factor     float64
	zone, word string
	extended   []string
	config     string
}

func newSome() *some {
	s := &some{}
	flags := pflag.NewFlagSet("all", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.IntVarP(&s.port, "port", "p", 11211, "a `PORT`")
	flags.StringSliceVar(&s.join, "join", []string{"a", "b"}, "members to ask")
	flags.DurationVar(&s.patience, "peer-timeout", time.Second, "longest wait")
	flags.BoolVar(&s.fast, "fast", false, "be fast")
	flags.Float64Var(&s.factor, "factor", 1.25, "growth")
	flags.StringVar(&s.zone, "zone", "", "where it stands")
	flags.StringVar(&s.word, "pass-word", "", "what opens the door")
	flags.StringArrayVarP(&s.extended, "extended", "o", nil, "words")
	flags.StringVar(&s.config, "config", "", "a file")
	Give(flags, "pass-word", Secret)
	Give(flags, "extended", Gathered)
	Give(flags, "config", Apart)
	Give(flags, "port", Live)
	s.Set = New(flags)
	return s
}

// loaded loads the settings of a command line, an environment of words NAME=VALUE, and a file.
func loaded(line, environment, file string) (s *some, err error) {
	s = newSome()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	s.AddTo(flags)
	if err := flags.Parse(strings.Fields("--config m.yaml " + line)); err != nil {
		return s, err
	}
	return s, s.load(environment, file)
}

func (s *some) load(environment, file string) error {
	return s.Load("M", func(name string) string {
		for _, word := range strings.Fields(environment) {
			if value, is := strings.CutPrefix(word, name+"="); is {
				return value
			}
		}
		return ""
	}, func(path string) ([]byte, error) {
		if path != "m.yaml" {
			return nil, fs.ErrNotExist
		}
		return []byte(file), nil
	})
}

func TestPrecedence(t *testing.T) {
	f := func(line, environment, file string, get func(*some) any, want any, from string) {
		t.Helper()
		s, err := loaded(line, environment, file)
		if err != nil {
			t.Errorf("%s | %s | %s: %v", line, environment, file, err)
			return
		}
		if got := get(s); !reflect.DeepEqual(got, want) {
			t.Errorf("%s | %s | %s: got %v, want %v", line, environment, file, got, want)
		}
		var froms []string
		for _, v := range s.Values() {
			for _, source := range v.From {
				if source.Kind != Default {
					froms = append(froms, source.String())
				}
			}
		}
		if got := strings.Join(froms, " "); got != from {
			t.Errorf("%s | %s | %s: from %q, want %q", line, environment, file, got, from)
		}
	}
	port := func(s *some) any { return s.port }
	join := func(s *some) any { return s.join }
	f("", "", "", port, 11211, "")
	f("", "", "# nothing\n", port, 11211, "")
	f("", "", "---\nport: 1", port, 1, "m.yaml:2")
	f("", "M_PORT=2", "\nport: 1", port, 2, "$M_PORT")
	f("-p 3", "M_PORT=2", "port: 1", port, 3, "flag")
	f("-p 11211", "M_PORT=2", "port: 1", port, 11211, "flag") // what is said counts, even if it is the default
	f("", "M_PORT=tcp://10.0.0.1:11211", "", port, 11211, "")
	f("", "", "port: 0x10", port, 16, "m.yaml:1")
	f("", "", "join: c,d", join, []string{"c", "d"}, "m.yaml:1")
	f("", "", "join: [c, d]", join, []string{"c", "d"}, "m.yaml:1")
	f("", "", "join:\n  - c", join, []string{"c"}, "m.yaml:2")
	f("", "", "join: []", join, []string{}, "m.yaml:1")
	f("--join e", "M_JOIN=f", "join: [c, d]", join, []string{"e"}, "flag")
	f("", "M_JOIN=f,g", "join: [c, d]", join, []string{"f", "g"}, "$M_JOIN")
	f("", "", "peer-timeout: 300ms", func(s *some) any { return s.patience }, 300*time.Millisecond, "m.yaml:1")
	f("", "", "fast: true", func(s *some) any { return s.fast }, true, "m.yaml:1")
	f("", "", "factor: 2", func(s *some) any { return s.factor }, 2., "m.yaml:1")
	for _, text := range []string{"off", "007", "1.50", "true", "a b", "~x"} { // a text is what stands there, whatever YAML makes of it
		f("", "", "zone: "+text, func(s *some) any { return s.zone }, text, "m.yaml:1")
	}
	f("", "", "zone: &z east\npass-word: *z", func(s *some) any { return s.word }, "east", "m.yaml:1 m.yaml:1")

	// What is gathered has all of them, and those that win stand last.
	f("-o x=1 -o y", "M_EXTENDED=z=2", "extended: {on: true, a: 3}", func(s *some) any { return s.extended },
		[]string{"on", "a=3", "z=2", "x=1", "y"}, "m.yaml:1 m.yaml:1 $M_EXTENDED flag flag")
	f("", "", "extended:\n- a=1\n- b", func(s *some) any { return s.extended }, []string{"a=1", "b"}, "m.yaml:2 m.yaml:3")
	f("", "", "extended: a=1,b", func(s *some) any { return s.extended }, []string{"a=1,b"}, "m.yaml:1")
}

// All that is wrong is said, each with its place.
func TestFaultsOfFiles(t *testing.T) {
	f := func(file string, want ...string) {
		t.Helper()
		_, err := loaded("", "", file)
		if err == nil {
			t.Errorf("%q: no error, want %q", file, want)
		} else if got := strings.Split(err.Error(), "\n"); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", file, got, want)
		}
	}
	f("prot: 1", `m.yaml:1: unknown setting "prot": is it "port"?`)
	f("\npeer_timeout: 1s", `m.yaml:2: unknown setting "peer_timeout": is it "peer-timeout"?`)
	f("p: 1", `m.yaml:1: unknown setting "p": is it "port"?`)
	f("confi: 1", `m.yaml:1: unknown setting "confi"`) // that is not for files
	f("config: other.yaml", "m.yaml:1: config: not for files, only on the command line")
	f("quicksand: 1", `m.yaml:1: unknown setting "quicksand"`)
	f("port: 1\nzone: a\nport: 2", "m.yaml:3: port: is in line 1 already")
	f("port: many\nfast: 1\nfactor: x\npeer-timeout: 5\nzone: [a]\njoin: {a: b}\njoin2: 1",
		`m.yaml:1: port: want a whole number, not "many"`,
		`m.yaml:2: fast: want true or false, not "1"`,
		`m.yaml:3: factor: want a number, not "x"`,
		`m.yaml:4: peer-timeout: want a time such as 30s, 5m or 500ms, not "5"`,
		"m.yaml:5: zone: want a text",
		"m.yaml:6: join: want a list",
		`m.yaml:7: unknown setting "join2": is it "join"?`)
	f(`port: "1"`, `m.yaml:1: port: want a whole number, not "1"`)
	f("port: 99999999999999999999", `m.yaml:1: port: want a whole number, not "99999999999999999999"`)
	f("join:\nport: 1", "m.yaml:1: join: has no value: want a list, or no such line")
	f("join: [a, [b], ~]", "m.yaml:1: join: want a list of texts", "m.yaml:1: join: has no value: want a list, or no such line")
	f("extended: {a: [1]}", "m.yaml:1: extended: a: want one value")
	f("extended:\n  a: false\n  b: 1,c", "m.yaml:2: extended: a: want true, or no such line: words are switched off by their forms with no_",
		"m.yaml:3: extended: b: want a value without commas")
	f("pass-word: [hush]", "m.yaml:1: pass-word: want a text")
	f("- port: 1", "m.yaml:1: want settings, NAME: VALUE, one a line")
	f("? [a]\n: 1", "m.yaml:1: want a name")
	f("port: 1\n---\nport: 2", "m.yaml: more than one document (---)")

	// What is no YAML has the place of the parser.
	for _, file := range []string{"port: [1", "port: 1\n  zone: 2", "\tport: 1", "port: *nobody", "\x00"} {
		if _, err := loaded("", "", file); err == nil || !strings.HasPrefix(err.Error(), "m.yaml: ") {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestFaultsOfOthers(t *testing.T) {
	if _, err := loaded("", "M_PORT=x M_FAST=maybe", ""); err == nil || err.Error() != "$M_PORT: want a whole number, not \"x\"\n$M_FAST: want true or false, not \"maybe\"" {
		t.Errorf("environment: %v", err)
	}
	s := newSome()
	if err := s.load("M_CONFIG=other.yaml", ""); err == nil || !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "--config: ") {
		t.Errorf("no file: %v", err)
	}
}

// An error that names a flag is told with where the flag's value is from.
func TestBlame(t *testing.T) {
	s, err := loaded("--fast", "M_FACTOR=3", "\nport: 70000")
	if err != nil {
		t.Fatal(err)
	}
	err = s.Blame(errors.Join(errors.New("-p 70000: not a port"), errors.Join(errors.New("--factor: too much"), errors.New("--fast: too fast")), errors.New("--zone: none"), errors.New("all wrong")))
	want := "m.yaml:2: -p 70000: not a port\n$M_FACTOR: --factor: too much\n--fast: too fast\n--zone: none\nall wrong"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %v", err, want)
	}
	if err := s.Blame(nil); err != nil {
		t.Errorf("nothing is wrong: %v", err)
	}
}

// What is printed is a file that says the same.
func TestPrintIsAFile(t *testing.T) {
	s, err := loaded("-o x=1", "M_ZONE=a:#b", "port: 7\njoin: [c, \"d,e\", \"f: g\"]\npeer-timeout: 90s\nextended: {y: 2}\nfactor: 1.5")
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := s.Print(&printed); err != nil {
		t.Fatal(err)
	}
	again, err := loaded("", "", printed.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, &printed)
	}
	if changes := s.Changes(again.Set); len(changes) > 0 {
		t.Errorf("%+v\n%s", changes, &printed)
	}
	for _, want := range []string{"port: 7", "# m.yaml:1; live\n", "# $M_ZONE\n", "  - x=1", "# flag\n", "#fast: false", "# default\n"} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("no %q in\n%s", want, &printed)
		}
	}
	if strings.Contains(printed.String(), "config") {
		t.Error("what is not for files is printed")
	}
}

// The reference sets nothing as it stands, and with its comments taken away says what holds anyway.
func TestReference(t *testing.T) {
	var reference bytes.Buffer
	if err := newSome().Reference(&reference, "About this.\n", map[string]string{"all": "All of them:"}); err != nil {
		t.Fatal(err)
	}
	s, err := loaded("", "", reference.String())
	if err != nil || s.Changed("port") {
		t.Fatalf("%v\n%s", err, &reference)
	}
	var open strings.Builder
	for line := range strings.Lines(reference.String()) {
		if setting, is := strings.CutPrefix(line, "#"); is && !strings.HasPrefix(setting, " ") {
			open.WriteString(setting)
		}
	}
	defaults := newSome()
	s, err = loaded("", "", open.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, &reference)
	}
	for _, c := range defaults.Changes(s.Set) {
		if c.Name != "config" {
			t.Errorf("%+v", c)
		}
	}
	if s.Source("port", 0).Kind != File {
		t.Errorf("port is not in\n%s", &reference)
	}
}

// Nowhere does a secret show.
func TestSecrets(t *testing.T) {
	s, err := loaded("", "", "pass-word: hush")
	if err != nil {
		t.Fatal(err)
	}
	other, err := loaded("", "", "pass-word: silence")
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := errors.Join(s.Print(&shown), json.NewEncoder(&shown).Encode(s.Values())); err != nil {
		t.Fatal(err)
	}
	changes := s.Changes(other.Set)
	if len(changes) != 1 || strings.Contains(changes[0].From+changes[0].To, "hush") || strings.Contains(changes[0].From+changes[0].To, "silence") {
		t.Errorf("%+v", changes)
	}
	if strings.Contains(shown.String(), "hush") || strings.Count(shown.String(), masked) != 2 {
		t.Errorf("shown: %s", &shown)
	}
	if other.word != "silence" {
		t.Errorf("the program itself knows %q", other.word)
	}
}

func TestJSON(t *testing.T) {
	s, err := loaded("--fast", "", "port: 7\njoin: []")
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	var values []Value
	if err := errors.Join(json.NewEncoder(&printed).Encode(s.Values()), json.Unmarshal(printed.Bytes(), &values)); err != nil {
		t.Fatal(err)
	}
	got := map[string]Value{}
	for _, v := range values {
		got[v.Name] = v
	}
	for name, want := range map[string]Value{
		"port":         {"port", 7., 11211., []Source{{File, "m.yaml", 1}}, true, false},
		"fast":         {"fast", true, false, []Source{{Kind: CommandLine}}, false, false},
		"join":         {"join", []any{}, []any{"a", "b"}, []Source{{File, "m.yaml", 2}}, false, false},
		"peer-timeout": {"peer-timeout", "1s", "1s", []Source{{Kind: Default}}, false, false},
	} {
		if !reflect.DeepEqual(got[name], want) {
			t.Errorf("%s: got %+v, want %+v", name, got[name], want)
		}
	}
}

// A Set of the same command line and a file that has changed tells what differs, and one takes over what it wants.
func TestChanges(t *testing.T) {
	s, err := loaded("--zone east -o x=1", "M_FACTOR=3", "port: 1\nfast: true\nextended: {y: 1}")
	if err != nil {
		t.Fatal(err)
	}
	next := newSome()
	s.Copy(next.Set)
	if err := next.load("M_FACTOR=3", "port: 2\nzone: west\nfactor: 4\nextended: {y: 2}"); err != nil {
		t.Fatal(err)
	}
	want := []Change{{"port", true, "1", "2"}, {"fast", false, "true", "false"}, {"extended", false, "[y=1, x=1]", "[y=2, x=1]"}}
	if got := s.Changes(next.Set); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.Take(next.Set, "port")
	if got := s.Changes(next.Set); len(got) != 2 || s.port != 2 {
		t.Errorf("after it was taken over: %+v, port %d", got, s.port)
	}
}

func FuzzFile(f *testing.F) {
	for _, file := range []string{"port: 1", "join: [a, b]\nextended: {a: 1}", "? [a]\n: *b", "a: &a [*a]", "- x", "---\n---", "<<: {port: 1}"} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		s, err := loaded("", "", file)
		if err != nil {
			return
		}
		var printed bytes.Buffer
		if err := s.Print(&printed); err != nil {
			t.Fatal(err)
		}
		if s.Changed("pass-word") {
			return // which is not printed
		}
		again, err := loaded("", "", printed.String())
		if err != nil {
			t.Fatalf("%q is printed as %q: %v", file, &printed, err)
		}
		if changes := s.Changes(again.Set); len(changes) > 0 {
			t.Errorf("%q is printed as %q: %+v", file, &printed, changes)
		}
	})
}
