package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/memring/memring/node"
)

const (
	// stopBound is the longest that stopping in order may take; what is still running then is cut off. Supervisors of memcached wait five
	// seconds before they kill.
	stopBound = 4 * time.Second

	// cutBound is what the cutting off may take; then the process ends all the same.
	cutBound = 500 * time.Millisecond
)

// serve runs the node until a signal ends it.
//
//	-d: detach, and wait for the child to serve -> the rest happens there
//	become the user of -u -> start -> write the pid file -> serve -> SIGINT, SIGTERM or SIGUSR1 -> stop in order; a second one: at once
func serve(o *options) (err error) {
	if o.threads > 0 {
		runtime.GOMAXPROCS(o.threads)
	}
	if o.daemon && !detached() {
		return detach()
	}
	defer func() { reportReady(err) }() // if it failed before it was ready; later nobody listens

	// Whatever reads our log may end before us. And asked to stop while starting, we stop once started.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGHUP)
	defer signal.Stop(signals)

	if err := becomeUser(o.user, o.node.Log); err != nil {
		return err
	}
	warnOfFileLimit(o.node)
	n, err := node.Start(o.node)
	if err != nil {
		return err
	}
	removePIDFile, err := writePIDFile(o.pidFile)
	if err != nil {
		return errors.Join(err, stop(n.Stop, signals, o.node.Log))
	}
	defer removePIDFile()
	reportReady(nil)

	for s := range signals {
		if s == syscall.SIGHUP {
			o.node.Log.Info("nothing to reload yet", "signal", s)
			continue
		}
		o.node.Log.Info("stopping", "signal", s, "at_most", stopBound)
		break
	}
	return stop(n.Stop, signals, o.node.Log)
}

// warnOfFileLimit tells when there will be fewer connections than -c promises. (Go has raised the soft limit to the hard one.)
func warnOfFileLimit(cfg node.Config) {
	const besides = 128 // listeners, lanes to peers, gossip, the admin port, the runtime's own
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && uint64(cfg.MaxConns)+besides > limit.Cur {
		cfg.Log.Warn("too few file descriptors for all connections: raise ulimit -n, or lower -c", "limit", limit.Cur, "connections", cfg.MaxConns)
	}
}

// stop ends the node by its Stop, in order and within stopBound, or at once when told so again.
func stop(inOrder func(context.Context) error, signals <-chan os.Signal, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopBound)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- inOrder(ctx) }() // ends with the process if we do not wait for it
	cut := time.NewTimer(stopBound + cutBound)
	defer cut.Stop()
	for {
		select {
		case err := <-stopped:
			log.Info("stopped")
			return err
		case <-cut.C:
			return fmt.Errorf("not stopped in order within %v", stopBound)
		case s := <-signals:
			if s != syscall.SIGHUP {
				return fmt.Errorf("stopped at once: %s came while stopping", s)
			}
		}
	}
}

// writePIDFile writes our process id to path, whole or not at all, and gives what removes it. Nothing is done for an empty path.
func writePIDFile(path string) (remove func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	text := strconv.Itoa(os.Getpid()) + "\n"
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("-P %s: %w", path, err)
	}
	_, err = temporary.WriteString(text)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("-P %s: %w", path, err), os.Remove(temporary.Name()))
	}
	return func() {
		// A successor may have written its own meanwhile.
		if now, err := os.ReadFile(path); err == nil && string(now) == text {
			_ = os.Remove(path)
		}
	}, nil
}
