package stamp_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/memring/memring/cmd/stamp"
)

// Whatever happens to a file or to the links that lead to it makes another stamp, and reading it does not.
func TestStampsDiffer(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, text string) { t.Helper(); do(os.WriteFile(path, []byte(text), 0o600)) }
	write(path, "text")
	do(os.Symlink(path, link))
	of := func() stamp.Stamp {
		t.Helper()
		s, err := stamp.Of(link)
		do(err)
		return s
	}
	before := of()
	f := func(what string, differs bool) {
		t.Helper()
		now := of()
		if (now != before) != differs {
			t.Errorf("%s: differs %v", what, !differs)
		}
		before = now
	}
	_, err := os.ReadFile(path)
	do(err)
	f("reading", false)
	write(path, "longer")
	f("another size", true)
	do(os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)))
	f("another time", true)
	do(os.Chmod(path, 0o640))
	f("another mode", true)
	if before.Exposed() {
		t.Error("the group are all others")
	}
	do(os.Chmod(path, 0o604))
	f("another mode", true)
	if !before.Exposed() {
		t.Error("others may read it")
	}
	if os.Geteuid() == 0 {
		do(os.Chown(path, 65534, -1))
		f("another owner", true)
	}
	write(path+".new", "longer")
	do(os.Chmod(path+".new", 0o604))
	do(os.Chtimes(path+".new", time.Time{}, time.Unix(1e9, 0)))
	do(os.Rename(path+".new", path))
	f("another file", true)
	write(filepath.Join(dir, "other"), "longer")
	do(os.Remove(link))
	do(os.Symlink(filepath.Join(dir, "other"), link))
	f("another link", true)
	do(os.Remove(link))
	if s, err := stamp.Of(link); err == nil || s != (stamp.Stamp{}) {
		t.Errorf("%v, %v of no file", s, err)
	}
}
