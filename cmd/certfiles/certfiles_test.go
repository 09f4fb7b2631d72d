package certfiles

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/certstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A logbook keeps what is logged; many may write and read.
type logbook struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadBounded(t *testing.T) {
	f := func(make func(path string), want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "file")
		make(path)
		content, err := readBounded(path)
		if want == "" && (err != nil || string(content) != "text") || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q, %v, want %q", content, err, want)
		}
	}
	f(func(path string) { write(t, path, "text") }, "")
	f(func(string) {}, "no such file or directory")
	f(func(path string) { write(t, path, "") }, "the file is empty")
	f(func(path string) { write(t, path, strings.Repeat("x", maxBytes+1)) }, "the file has more than 4194304 bytes")
	f(func(path string) { _ = os.Mkdir(path, 0o700) }, "not a file")
	f(func(path string) { _ = syscall.Mkfifo(path, 0o600) }, "not a file")
}

// What changes is seen within ten seconds, also where only a link changes, as in a volume of Kubernetes; what is bad is told once and not used.
func TestCertificatesAreFollowed(t *testing.T) {
	a := certstest.New(t)
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		version := func(name string) {
			if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
			a.Files(filepath.Join(dir, name), name)
			link := filepath.Join(dir, "..data")
			if err := os.Symlink(name, link+".new"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(link+".new", link); err != nil {
				t.Fatal(err)
			}
		}
		var logged logbook
		inUse := certs.New(certs.Config{})
		version("one")
		chain, key := Flag{Name: "chain", Path: filepath.Join(dir, "..data", "cert.pem")}, Flag{Name: "key", Path: filepath.Join(dir, "..data", "key.pem")}
		files, err := Open(Certificates("certificates", chain, key, Flag{}, false, inUse, slog.New(slog.NewTextHandler(&logged, nil))))
		if err != nil {
			t.Fatal(err)
		}
		stop := files.Follow()
		begun := inUse.Status().Refreshed
		f := func(name string, refreshed bool, warnings int) {
			t.Helper()
			time.Sleep(10 * lookEvery)
			synctest.Wait()
			status := inUse.Status()
			shown := inUse.TLS(certs.Usual)().Certificates[0].Leaf.Subject.CommonName
			if shown != name || status.Refreshed.After(begun) != refreshed {
				t.Errorf("%s is shown, want %s; refreshed at %v", shown, name, status.Refreshed)
			}
			if n := strings.Count(logged.String(), "are not replaced"); n != warnings || int(status.Failures) != warnings {
				t.Errorf("%d warnings and %d failures, want %d:\n%s", n, status.Failures, warnings, &logged)
			}
			begun = status.Refreshed
		}
		f("one", false, 0)
		version("two")
		f("two", true, 0)
		write(t, filepath.Join(dir, "two", "key.pem"), "no key")
		f("two", false, 1)
		version("three")
		f("three", true, 1)
		if err := os.Remove(filepath.Join(dir, "three", "cert.pem")); err != nil {
			t.Fatal(err)
		}
		f("three", false, 2)
		a.Files(filepath.Join(dir, "three"), "four")
		f("four", true, 2)
		if strings.Contains(logged.String(), "every user") {
			t.Errorf("told of what is not exposed:\n%s", &logged)
		}
		for _, name := range []string{"cert.pem", "key.pem"} { // of which the first is none
			if err := os.Chmod(filepath.Join(dir, "three", name), 0o604); err != nil {
				t.Fatal(err)
			}
		}
		f("four", true, 2)
		if n := strings.Count(logged.String(), "every user of this machine may read"); n != 1 || strings.Contains(logged.String(), "file=\"chain=") {
			t.Errorf("told %d times that the key is exposed:\n%s", n, &logged)
		}
		stop()
	})
}
