// Package settings gathers a program's settings from its command line, its environment and a file, and tells where each value is from.
//
//	defaults < file (YAML) < environment (PREFIX_NAME) < command line
//
// Each setting is described once, as a flag (pflag): its name is the key in the file and, in capitals, that of the variable; its type, its default and its usage are
// those of all three, of what Print and Reference write, and of the help.
package settings

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// A Mark says something of a setting that a flag does not.
type Mark string

// The marks.
const (
	Live     Mark = "live"     // what it says may change while the program runs
	Secret   Mark = "secret"   // its value is not shown
	Gathered Mark = "gathered" // a list that file, environment and command line add to, in this order; in a file it may be a mapping, too: NAME: VALUE for NAME=VALUE
	Apart    Mark = "apart"    // not for files
)

// Give marks a flag of a set that has it.
func Give(flags *pflag.FlagSet, name string, marks ...Mark) {
	for _, m := range marks {
		if err := flags.SetAnnotation(name, string(m), nil); err != nil {
			panic(err)
		}
	}
}

func has(f *pflag.Flag, m Mark) bool {
	_, marked := f.Annotations[string(m)]
	return marked
}

// A Kind is a sort of source.
type Kind string

// The kinds, each before those that it gives way to.
const (
	CommandLine Kind = "flag"
	Environment Kind = "environment"
	File        Kind = "file"
	Default     Kind = "default"
)

// A Source is where a value is from.
type Source struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name,omitempty"` // of the variable, or the path of the file
	Line int    `json:"line,omitempty"` // in the file
}

// String gives the source as errors begin with it: "memring.yaml:7", "$MEMRING_COPIES".
func (s Source) String() string {
	switch s.Kind {
	case File:
		return fmt.Sprintf("%s:%d", s.Name, s.Line)
	case Environment:
		return "$" + s.Name
	default:
		return string(s.Kind)
	}
}

// A Set is all settings of a program, in groups.
type Set struct {
	groups  []*pflag.FlagSet
	sources map[string][]Source // by name: where the value is from; of what is gathered, each of its elements
	given   map[string][]string // by name: what the command line has set
}

// New makes a Set of the flags of some groups, each of which has a name. They share no flag.
func New(groups ...*pflag.FlagSet) *Set {
	return &Set{groups: groups, sources: map[string][]Source{}, given: map[string][]string{}}
}

// each calls f with every flag, in the order of the groups.
func (s *Set) each(f func(*pflag.Flag)) {
	for _, g := range s.groups {
		g.VisitAll(f)
	}
}

// AddTo adds all settings to the flags of a command.
func (s *Set) AddTo(flags *pflag.FlagSet) {
	for _, g := range s.groups {
		flags.AddFlagSet(g)
	}
}

// Group gives the flags of a group; nil if there is none of the name.
func (s *Set) Group(name string) *pflag.FlagSet {
	for _, g := range s.groups {
		if g.Name() == name {
			return g
		}
	}
	return nil
}

// Lookup gives a setting's flag; nil if there is none.
func (s *Set) Lookup(name string) *pflag.Flag {
	for _, g := range s.groups {
		if f := g.Lookup(name); f != nil {
			return f
		}
	}
	return nil
}

// Changed reports whether any source says something of a setting.
func (s *Set) Changed(name string) bool {
	f := s.Lookup(name)
	return f != nil && f.Changed
}

// Source tells where a setting's value is from; of one that is gathered, its i-th element.
func (s *Set) Source(name string, i int) Source {
	if from := s.sources[name]; i < len(from) {
		return from[i]
	}
	return Source{Kind: Default}
}

// Copy sets what the command line has set in s, which was loaded, in another Set of the same flags.
func (s *Set) Copy(to *Set) {
	for name, texts := range s.given {
		put(to.Lookup(name), texts)
	}
}

// Load adds to what the command line has set what environment and file say. getenv reads a variable; prefix begins their names, as in PREFIX_PEER_PORT. file reads
// the file that the setting of the name "config" names, if there is one. The error has all that is wrong, each with its place.
func (s *Set) Load(prefix string, getenv func(string) string, file func(path string) ([]byte, error)) error {
	var errs []error
	gathered := map[string]string{} // what the environment says of settings that all sources add to
	s.each(func(f *pflag.Flag) {
		if f.Changed {
			s.given[f.Name] = values(f)
			s.sources[f.Name] = []Source{{Kind: CommandLine}}
		}
		value := variable(f, prefix, getenv)
		switch {
		case value == "":
		case has(f, Gathered):
			gathered[f.Name] = value
		case !f.Changed:
			source := Source{Kind: Environment, Name: VariableOf(prefix, f.Name)}
			if err := set(f, value); err != nil {
				errs = append(errs, fmt.Errorf("%v: %w", source, err))
			}
			s.sources[f.Name] = []Source{source}
		}
	})
	fromFile := &reader{set: s, gathered: map[string][]element{}}
	if f := s.Lookup("config"); f != nil && f.Value.String() != "" {
		fromFile.path = f.Value.String()
		if content, err := file(fromFile.path); err != nil {
			errs = append(errs, fmt.Errorf("--config: %w", err))
		} else {
			errs = append(errs, fromFile.read(content)...)
		}
	}
	s.each(func(f *pflag.Flag) {
		if has(f, Gathered) {
			s.gather(f, fromFile.gathered[f.Name], gathered[f.Name], VariableOf(prefix, f.Name))
		}
	})
	return errors.Join(errs...)
}

