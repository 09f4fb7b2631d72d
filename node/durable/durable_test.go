package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRename(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	written := func(text string) *os.File {
		t.Helper()
		file, err := os.CreateTemp(dir, "partial-*")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, text := range []string{"first", "second"} { // the second replaces the first
		file := written(text)
		if err := Rename(file, path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("it holds %q, %v; want %q", got, err, text)
		}
		if file.Close() == nil {
			t.Error("the file was left open")
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v: want one name", left, err)
	}

	if err := Rename(written("third"), filepath.Join(path, "below a file")); err == nil {
		t.Error("a name below a file is given")
	}
	closed := written("fourth")
	closed.Close()
	if err := Rename(closed, path); err == nil {
		t.Error("a file that cannot be put on the disk is given its name")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "second" {
		t.Errorf("after errors it holds %q, %v", got, err)
	}
}
