package userfiles

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/protocol/login"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mayLogIn(u *login.Users, words string) bool {
	user, _ := u.ByWords([]byte(words))
	return user != nil
}

// What has changed is read before the next login; what is wrong changes nothing, and is told once.
func TestRefresh(t *testing.T) {
	var logged bytes.Buffer
	path := filepath.Join(t.TempDir(), "users")
	f := New(path, slog.New(slog.NewTextHandler(&logged, nil)))
	users, err := login.New(login.Config{Refresh: f.Refresh})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Load(users); err == nil {
		t.Error("no file, and no error")
	}
	write(t, path, "a:b\nsecret")
	if err := f.Load(users); err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a line without a colon: %v", err)
	}
	write(t, path, "foo:bar\n")
	if err := f.Load(users); err != nil || !mayLogIn(users, "foo bar") {
		t.Fatal(err)
	}
	write(t, path, "foo:longer\n")
	if mayLogIn(users, "foo bar") || !mayLogIn(users, "foo longer") {
		t.Error("the file has changed, and was not read")
	}
	write(t, path, "foo:danger\n") // in another moment, if not of another size
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if !mayLogIn(users, "foo danger") {
		t.Error("the file has changed once more, and was not read")
	}
	for range 3 {
		write(t, path, "secret")
		if !mayLogIn(users, "foo danger") {
			t.Error("unknown since the file is wrong")
		}
	}
	if err := f.Reload(); err == nil {
		t.Error("reloaded what is wrong")
	}
	if strings.Contains(logged.String(), "every user") {
		t.Errorf("not exposed: %s", &logged)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.Refresh()
	}
	if n := strings.Count(logged.String(), "every user of this machine may read"); n != 1 {
		t.Errorf("exposed, and told %d times: %s", n, &logged)
	}
	if n := strings.Count(logged.String(), "cannot be read"); n != 1 || strings.Contains(logged.String(), "secret") {
		t.Errorf("told %d times: %s", n, &logged)
	}
}

func TestChange(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "users"), filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	appended := func(text string) func([]byte) ([]byte, error) {
		return func(content []byte) ([]byte, error) { return append(content, text...), nil }
	}
	is := func(want string) {
		t.Helper()
		content, err := os.ReadFile(path)
		if err != nil || string(content) != want {
			t.Errorf("%q, %v, want %q", content, err, want)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
			t.Errorf("%v, %v", names, err)
		}
	}
	if err := Change(path, false, appended("a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("changed what is not there: %v", err)
	}
	if err := Change(path, true, appended("a")); err != nil {
		t.Fatal(err)
	}
	is("a")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("made with %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o646); err != nil { // whatever the umask says
		t.Fatal(err)
	}
	if err := Change(link, false, appended("b")); err != nil {
		t.Error(err)
	}
	is("ab")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o646 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	wrong := errors.New("wrong")
	if err := Change(path, false, func([]byte) ([]byte, error) { return nil, wrong }); !errors.Is(err, wrong) {
		t.Error(err)
	}
	is("ab")
	err := Change(path, false, func([]byte) ([]byte, error) { return nil, Change(path, false, appended("c")) })
	if err == nil || !strings.Contains(err.Error(), "users.new is there") {
		t.Errorf("two at a time: %v", err)
	}
	is("ab")
	if os.Geteuid() != 0 {
		return // nobody else can give a file away
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := Change(path, false, appended("c")); err != nil {
		t.Error(err)
	}
	is("abc")
	if info, err := os.Stat(path); err != nil || !sameOwner(info, 65534) || info.Mode() != 0o646 {
		t.Errorf("another owner: %v", err)
	}
}

func sameOwner(info fs.FileInfo, uid uint32) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && owner.Uid == uid
}
