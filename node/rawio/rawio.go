// Package rawio makes the calls of the system that read and write a socket which does not block, without telling Go's scheduler.
//
//	RawConn.Read(f) -> f: Read, Read, ... nothing more -> false: wait on the runtime's poller -> f
//
// A call that the scheduler is told of wakes the runtime's watchman (sysmon) when the process was idle: a wake-up and some naps of 20 us each time, more than the call itself.
// These calls do not wait, so there is nothing to watch.
package rawio

// MaxSend is the most that should be sent at once in this way: copying so much takes some ten microseconds. It is above what a session gives at a
// time of short answers, and above one of a round 64 KB with its line.
const MaxSend = 96 << 10
