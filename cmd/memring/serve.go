package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/memring/memring/cmd/certfiles"
	"github.com/memring/memring/node"
)

const (
	// stopBound is the longest that stopping in order may take, besides what --drain-timeout allows for handing items over; what is still running then is
	// cut off. Supervisors of memcached wait five seconds before they kill: those of a cluster must wait for the drain as well.
	stopBound = 4 * time.Second

	// snapshotBound is what writing a snapshot may take besides (--snapshot-dir), and snapshotRate the bytes of -m for which it may take a second more: few disks write as slowly.
	snapshotBound = time.Minute
	snapshotRate  = 50 << 20

	// cutBound is what the cutting off may take; then the process ends all the same.
	cutBound = 500 * time.Millisecond
)

// serve runs the node until a signal ends it.
//
//	-d: detach, and wait for the child to serve -> the rest happens there
//	become the user of -u -> start -> write the port and pid files -> serve -> SIGINT, SIGTERM, SIGUSR1 or shutdown -> stop in order;
//	a second one: at once
func serve(o *options) (err error) {
	if o.threads > 0 {
		runtime.GOMAXPROCS(o.threads)
	}
	if !o.node.AdminPProf {
		runtime.MemProfileRate = 0 // nobody can ask for what it would keep, 0.3 MB
	}
	o.node.Moving = boundHeap(o.node.MaxBytes, o.node.MaxConns, o.node.MaxItemBytes, os.Getenv)
	if o.daemon && !detached() {
		return detach()
	}
	defer func() { reportReady(err) }() // if it failed before it was ready; later nobody listens

	// Whatever reads our log may end before us. And asked to stop while starting, we stop once started.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGHUP)
	defer signal.Stop(signals)

	if err := o.prepare(); err != nil {
		return err
	}
	n, err := node.Start(o.node)
	if err != nil {
		return err
	}
	var removePIDFile func()
	if err = writePorts(o.portFile, n.Listening); err == nil { // first: whoever waits for the pid file finds the ports
		removePIDFile, err = writePIDFile(o.pidFile)
	}
	if err != nil {
		return errors.Join(err, stop(n.Stop, o.stopBound(), signals, o.node.Log))
	}
	defer removePIDFile()
	for _, files := range o.files {
		defer files.Follow()()
	}
	if o.users != nil {
		defer certfiles.Every(o.users.Refresh)()
	}
	reportReady(nil)
	tellSupervisor(daemon.SdNotifyReady, o.node.Log)
	forgetStart()

	wait(signals, n.Shutdowns(), func() { o.reloadSettings(n.Change); o.reload() }, o.node.Log)
	tellSupervisor(daemon.SdNotifyStopping, o.node.Log)
	bound := o.stopBound()
	o.node.Log.Info("stopping", "at_most", bound)
	return stop(n.Stop, bound, signals, o.node.Log)
}

// stopBound is the longest that stopping in order may take.
func (o *options) stopBound() time.Duration {
	bound := stopBound + o.node.DrainTimeout
	if o.node.SnapshotDir != "" {
		bound += snapshotBound + time.Duration(o.node.MaxBytes/snapshotRate)*time.Second
	}
	return bound
}

// tellSupervisor tells systemd how far we are, when it started us and asks for that (Type=notify, sd_notify(3)).
func tellSupervisor(state string, log *slog.Logger) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd is not told", "state", state, "err", err)
	}
}

// wait returns when the process is to end.
func wait(signals <-chan os.Signal, shutdowns <-chan bool, reload func(), log *slog.Logger) {
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGHUP {
				log.Info("asked to stop", "signal", s)
				return
			}
			reload()
		case graceful := <-shutdowns: // always in order: nothing is kept that a graceful end would keep
			log.Info("asked to stop: a client says shutdown", "graceful", graceful)
			return
		}
	}
}