// gather puts the elements of a list in their order: those of the file, of the environment, of the command line.
func (s *Set) gather(f *pflag.Flag, file []element, environment, name string) {
	var all []string
	var from []Source
	add := func(value string, source Source) { all, from = append(all, value), append(from, source) }
	for _, e := range file {
		add(e.value, e.source)
	}
	if environment != "" {
		add(environment, Source{Kind: Environment, Name: name})
	}
	for _, value := range s.given[f.Name] {
		add(value, Source{Kind: CommandLine})
	}
	if len(all) > 0 {
		put(f, all)
		s.sources[f.Name] = from
	}
}

// VariableOf gives the name of a setting's variable.
func VariableOf(prefix, name string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// variable gives what the environment says of a setting.
func variable(f *pflag.Flag, prefix string, getenv func(string) string) string {
	value := getenv(VariableOf(prefix, f.Name))
	if f.Value.Type() == "int" && strings.Contains(value, "://") {
		return "" // Kubernetes describes a Service to every container: that of MEMRING_PORT, tcp://10.0.0.1:11211, has the name memring
	}
	return value
}

// Variables sets those of some flags that were not given from the environment: for commands that have no file.
func Variables(flags *pflag.FlagSet, prefix string, getenv func(string) string) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if value := variable(f, prefix, getenv); value != "" && !f.Changed && f.Name != "help" {
			if err := set(f, value); err != nil {
				errs = append(errs, fmt.Errorf("$%s: %w", VariableOf(prefix, f.Name), err))
			}
		}
	})
	return errors.Join(errs...)
}

// set sets a flag from one text, as the command line does. Its error says what was wanted.
func set(f *pflag.Flag, value string) error {
	switch err := f.Value.Set(value); {
	case err == nil:
		f.Changed = true
		return nil
	case has(f, Secret):
		return fmt.Errorf("want %s", wanted(f))
	case wanted(f) == text: // of a type of its own, which knows what it wants
		return err
	default:
		return fmt.Errorf("want %s, not %q", wanted(f), value)
	}
}

// put sets a flag to values that it has had, or as many as a list has.
func put(f *pflag.Flag, to []string) {
	f.Changed = true
	if list, is := f.Value.(pflag.SliceValue); is {
		_ = list.Replace(to) // of texts: it cannot fail
	} else {
		_ = f.Value.Set(to[0])
	}
}

// values gives what a flag has: one value, or as many as the list has.
func values(f *pflag.Flag) []string {
	if list, is := f.Value.(pflag.SliceValue); is {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

// text is what is wanted where any text may stand.
const text = "a text"

// wanted says what a setting's value must look like.
func wanted(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "int", "uint8", "count":
		return "a whole number"
	case "float64":
		return "a number"
	case "duration":
		return "a time such as 30s, 5m or 500ms"
	case "stringSlice", "stringArray":
		return "a list"
	default:
		return text
	}
}

// Blame puts before each error that begins with a flag, as "-c 0: ..." does, where that flag's value is from, unless it is the command line.
func (s *Set) Blame(err error) error {
	var errs []error
	for _, e := range parts(err) {
		word := strings.TrimSuffix(strings.SplitN(e.Error(), " ", 2)[0], ":")
		if f := s.flagOf(word); f != nil && !has(f, Gathered) {
			if source := s.Source(f.Name, 0); source.Kind == File || source.Kind == Environment {
				e = fmt.Errorf("%v: %w", source, e)
			}
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// flagOf finds a flag as an error names it: "--name" or "-n".
func (s *Set) flagOf(word string) (found *pflag.Flag) {
	if name, long := strings.CutPrefix(word, "--"); long {
		return s.Lookup(name)
	}
	s.each(func(f *pflag.Flag) {
		if f.Shorthand != "" && word == "-"+f.Shorthand {
			found = f
		}
	})
	return found
}

// parts takes what errors.Join has joined apart again.
func parts(err error) []error {
	joined, is := err.(interface{ Unwrap() []error })
	if !is {
		if err == nil {
			return nil
		}
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}
