package settings

import (
	"reflect"

	"github.com/spf13/pflag"
)

// A Change is a setting that differs between two Sets.
type Change struct {
	Name string
	Live bool   // it may change while the program runs
	From string // its value in the first Set; of a secret, that it is one
	To   string // and in the second
}

// Changes gives what differs in another Set of the same flags.
func (s *Set) Changes(next *Set) (all []Change) {
	s.each(func(f *pflag.Flag) {
		before, after := values(f), values(next.Lookup(f.Name))
		if reflect.DeepEqual(before, after) {
			return
		}
		change := Change{Name: f.Name, Live: has(f, Live), From: inline(native(f, before)), To: inline(native(f, after))}
		if has(f, Secret) {
			change.From, change.To = masked, masked
		}
		all = append(all, change)
	})
	return all
}

// Take takes a setting over from another Set of the same flags.
func (s *Set) Take(from *Set, name string) {
	put(s.Lookup(name), values(from.Lookup(name)))
	s.sources[name] = from.sources[name]
}
