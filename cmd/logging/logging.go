// Package logging makes the log of a process: text or JSON, at a level that may change, and no storms.
package logging

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/memring/memring/cmd/output"
)

// A Format is how the log is written.
type Format uint8

// The formats.
const (
	Auto Format = iota // Text on a terminal, else JSON
	Text
	JSON
)

// ParseFormat reads the name of a format.
func ParseFormat(name string) (Format, error) {
	switch name {
	case "auto":
		return Auto, nil
	case "text":
		return Text, nil
	case "json":
		return JSON, nil
	}
	return Auto, fmt.Errorf("auto, text or json, not %q", name)
}

// ParseLevel reads the name of a level.
func ParseLevel(name string) (slog.Level, error) {
	switch name {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return slog.LevelInfo, fmt.Errorf("debug, info, warn or error, not %q", name)
}

// New makes a log that is written to a writer, from a level on. Of one message it writes a bounded number in a while (see calm).
func New(to io.Writer, format Format, level *slog.LevelVar) *slog.Logger {
	if format == Auto && output.IsTerminal(to) {
		format = Text
	}
	options := &slog.HandlerOptions{Level: level}
	if format == Text {
		return slog.New(newCalm(slog.NewTextHandler(to, options)))
	}
	options.ReplaceAttr = readable
	return slog.New(newCalm(slog.NewJSONHandler(to, options)))
}

// readable has JSON say what text says: times with their units, and names instead of numbers.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		if named, is := a.Value.Any().(fmt.Stringer); is {
			a.Value = slog.StringValue(named.String())
		}
	}
	return a
}
