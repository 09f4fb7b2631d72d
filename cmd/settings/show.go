package settings

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"
)

// masked stands for the value of a secret.
const masked = "(secret)"

// A Value is a setting as Values tells of it, and as JSON has it.
type Value struct {
	Name    string   `json:"name"`
	Value   any      `json:"value"` // a number, a truth value, a text or a list of texts; times are texts
	Default any      `json:"default"`
	From    []Source `json:"from"` // one; of what is gathered, one for each element
	Live    bool     `json:"live"` // it may change while the program runs
	Secret  bool     `json:"secret"`
}

// Values gives all settings that a file may have, as they are now.
func (s *Set) Values() (all []Value) {
	s.each(func(f *pflag.Flag) {
		if has(f, Apart) {
			return
		}
		v := Value{Name: f.Name, Value: native(f, values(f)), Default: native(f, defaults(f)), From: s.sources[f.Name], Live: has(f, Live), Secret: has(f, Secret)}
		if len(v.From) == 0 {
			v.From = []Source{{Kind: Default}}
		}
		if v.Secret && f.Changed {
			v.Value = masked
		}
		all = append(all, v)
	})
	return all
}

// native gives a flag's values as JSON and YAML have them.
func native(f *pflag.Flag, texts []string) any {
	if _, list := f.Value.(pflag.SliceValue); list {
		if texts == nil {
			return []string{}
		}
		return texts
	}
	switch f.Value.Type() {
	case "bool":
		return texts[0] == "true"
	case "int", "uint8", "count":
		n, _ := strconv.ParseInt(texts[0], 0, 64)
		return n
	case "float64":
		n, _ := strconv.ParseFloat(texts[0], 64)
		return n
	default:
		return texts[0]
	}
}

// defaults gives what a flag has when nobody says anything. (pflag keeps it as a text: of a list, with brackets.)
func defaults(f *pflag.Flag) []string {
	if _, list := f.Value.(pflag.SliceValue); list {
		inner := strings.Trim(f.DefValue, "[]")
		if inner == "" {
			return nil
		}
		return strings.Split(inner, ",")
	}
	return []string{f.DefValue}
}

// Print writes all settings as a file of them, and behind each where it is from and whether it may change while the program runs. Defaults are comments: what
// is printed says as a file what these settings say, no more.
func (s *Set) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range s.Values() {
		live := ""
		if v.Live {
			live = "; live"
		}
		if list, is := v.Value.([]string); is && len(v.From) == len(list) && len(list) > 1 {
			fmt.Fprintf(table, "%s:\n", v.Name)
			for i, e := range list {
				fmt.Fprintf(table, "  - %s\t# %v%s\n", inline(e), v.From[i], live)
			}
			continue
		}
		mark := ""
		if v.From[0].Kind == Default {
			mark = "#"
		}
		fmt.Fprintf(table, "%s%s: %s\t# %v%s\n", mark, v.Name, inline(v.Value), v.From[0], live)
	}
	return table.Flush()
}

// inline gives a value as it stands in a line of a file.
func inline(value any) string {
	if list, is := value.([]string); is {
		texts := make([]string, len(list))
		for i, e := range list {
			texts[i] = quoteFlow(inline(e))
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	text, err := yaml.Marshal(value)
	if err != nil {
		panic(err) // of a number, a truth value or a text
	}
	return strings.TrimSuffix(string(text), "\n")
}

// quoteFlow quotes a text that within a list's brackets would be more than one.
func quoteFlow(text string) string {
	if strings.ContainsAny(text, ",[]{}") && !strings.HasPrefix(text, `"`) && !strings.HasPrefix(text, "'") {
		return strconv.Quote(text)
	}
	return text
}

// Reference writes a file with every setting, none of them set: what it is, its flag, and its default. about stands at its head, and headings over the groups, by their
// names.
func (s *Set) Reference(w io.Writer, about string, headings map[string]string) error {
	var text strings.Builder
	text.WriteString(comment(about))
	for _, g := range s.groups {
		first := true
		g.VisitAll(func(f *pflag.Flag) {
			if has(f, Apart) {
				return
			}
			if first {
				fmt.Fprintf(&text, "\n%s", comment(headings[g.Name()]))
			}
			first = false
			_, usage := pflag.UnquoteUsage(f)
			if f.Shorthand != "" {
				usage += " (-" + f.Shorthand + ")"
			}
			if has(f, Live) {
				usage += "; may change while it runs"
			}
			fmt.Fprintf(&text, "\n%s#%s: %s\n", comment(usage), f.Name, inline(native(f, defaults(f))))
		})
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// commentColumns is the width that comments are wrapped to.
const commentColumns = 110

// comment makes lines of a comment of a text.
func comment(text string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		width := 0
		for _, word := range strings.Fields(line) {
			if width > 0 && width+len(word) > commentColumns {
				lines.WriteString("\n")
				width = 0
			}
			if width == 0 {
				lines.WriteString("#")
			}
			lines.WriteString(" " + word)
			width += len(word) + 1
		}
		lines.WriteString("\n")
	}
	return lines.String()
}
