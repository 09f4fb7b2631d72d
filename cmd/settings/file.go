package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"
)

// A reader reads a file into a Set.
type reader struct {
	set      *Set
	path     string
	gathered map[string][]element // of settings that other sources add to
	errs     []error
}

// An element of a list, with its place.
type element struct {
	value  string
	source Source
}

// read takes in a file: a mapping of names to values. What the environment or the command line has set stays.
func (r *reader) read(content []byte) []error {
	var document, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil // nothing but comments
	case err != nil:
		return []error{fmt.Errorf("%s: %s", r.path, strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return []error{fmt.Errorf("%s: more than one document (---)", r.path)}
	}
	top := document.Content[0]
	switch {
	case top.Kind == yaml.ScalarNode && top.Tag == "!!null":
		return nil
	case top.Kind != yaml.MappingNode:
		r.refuse(top, "want settings, NAME: VALUE, one a line")
		return r.errs
	}
	seen := map[string]int{}
	r.pairs(top, func(key, value *yaml.Node) {
		if first, twice := seen[key.Value]; twice {
			r.refuse(key, "%s: is in line %d already", key.Value, first)
			return
		}
		seen[key.Value] = key.Line
		f := r.set.Lookup(key.Value)
		switch {
		case f == nil:
			r.refuse(key, "unknown setting %q%s", key.Value, r.set.meant(key.Value))
		case has(f, Apart):
			r.refuse(key, "%s: not for files, only on the command line", key.Value)
		default:
			r.take(f, value)
		}
	})
	return r.errs
}

// pairs calls f with the keys and values of a mapping.
func (r *reader) pairs(mapping *yaml.Node, f func(key, value *yaml.Node)) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if key.Kind != yaml.ScalarNode {
			r.refuse(key, "want a name")
			continue
		}
		f(key, value)
	}
}

func (r *reader) refuse(at *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %w", r.path, at.Line, fmt.Errorf(format, args...)))
}

// take sets a flag to what the file says, unless a source before it has set it.
func (r *reader) take(f *pflag.Flag, value *yaml.Node) {
	elements, ok := r.elements(f, value)
	if !ok {
		return
	}
	if has(f, Gathered) {
		r.gathered[f.Name] = elements
		return
	}
	if f.Changed {
		return
	}
	source := Source{Kind: File, Name: r.path, Line: value.Line}
	if _, list := f.Value.(pflag.SliceValue); list && value.Kind == yaml.SequenceNode {
		texts := make([]string, len(elements))
		for i, e := range elements {
			texts[i] = e.value
		}
		put(f, texts)
	} else if err := set(f, value.Value); err != nil {
		r.refuse(value, "%s: %w", f.Name, err)
		return
	}
	r.set.sources[f.Name] = []Source{source}
}

// elements gives the one value, or those of a list; false if they are not what the setting wants.
func (r *reader) elements(f *pflag.Flag, value *yaml.Node) (all []element, ok bool) {
	_, list := f.Value.(pflag.SliceValue)
	add := func(text string, at *yaml.Node) {
		all = append(all, element{text, Source{Kind: File, Name: r.path, Line: at.Line}})
	}
	before := len(r.errs)
	switch {
	case value.Kind == yaml.ScalarNode:
		if r.scalar(f, f.Name, value) {
			add(value.Value, value)
		}
	case value.Kind == yaml.SequenceNode && list:
		for _, e := range value.Content {
			if e.Kind == yaml.AliasNode {
				e = e.Alias
			}
			if e.Kind != yaml.ScalarNode {
				r.refuse(e, "%s: want a list of texts", f.Name)
			} else if r.scalar(f, f.Name, e) {
				add(e.Value, e)
			}
		}
	case value.Kind == yaml.MappingNode && has(f, Gathered):
		r.pairs(value, func(word, v *yaml.Node) {
			switch name := f.Name + ": " + word.Value; {
			case v.Kind != yaml.ScalarNode:
				r.refuse(v, "%s: want one value", name)
			case !r.scalar(f, name, v):
			case v.Tag == "!!bool" && v.Value == "true":
				add(word.Value, word)
			case v.Tag == "!!bool":
				r.refuse(v, "%s: want true, or no such line: words are switched off by their forms with no_", name)
			case strings.Contains(v.Value, ","):
				r.refuse(v, "%s: want a value without commas", name)
			default:
				add(word.Value+"="+v.Value, word)
			}
		})
	default:
		r.refuse(value, "%s: want %s", f.Name, wanted(f))
	}
	return all, len(r.errs) == before
}

// scalar reports whether one value is of the kind that the setting wants, as YAML sees it: "5" is no number, and 5 is a text as well.
func (r *reader) scalar(f *pflag.Flag, name string, value *yaml.Node) bool {
	good := true
	switch tag := value.ShortTag(); f.Value.Type() {
	case "bool":
		good = tag == "!!bool"
	case "int", "uint8", "count":
		good = tag == "!!int"
	case "float64":
		good = tag == "!!int" || tag == "!!float"
	}
	switch {
	case value.ShortTag() == "!!null":
		r.refuse(value, "%s: has no value: want %s, or no such line", name, wanted(f))
		return false
	case !good && has(f, Secret):
		r.refuse(value, "%s: want %s", name, wanted(f))
	case !good:
		r.refuse(value, "%s: want %s, not %q", name, wanted(f), value.Value)
	}
	return good
}

// meant gives the setting that was perhaps meant, as the end of an error; "" if none is near.
func (s *Set) meant(name string) string {
	if f := s.flagOf("-" + name); f != nil {
		return fmt.Sprintf(": is it %q?", f.Name)
	}
	var names []string
	s.each(func(f *pflag.Flag) {
		if !has(f, Apart) {
			names = append(names, f.Name)
		}
	})
	if near := Nearest(name, names); near != "" {
		return fmt.Sprintf(": is it %q?", near)
	}
	return ""
}

// Nearest gives the name that takes the fewest changes of a letter to become what was written; "" if none takes fewer than a third of its letters, or three.
func Nearest(written string, names []string) (nearest string) {
	written = strings.ToLower(strings.ReplaceAll(written, "_", "-"))
	least := max(3, len(written)/3+1)
	for _, name := range names {
		if d := distance(written, strings.ToLower(strings.ReplaceAll(name, "_", "-"))); d < least {
			nearest, least = name, d
		}
	}
	return nearest
}

// distance is that of Levenshtein: how many letters are to be put in, left out or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
