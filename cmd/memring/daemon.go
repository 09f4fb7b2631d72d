package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// detachedMark tells a process that it is the detached one; its value names the pipe on which the parent waits to hear that it serves.
const (
	detachedMark = "_MEMRING_DETACHED"
	readyPipe    = 3 // the first descriptor after stderr
	readyWord    = "ready"
)

func detached() bool { return os.Getenv(detachedMark) != "" }

// detach starts this program again in a session of its own, with nothing to read or to write to, and returns once that one serves, or
// with the reason why it does not. (A Go process cannot fork: it has threads.)
func detach() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("-d: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("-d: %w", err)
	}
	defer r.Close()
	child := exec.Command(program, os.Args[1:]...)
	child.Env = append(os.Environ(), detachedMark+"=1")
	child.ExtraFiles = []*os.File{w} // becomes readyPipe
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = errors.Join(child.Start(), w.Close())
	if err != nil {
		return fmt.Errorf("-d: %w", err)
	}
	word, err := io.ReadAll(r) // ends at the latest when the child does
	switch {
	case string(word) == readyWord:
		return child.Process.Release()
	case len(word) > 0:
		return errors.New(string(word))
	}
	return errors.Join(err, errors.New("-d: the detached process has ended at once: run it without -d to see why"))
}

// reportReady tells the parent that waits in detach that we serve, or why we do not. Only the first call counts.
func reportReady(err error) {
	if !detached() {
		return
	}
	_ = os.Unsetenv(detachedMark)
	pipe := os.NewFile(readyPipe, "ready")
	defer pipe.Close()
	word := readyWord
	if err != nil {
		word = err.Error()
	}
	_, _ = pipe.WriteString(word) // if the parent has gone, nobody wants to know
}

// becomeUser gives up root for the named user, as memcached does: before anything is opened. Root without a name stays root, and warns.
func becomeUser(name string, log *slog.Logger) error {
	switch {
	case os.Geteuid() != 0:
		return nil
	case name == "":
		log.Warn("running as root: name another user with -u, or -u root if this is meant")
		return nil
	case name == "root":
		return nil
	}
	who, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("-u %s: %w", name, err)
	}
	uid, err := strconv.Atoi(who.Uid)
	if err != nil {
		return fmt.Errorf("-u %s: user id %q: %w", name, who.Uid, err)
	}
	gid, err := strconv.Atoi(who.Gid)
	if err != nil {
		return fmt.Errorf("-u %s: group id %q: %w", name, who.Gid, err)
	}
	// The groups first: a plain user may not change them.
	if err := errors.Join(syscall.Setgroups([]int{gid}), syscall.Setgid(gid), syscall.Setuid(uid)); err != nil {
		return fmt.Errorf("-u %s: %w", name, err)
	}
	return nil
}