// prepare makes of this process what the flags say, before it opens anything; and says what they may not have meant.
func (o *options) prepare() error {
	if err := checkMemory(o.memoryMB, os.DirFS("/")); err != nil {
		return err
	}
	o.node.MaxBufferBytes = fitBuffers(o.node, os.DirFS("/"))
	if o.coreDumps {
		if err := raiseCoreLimit(); err != nil {
			return fmt.Errorf("-r: %w", err)
		}
	}
	if err := errors.Join(o.openCerts(), o.openTrust()); err != nil {
		return err
	}
	if err := becomeUser(o.user, o.node.Log); err != nil {
		return err
	}
	for _, files := range o.files {
		files.CheckReadable()
		files.Tell()
	}
	if err := o.openUsers(); err != nil {
		return err
	}
	if o.coreDumps {
		keepCoreDumps()
	}
	if o.lockMemory {
		if err := lockMemory(); err != nil {
			o.node.Log.Warn("-k: memory may be swapped out", "err", err)
		}
	}
	warnOfFileLimit(o.node)
	o.tellWhoReachesIt()
	if len(o.idle) > 0 {
		o.node.Log.Info("accepted, but without effect here", "flags", strings.Join(o.idle, ", "))
	}
	return nil
}

// tellWhoReachesIt says what opens the client port to the network, or that it is open to everybody there.
func (o *options) tellWhoReachesIt() {
	if open := o.node.OpenTo(); len(open) > 0 {
		o.node.Log.Warn("whoever reaches the client port may read and change everything: -Y lets only users in, -Z encrypts", "at", strings.Join(open, ", "))
	} else if !o.listenGiven && len(o.node.Listen) > 0 {
		o.node.Log.Info("clients on this machine only: -l 0.0.0.0 opens the client port to the network, best with -Y (users) and -Z (TLS)")
	}
}

// warnOfFileLimit tells when there will be fewer connections than -c promises. (Go has raised the soft limit to the hard one.)
func warnOfFileLimit(cfg node.Config) {
	const besides = 128 // listeners, lanes to peers, gossip, the admin port, the runtime's own
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && uint64(cfg.MaxConns)+besides > limit.Cur {
		cfg.Log.Warn("too few file descriptors for all connections: raise ulimit -n, or lower -c", "limit", limit.Cur, "connections", cfg.MaxConns)
	}
}

// stop ends the node by its Stop, in order and within bound, or at once when told so again.
func stop(inOrder func(context.Context) error, bound time.Duration, signals <-chan os.Signal, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- inOrder(ctx) }() // ends with the process if we do not wait for it
	cut := time.NewTimer(bound + cutBound)
	defer cut.Stop()
	for {
		select {
		case err := <-stopped:
			log.Info("stopped")
			return err
		case <-cut.C:
			return fmt.Errorf("not stopped in order within %v", bound)
		case s := <-signals:
			if s != syscall.SIGHUP {
				return fmt.Errorf("stopped at once: %s came while stopping", s)
			}
		}
	}
}

// writePorts writes the ports for clients, as they are, to the file of $MEMCACHED_PORT_FILENAME: lines "TCP INET: 11211". The file appears when
// it is whole; until then it has another name, PATH.lck. Nothing is done for an empty path.
func writePorts(path string, listening func() (tcp, udp []string)) error {
	if path == "" {
		return nil
	}
	var text []byte
	write := func(kind string, addresses []string) {
		for _, address := range addresses {
			at, _ := netip.ParseAddrPort(address)
			family := "INET"
			if at.Addr().Unmap().Is6() {
				family = "INET6"
			}
			text = fmt.Appendf(text, "%s %s: %d\n", kind, family, at.Port())
		}
	}
	tcp, udp := listening()
	write("TCP", tcp)
	write("UDP", udp)
	err := os.WriteFile(path+".lck", text, 0o644)
	if err == nil {
		err = os.Rename(path+".lck", path)
	}
	if err != nil {
		return fmt.Errorf("$MEMCACHED_PORT_FILENAME: %w", err)
	}
	return nil
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
