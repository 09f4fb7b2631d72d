package transcript

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Load reads the conversations of the files *.txt of fsys, in the order of their names. Titles must differ: a failure is found by its title.
func Load(fsys fs.FS) (all []Conversation, err error) {
	files, err := fs.Glob(fsys, "*.txt")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no conversations: no file *.txt")
	}
	seen := map[string]string{}
	for _, file := range files {
		source, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, err
		}
		more, err := parse(path.Base(file), string(source))
		if err != nil {
			return nil, err
		}
		for _, c := range more {
			if at, twice := seen[c.Name]; twice {
				return nil, fmt.Errorf("%s: %q is already the title at %s", c.At, c.Name, at)
			}
			seen[c.Name] = c.At
		}
		all = append(all, more...)
	}
	return all, nil
}

var (
	saidLine    = regexp.MustCompile(`^([1-9]?)(>>?|=>)(?: (.*))?$`)
	heardLine   = regexp.MustCompile(`^([1-9]?)(<<?|<=)(?: (.*))?$`)
	hangupLine  = regexp.MustCompile(`^(?:([1-9]) )?(hangup)$`)
	differsLine = regexp.MustCompile(`^@([\w.]+)(?:: (.+)|( ?[1-9]?(?:<.*|hangup)))$`)
	aboutLine   = regexp.MustCompile(`^@([\w.]+) (skip|uncut): (.+)$`)
)

// parse reads a file of conversations.
func parse(file, source string) (all []Conversation, err error) {
	r := reader{all: all}
	for i, l := range strings.Split(source, "\n") {
		r.at = fmt.Sprintf("%s:%d", file, i+1)
		if err := r.line(l); err != nil {
			return nil, fmt.Errorf("%s: %w", r.at, err)
		}
	}
	for _, c := range r.all {
		for _, s := range c.steps {
			for version, other := range s.instead {
				if other.reason == "" {
					return nil, fmt.Errorf("%s: %s: %s differs without a reason", c.At, c.Name, version)
				}
			}
		}
	}
	return r.all, nil
}

// A reader is at one line of a file.
type reader struct {
	at  string
	all []Conversation
}

func (r *reader) line(l string) error {
	if l == "" || l[0] == '#' {
		return nil
	}
	if name, begins := strings.CutPrefix(l, "== "); begins {
		r.all = append(r.all, Conversation{Name: name, At: r.at, skip: map[string]string{}, uncut: map[string]string{}})
		return nil
	}
	if len(r.all) == 0 {
		return fmt.Errorf("%q stands before any title", l)
	}
	c := &r.all[len(r.all)-1]
	if m := aboutLine.FindStringSubmatch(l); m != nil {
		if m[2] == "skip" {
			c.skip[m[1]] = m[3]
		} else {
			c.uncut[m[1]] = m[3]
		}
		return nil
	}
	if m := saidLine.FindStringSubmatch(l); m != nil {
		return c.say(m)
	}
	if len(c.steps) == 0 {
		return fmt.Errorf("%q is heard before anything was said", l)
	}
	s := &c.steps[len(c.steps)-1]
	if m := differsLine.FindStringSubmatch(l); m != nil {
		return s.differ(m[1], m[2], m[3], r.at)
	}
	w, err := parseWant(l, r.at)
	if err != nil {
		return err
	}
	s.wants = append(s.wants, w)
	return nil
}

// say adds what a line says: to the step, or as the next one if the step has been answered.
func (c *Conversation) say(m []string) error {
	said, err := parseSend(m)
	if err != nil {
		return err
	}
	n := len(c.steps)
	if n == 0 || len(c.steps[n-1].wants) > 0 || len(c.steps[n-1].instead) > 0 {
		c.steps = append(c.steps, step{instead: map[string]instead{}})
		n++
	}
	s := &c.steps[n-1]
	s.sends = append(s.sends, said)
	return nil
}

// parseSend reads a line of what is said.
func parseSend(m []string) (s send, err error) {
	s.on = number(m[1])
	if m[2] == "=>" {
		s.packet, err = parsePacket(requestMagic, m[3])
		return s, err
	}
	s.text, err = parseText(m[3])
	if m[2] == ">" {
		s.text = s.text.line()
	}
	return s, err
}

// differ adds the reason why version differs, or a line of how.
func (s *step) differ(version, reason, heard, at string) error {
	other := s.instead[version]
	if reason != "" {
		other.reason = reason
	} else {
		w, err := parseWant(strings.TrimPrefix(heard, " "), at)
		if err != nil {
			return err
		}
		other.wants = append(other.wants, w)
	}
	s.instead[version] = other
	return nil
}

// parseWant reads a line of what is heard.
func parseWant(l, at string) (w want, err error) {
	if m := hangupLine.FindStringSubmatch(l); m != nil {
		return want{on: number(m[1]), at: at, hangup: true}, nil
	}
	m := heardLine.FindStringSubmatch(l)
	if m == nil {
		return want{}, fmt.Errorf("%q is nothing said or heard", l)
	}
	w = want{on: number(m[1]), at: at}
	if m[2] == "<=" {
		w.packet, err = parsePacket(answerMagic, m[3])
		return w, err
	}
	w.text, err = parseText(m[3])
	if m[2] == "<" {
		w.text = w.text.line()
	}
	return w, err
}

// number gives the connection, the first if none is named.
func number(digit string) int {
	if digit == "" {
		return 1
	}
	n, _ := strconv.Atoi(digit) // one digit
	return n
}
