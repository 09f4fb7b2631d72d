package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A table is what a comparison has found, one row for each case.
type table struct {
	title   string
	columns []string
	rows    [][]string
}

// markdown gives the table as text that reads well unrendered too.
func (t *table) markdown() string {
	widths := make([]int, len(t.columns))
	for _, row := range slices.Concat([][]string{t.columns}, t.rows) {
		for i, word := range row {
			widths[i] = max(widths[i], len([]rune(word)))
		}
	}
	var text strings.Builder
	line := func(row []string) {
		for i, word := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(word)))
			if i == 0 {
				text.WriteString("| " + word + pad + " |")
			} else {
				text.WriteString(" " + pad + word + " |")
			}
		}
		text.WriteByte('\n')
	}
	line(t.columns)
	for i, width := range widths {
		switch i {
		case 0:
			text.WriteString("|" + strings.Repeat("-", width+2) + "|")
		default:
			text.WriteString(strings.Repeat("-", width+1) + ":|")
		}
	}
	text.WriteByte('\n')
	for _, row := range t.rows {
		line(row)
	}
	return text.String()
}

// write leaves name.csv, and name.md with the words before and after the table, in the directory.
func (t *table) write(directory, name, before, after string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	text := "# " + t.title + "\n\n" + before + "\n\n" + t.markdown() + "\n" + after
	if err := writeCSV(filepath.Join(directory, name+".csv"), slices.Concat([][]string{t.columns}, t.rows)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, name+".md"), []byte(strings.TrimRight(text, "\n")+"\n"), 0o644)
}

func writeCSV(path string, rows [][]string) error {
	var text strings.Builder
	if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

// partial is what results begin with that are not whole: err is what ended the run, if anything.
func partial(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return ""
	case ctx.Err() != nil:
		return "**Interrupted: some of it is missing.** "
	}
	return "**Ended by an error, some of it is missing: " + err.Error() + ".** "
}

// circumstances says how the figures were got: a number is worth as much as that.
func (b *bench) circumstances() string {
	how := "asked one at a time, each with its defaults but for what is told here, and memring without its port for operators"
	if len(b.versions) == 1 {
		how = "with its defaults but for what is told here"
	}
	return fmt.Sprintf("Made on %s by\n\n    %s\n\n%s, %s; %s.",
		time.Now().UTC().Format("2 January 2006, 15:04 UTC"), b.command, strings.Join(b.versions, " and "), how, machine())
}

// machine names the processor, the system and how busy it was.
func machine() string {
	cpu := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel, _ := exec.Command("uname", "-sr").Output()
	load, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("%d processors (%s), %s, load average %s at the end", runtime.NumCPU(), cpu, strings.TrimSpace(string(kernel)), first)
}

func megabytes(bytes uint64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }
