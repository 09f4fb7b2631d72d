package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/replicator"
	"github.com/memring/memring/node/sides"
)

// run gives the options that serve would get for a command line, what was printed, and the error.
func run(env map[string]string, args ...string) (served *options, printed string, err error) {
	var out strings.Builder
	cmd := command(func(name string) string { return env[name] }, func(o *options) error {
		served = o
		return nil
	})
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err = cmd.Execute()
	return served, out.String(), err
}

// TestFlags sets one thing at a time and compares the whole Config, so that no flag touches what is not its own.
func TestFlags(t *testing.T) {
	f := func(line string, change func(*node.Config)) {
		t.Helper()
		want := node.Default()
		want.ID, want.Build = hostname(t)+"-11211", revision()
		want.GiveWay = node.GiveWay{Peer: true, Gossip: true, Admin: true}
		if change != nil {
			change(&want)
		}
		o, _, err := run(nil, strings.Fields(line)...)
		if err != nil || o == nil {
			t.Errorf("%q: %v", line, err)
			return
		}
		got := o.node
		got.Log, got.Level = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", line, got, want)
		}
	}
	at := func(addresses ...string) (listen []node.Listener) {
		for _, address := range addresses {
			listen = append(listen, node.Listener{Address: address})
		}
		return listen
	}
	tuning := func(change func(*node.Tuning)) func(*node.Config) {
		return func(c *node.Config) { change(&c.Tuning) }
	}
	port := func(c *node.Config) {
		c.Listen, c.PeerPort, c.ID = at("127.0.0.1:11300"), 11301, hostname(t)+"-11300"
	}
	anyID := fmt.Sprintf("%s-%d", hostname(t), os.Getpid())
	f("", nil)
	f("-p 11300", port)
	f("-p11300", port)
	f("--port=11300", port)
	f("--port 11300 -U 0", port)
	f("-l 127.0.0.1:11300", port)
	f("-p 11300 --peer-port 12000", func(c *node.Config) { port(c); c.PeerPort, c.GiveWay.Peer = 12000, false })
	f("-p 11300 --peer-port 0", func(c *node.Config) { port(c); c.PeerPort, c.GiveWay.Peer = 0, false })
	f("-p -1", func(c *node.Config) { c.Listen, c.PeerPort, c.ID = at("127.0.0.1:0"), 0, anyID })
	f("-p 0", func(c *node.Config) { c.Listen, c.PeerPort, c.ID = nil, 0, anyID })
	f("-l 0.0.0.0 --insecure-peers", func(c *node.Config) { c.Listen, c.Trust.Insecure = at("0.0.0.0:11211"), true })
	f("-l 0.0.0.0", func(c *node.Config) { c.Listen = at("0.0.0.0:11211") }) // alone, as memcached
	f("-l 0.0.0.0 --cluster-key-file f", func(c *node.Config) { c.Listen, c.Trust.KeyFile = at("0.0.0.0:11211"), "f" })
	f("--peer-tls-cert c --peer-tls-key k --peer-tls-ca a", func(c *node.Config) {
		c.Trust.ChainFile, c.Trust.CertKeyFile, c.Trust.AuthorityFile = "c", "k", "a"
	})
	f("-l * --insecure-peers", func(c *node.Config) { c.Listen, c.Trust.Insecure = at(":11211"), true })
	f("-l 10.0.0.1,[::1]:1 -l ::1;[::2] -l cache.local,::1 --insecure-peers", func(c *node.Config) {
		c.Listen, c.Trust.Insecure = at("10.0.0.1:11211", "[::1]:1", "[::1]:11211", "[::2]:11211", "cache.local:11211"), true
	})
	f("-s /run/m.sock -a 770", func(c *node.Config) {
		c.Listen, c.UnixSocket, c.UnixSocketMode, c.PeerPort = nil, "/run/m.sock", 0o770, 0
	})
	f("-s /run/m.sock -l 127.0.0.1", func(c *node.Config) { c.UnixSocket = "/run/m.sock" })
	f("-s /run/m.sock -U 11300", func(c *node.Config) {
		c.Listen, c.UnixSocket, c.PeerPort, c.ID = nil, "/run/m.sock", 0, hostname(t)+"-11300"
	})

	// Logins: each on its own protocol, or both.
	f("-S", func(c *node.Config) { c.SASL, c.Wire = true, node.BinaryWire; c.Listen[0].Wire = node.BinaryWire })
	f("-S -B binary", func(c *node.Config) { c.SASL, c.Wire = true, node.BinaryWire; c.Listen[0].Wire = node.BinaryWire })
	f("-S -Y users", func(c *node.Config) { c.SASL, c.AuthFile = true, "users" })
	f("-S -Y users -B ascii", func(c *node.Config) {
		c.SASL, c.AuthFile, c.Wire = true, "users", node.TextWire
		c.Listen[0].Wire = node.TextWire
	})
	f("-Y users -U 0", func(c *node.Config) { c.AuthFile, c.Wire = "users", node.TextWire; c.Listen[0].Wire = node.TextWire })

	// UDP.
	f("-U 11300", func(c *node.Config) { port(c); c.UDP = []string{"127.0.0.1:11300"} })
	f("-U 11300 -p 11211", func(c *node.Config) { c.UDP = []string{"127.0.0.1:11300"} })
	f("-U -1 -p 11300", func(c *node.Config) { port(c); c.UDP = []string{"127.0.0.1:0"} })
	f("-U -1", func(c *node.Config) {
		c.Listen, c.UDP, c.PeerPort, c.ID = at("127.0.0.1:0"), []string{"127.0.0.1:0"}, 0, anyID
	})
	f("-U 11300 -p 0 -l ::1", func(c *node.Config) { c.Listen, c.UDP, c.PeerPort, c.ID = nil, []string{"[::1]:11300"}, 0, anyID })
	f("-U 2 -p 1 -l 127.0.0.1:11300", func(c *node.Config) { port(c); c.UDP = []string{"127.0.0.1:11300"} })

	f("-U 11300 -p 11211 -l 0.0.0.0 --udp-off-loopback --insecure-peers", func(c *node.Config) {
		c.Listen, c.UDP, c.UDPOffLoopback, c.Trust.Insecure = at("0.0.0.0:11211"), []string{"0.0.0.0:11300"}, true, true
	})
	f("-U 11300 -p 11211 -l localhost", func(c *node.Config) { c.Listen, c.UDP = at("localhost:11211"), []string{"localhost:11300"} })

	// Wires.
	f("-B auto", nil)
	f("-B ascii", func(c *node.Config) { c.Wire, c.Listen[0].Wire = node.TextWire, node.TextWire })
	f("-B binary -l proto[ascii]:127.0.0.1,proto[negotiating]:tag[web]:[::1]:1,tag_x_:::1", func(c *node.Config) {
		c.Wire = node.BinaryWire
		c.Listen = []node.Listener{{Address: "127.0.0.1:11211", Wire: node.TextWire}, {Address: "[::1]:1"}, {Address: "[::1]:11211", Wire: node.BinaryWire}}
	})

	f("-m 1024", func(c *node.Config) { c.MaxBytes = 1 << 30 })
	f("-I 2048", func(c *node.Config) { c.MaxItemBytes = 2048 })
	f("-m 2048 -I 1024m", func(c *node.Config) { c.MaxBytes, c.MaxItemBytes = 2<<30, 1<<30 })
	f("-I 512k", func(c *node.Config) { c.MaxItemBytes = 512 << 10 })
	f("-m 256 -I 32M", func(c *node.Config) { c.MaxBytes, c.MaxItemBytes = 256<<20, 32<<20 })
	f("-MF", func(c *node.Config) { c.NoEvict, c.NoFlush = true, true })
	f("-CXWA", func(c *node.Config) { c.NoCAS, c.NoDump, c.NoWatch, c.EnableShutdown = true, true, true, true })
	f("-D /", func(c *node.Config) { c.Delimiter, c.Detail = '/', true })
	f("-D :", func(c *node.Config) { c.Detail = true })
	f("-R 7 -b 8675", func(c *node.Config) { c.MaxBatch, c.Backlog = 7, 8675 })
	f("-c 10 -t 2 -u nobody -P /run/m.pid -vvrk", func(c *node.Config) { c.MaxConns, c.LogLevel = 10, slog.LevelInfo-8 })
	f("--id a --cluster b --gossip-port 1 --peer-port 2", func(c *node.Config) {
		c.ID, c.Cluster, c.GossipPort, c.PeerPort, c.GiveWay = "a", "b", 1, 2, node.GiveWay{Admin: true}
	})
	f("--join a,b:7 --join c", func(c *node.Config) { c.Join = []string{"a", "b:7", "c"} })
	f("--admin-listen off --peer-timeout 2s", func(c *node.Config) { c.AdminListen, c.PeerDeadline, c.GiveWay.Admin = "off", 2*time.Second, false })
	f("--weight 1 --copies 1", nil)
	f("--weight 32 --copies 8 --zone rack-7", func(c *node.Config) { c.Weight, c.Ring.Copies, c.Zone = 32, 8, "rack-7" })
	f("--rebalance-delay 0", func(c *node.Config) { c.RebalanceDelay = 0 })
	f("--rebalance-delay 10m", func(c *node.Config) { c.RebalanceDelay = 10 * time.Minute })
	f("--get-errors miss", nil)
	f("--ack one", nil)
	f("--read-from owner", nil)
	f("--read-from nearest --zone a", func(c *node.Config) { c.ReadNearest, c.Zone = true, "a" })
	f("--ack none", func(c *node.Config) { c.Ack = replicator.AckNone })
	f("--copies 3 --ack=all", func(c *node.Config) { c.Ring.Copies, c.Ack = 3, replicator.AckAll })
	f("--on-minority serve", nil)
	f("--on-minority miss --min-members 2", func(c *node.Config) { c.OnMinority, c.MinMembers = sides.Miss, 2 })
	f("--log-level warn", func(c *node.Config) { c.LogLevel = slog.LevelWarn })
	f("--log-level warn -v", func(c *node.Config) { c.LogLevel = slog.LevelDebug })
	f("--on-minority=refuse", func(c *node.Config) { c.OnMinority = sides.Refuse })
	f("--drain-timeout 2m --handover-rate 512k", func(c *node.Config) { c.DrainTimeout, c.HandoverRate = 2*time.Minute, 512<<10 })
	f("--drain-timeout 0 --handover-rate 32m", func(c *node.Config) { c.DrainTimeout = 0 })
	f("--snapshot-dir /var/lib/memring", func(c *node.Config) { c.SnapshotDir = "/var/lib/memring" })
	f("--get-errors=error", func(c *node.Config) { c.GetErrors = true })

	// Of slabs, and the like: only told.
	f("-f 2 -n 100 -L -e /dev/shm/m -N 3", tuning(func(t *node.Tuning) { t.GrowthFactor, t.ChunkBytes, t.MemoryFile, t.NAPIIDs = 2, 100, "/dev/shm/m", 3 }))
	f("--idle-timeout 3s -o idle_timeout=3", func(c *node.Config) { c.IdleTimeout = 3 * time.Second })
	f("-o idle_timeout=3", func(c *node.Config) { c.IdleTimeout = 3 * time.Second })
	f("-o no_maxconns_fast,read_buf_mem_limit=9 -o relaxed_privileges,", func(c *node.Config) {
		c.PauseAtLimit, c.MaxBufferBytes, c.Debug, c.UDPOffLoopback = true, 9<<20, true, true
	})
	f("-o no_maxconns_fast,maxconns_fast,modern,inline_ascii_resp,no_inline_ascii_resp,drop_privileges,no_drop_privileges,resp_obj_mem_limit", nil)
	f("-o hashpower=20,no_hashexpand,hash_algorithm=xxh3,tail_repair_time=10,track_sizes", tuning(func(t *node.Tuning) {
		t.HashPower, t.HashAlgorithm, t.TailRepairSeconds, t.TrackSizes = 20, "xxh3", 10, true
	}))
	f("-o no_slab_reassign,slab_automove=2,slab_automove_ratio=0.5,slab_automove_window=3,slab_chunk_max=16,slab_sizes=100-200", tuning(func(t *node.Tuning) {
		t.SlabReassign, t.SlabAutomove, t.SlabAutomoveRatio, t.SlabAutomoveSeconds, t.SlabChunkMaxBytes = false, 2, 0.5, 3, 16<<10
	}))
	f("-o no_slab_automove,no_chunked_items,slab_reassign", tuning(func(t *node.Tuning) { t.SlabAutomove, t.SlabChunkMaxBytes = 0, 1<<20 }))
	f("-o slab_automove", nil)
	f("-o no_lru_crawler,lru_crawler_sleep=0,lru_crawler_tocrawl=4294967295", tuning(func(t *node.Tuning) {
		t.LRUCrawler, t.LRUCrawlerSleep, t.LRUCrawlerToCrawl = false, 0, 4294967295
	}))
	f("-o hot_lru_pct=1,warm_lru_pct=79,hot_max_factor=1.5,warm_max_factor=3,temporary_ttl=9", tuning(func(t *node.Tuning) {
		t.HotPercent, t.WarmPercent, t.HotMaxFactor, t.WarmMaxFactor, t.TempLRU, t.TemporaryTTL = 1, 79, 1.5, 3, true, 9
	}))
	f("-o watcher_logbuf_size=1,worker_logbuf_size=2", tuning(func(t *node.Tuning) { t.WatcherBufferBytes, t.WorkerBufferBytes = 1<<10, 2<<10 }))

	// TLS; what is set without -Z is kept for "stats settings".
	encrypted := func(change func(*node.Config)) func(*node.Config) {
		return func(c *node.Config) {
			c.TLS.Enabled, c.TLS.ChainFile, c.Listen[0].TLS = true, "c", certs.Usual
			change(c)
		}
	}
	f("-Z -o ssl_chain_cert=c", encrypted(func(*node.Config) {}))
	f("--enable-ssl -o ssl_chain_cert=c,ssl_key=k,ssl_ca_cert=a,ssl_ciphers=AES128-SHA:AES256-SHA,ssl_verify_mode=2,ssl_min_version=3", encrypted(func(c *node.Config) {
		c.TLS.KeyFile, c.TLS.AuthorityFile, c.TLS.Ciphers, c.TLS.VerifyMode, c.TLS.MinVersion = "k", "a", "AES128-SHA:AES256-SHA", 2, 3
	}))
	f("-o ssl_wbuf_size=64,ssl_session_cache,ssl_kernel_tls,ssl_keyformat=2,ssl_min_version=tlsv1.0", func(c *node.Config) {
		c.TLS.WriteBufferBytes, c.TLS.SessionCache, c.TLS.KernelTLS, c.TLS.KeyFormat, c.TLS.MinVersion = 64<<10, true, true, 2, 0
	})
	f("-o ssl_keyformat=DER,ssl_keyformat=PEM,ssl_min_version=2", nil)
	f("-Z -o ssl_chain_cert=c -l notls:127.0.0.1,btls:proto[ascii]:127.0.0.1:1,mtls:[::1]:2,127.0.0.1:3", encrypted(func(c *node.Config) {
		c.Listen = []node.Listener{
			{Address: "127.0.0.1:11211"},
			{Address: "127.0.0.1:1", Wire: node.TextWire, TLS: certs.Basic},
			{Address: "[::1]:2", TLS: certs.Mutual},
			{Address: "127.0.0.1:3", TLS: certs.Usual},
		}
	}))

	old := func(c *node.Config) {
		t := &c.Tuning
		t.SlabReassign, t.SlabAutomove, t.LRUSegmented, t.LRUCrawler, t.LRUMaintainer = false, 0, false, false, false
		t.HashAlgorithm, t.SlabChunkMaxBytes = "jenkins", 1<<20
		c.PauseAtLimit = true
	}
	f("-o no_modern", old)
	f("-o no_modern,lru_crawler", func(c *node.Config) { old(c); c.Tuning.LRUCrawler = true })
	f("-o no_modern,lru_maintainer", func(c *node.Config) { old(c); c.Tuning.LRUMaintainer, c.Tuning.LRUSegmented = true, true })
	f("-o slab_chunk_max=4 -o no_modern", func(c *node.Config) { old(c); c.Tuning.SlabChunkMaxBytes = 4 << 10 })
	f("-o no_modern,slab_chunk_max=4", func(c *node.Config) { old(c); c.Tuning.SlabChunkMaxBytes = 4 << 10 })
}

func TestProcessFlags(t *testing.T) {
	o, _, err := run(nil, "-d", "-t", "2", "-u", "nobody", "-P", "/run/m.pid", "-vv")
	if err != nil {
		t.Fatal(err)
	}
	if len(o.idle) != 0 {
		t.Errorf("without effect: %v", o.idle)
	}
	if !o.daemon || o.threads != 2 || o.user != "nobody" || o.pidFile != "/run/m.pid" {
		t.Errorf("got %+v", o)
	}
	if level := o.node.Level.Level(); level != slog.LevelInfo-8 {
		t.Errorf("-vv: level %v", level)
	}
}

func TestTellsWhatHasNoEffect(t *testing.T) {
	o, _, err := run(nil, strings.Fields("-f 1.5 -L -o modern,hashpower=12,idle_timeout=1 -o no_lru_crawler,track_sizes")...)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"-o hashpower", "-o track_sizes", "-f", "-L"}; !slices.Equal(o.idle, want) {
		t.Errorf("got %v, want %v", o.idle, want)
	}
}

func TestRefusals(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		o, _, err := run(nil, strings.Fields(line)...)
		if o != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: served %v, error %v, want %q", line, o != nil, err, want)
		}
	}
	// What memcached refuses, in its words.
	f("-c 0", "maximum connections must be greater than 0")
	f("-c -1", "maximum connections must be greater than 0")
	f("-t 0", "number of threads must be greater than 0")
	f("-I 1000", "item max size cannot be less than 1024 bytes")
	f("-I 33m", "cannot set item size limit higher than 1/2 of memory max")
	f("-m 4096 -I 1025m", "cannot set item size limit higher than a gigabyte")
	f("-I large", "not a size")
	f("-m 4096 -I 1g", "a gigabyte, the most, is 1024m")
	f("-I 18446744073709551615m", "not a size")
	f("-m 0", "memory limit must be at least 1 megabyte")

	// Addresses.
	f("-p 65536", "-p 65536: not a port")
	f("-p 65535", "--peer-port: 65536 is not a port")
	f("-p x", `invalid argument "x" for "-p, --port"`)
	f("-p -2", "-p -2: not a port")
	f("-U 65536", "-U 65536: not a port")
	f("-U -2", "-U -2: not a port")
	f("-l 127.0.0.1:70000", "-l 127.0.0.1:70000: want HOST")
	f("-l 127.0.0.1:x", "want HOST")
	f("-l :11211", "want HOST")
	f("-l [::1", "want HOST")
	f("-l [here]", "want HOST")
	f("-l ::1]", "want HOST")
	f("-l proto[ascii:127.0.0.1", "want HOST")
	f("-l notls:127.0.0.1:11211", "notls is only for a server that has TLS enabled")
	f("-l mtls:127.0.0.1", "mtls is only for")
	f("-l proto[proxy]:127.0.0.1", "is no protocol")
	f("-l tag[]:127.0.0.1", "1 to 8 characters")
	f("-l tag[ninechars]:127.0.0.1", "1 to 8 characters")
	f("-a 999", "not an access mode")
	f("--advertise here", "not an IP address")

	// Other bad values.
	f("-B http", "one of auto, binary or ascii")
	f("-B negotiating", "one of auto, binary or ascii")
	f("-R 0", "number of requests per event must be greater than 0")
	f("-b -1", "-b: -1")
	f("--prefix-delimiter=", "no delimiter")
	f("-f 1", "factor must be greater than 1")
	f("-n 0", "chunk size must be greater than 0")
	f("-N 0", "greater than 0")
	f("-N 3 -t 2", "number of threads")

	// Words of -o.
	f("-o fast", `illegal suboption "fast"`)
	f("-o modern,,", `illegal suboption ""`)
	f("-o proxy_config=x", "illegal suboption")
	f("-o ext_path=x", "illegal suboption")
	f("-o modern=1", "takes no value")
	f("-o hashpower", "missing argument")
	f("-o idle_timeout=", "missing argument")
	f("-o hashpower=11", "from 12 to 32")
	f("-o hashpower=33", "from 12 to 32")
	f("-o hash_algorithm=md5", "one of jenkins, murmur3, xxh3")
	f("-o slab_automove=3", "from 0 to 2")
	f("-o slab_automove_ratio=1.1", "above 0, at most 1")
	f("-o slab_automove_ratio=NaN", "above 0, at most 1")
	f("-o slab_automove_window=2", "from 3 to 1800")
	f("-o lru_crawler_sleep=1000001", "from 0 to 1000000")
	f("-o lru_crawler_tocrawl=4294967296", "must be a number")
	f("-o tail_repair_time=9", "must be a number from 10")
	f("-o idle_timeout=-1", "must be a number from 0")
	f("-o hot_lru_pct=80", "from 1 to 79")
	f("-o hot_lru_pct=41", "cannot be more than 80 combined")
	f("-o hot_max_factor=0", "above 0")
	f("-o temporary_ttl=5,no_lru_maintainer", "requires lru_maintainer")
	f("-o slab_sizes=200-100", "above the one before")
	f("-o slab_sizes=10", "from 48")
	f("-o ssl_verify_mode=4", "from 0 to 3")
	f("-o ssl_min_version=4", "from 0 to 3")
	f("-o ssl_min_version=1.2", "must be one of tlsv1.0, tlsv1.1")
	f("-o ssl_keyformat=ENGINE", "must be one of PEM, DER")
	f("-o ssl_keyformat=0", "from 1 to 2")
	f("-o ssl_ciphers=HIGH:!aNULL", `"HIGH" is no cipher suite`)
	f("-o ssl_ciphers=TLS_AES_128_GCM_SHA256", "TLS 1.3")
	f("-o slab_chunk_max=0", "from 1 to 1024")
	f("-I 4k -o slab_chunk_max=8", "cannot be larger than -I")
	f("-I 1000k -o slab_chunk_max=16", "must evenly divide")
	f("-o slab_chunk_max=3", "must evenly divide")

	// What does not go together, and what is not there yet.
	f("-S -B ascii", "ASCII protocol cannot be allowed")
	f("-S -B auto", "ASCII protocol cannot be allowed")
	f("-S -U 11211", "UDP")
	f("-Y users -B binary", "binary protocol cannot be allowed")
	f("-Y users -U 11211", "UDP")
	f("-U 11211 -l 0.0.0.0", "--udp-off-loopback")
	f("-U 11211 -l 127.0.0.1 -l cache.local", "UDP on cache.local:11211")
	f("-U 11211 -l *", "--udp-off-loopback")
	f("-l 10.0.0.1 --join 10.0.0.2", "--cluster-key-file FILE")
	f("-l 10.0.0.1 --copies 2", "--cluster-key-file FILE")
	f("-l 0.0.0.0 --advertise 10.0.0.1", "--cluster-key-file FILE")
	f("-l 10.0.0.1 --peer-port 1", "--cluster-key-file FILE")
	f("-l * --gossip-port 7946", "--insecure-peers")
	f("-l cache.local --peer-tls-cert c --peer-tls-ca a", "--cluster-key-file FILE")
	f("--peer-tls-cert c", "--peer-tls-ca")
	f("--peer-tls-ca a", "--peer-tls-cert")
	f("--peer-tls-key k", "--peer-tls-cert")
	f("--get-errors maybe", "miss or error")
	f("--ack two", "none, one or all")
	f("--on-minority maybe", "serve, miss or refuse")
	f("--min-members -1", "--min-members: must not be negative")
	f("--read-from afar", "owner or nearest")
	f("--drain-timeout=-1s", "--drain-timeout: must not be negative")
	f("--drain-timeout soon", "--drain-timeout")
	f("--handover-rate fast", "--handover-rate fast: not a size")
	f("--handover-rate 63k", "--handover-rate: must be at least 64k")
	f("-Z -p 0", "TCP port")
	f("-Z", "-o ssl_chain_cert")
	f("-Z -o ssl_key=k", "-o ssl_chain_cert")
	f("-Z -o ssl_chain_cert=c -l stls:127.0.0.1", "want HOST")
	f("-S -l proto[ascii]:127.0.0.1", "-S: nobody can log in")
	f("-Y users -l proto[binary]:127.0.0.1", "-Y: nobody can log in")
	f("--zone 123456789012345678901234567890123", "--zone: ")
	f("--weight 0", "--weight: 0 is not between 1 and 32")
	f("--weight 33", "--weight: 33 is not between 1 and 32")
	f("--weight 257", "--weight")
	f("--copies 0", "--copies: 0 is not between 1 and 8")
	f("--copies 9", "--copies: 9 is not between 1 and 8")
	f("--rebalance-delay=-1s", "--rebalance-delay: -1s is not between 0 and 10m")
	f("--rebalance-delay 11m", "--rebalance-delay: 11m")
	f("--config none.yaml", "--config: open none.yaml")
	f("--log-level loud", "--log-level loud: debug, info, warn or error")
	f("--log-format xml", "--log-format xml: auto, text or json")

	// Never heard of.
	f("--fast", "unknown flag: --fast")
	f("-x", "unknown shorthand flag: 'x'")
	f("serve", `unknown command "serve"`)
	f("cluster owner", "accepts 1 arg")
}

func TestEnvironment(t *testing.T) {
	f := func(env, line string, get func(*options) any, want any) {
		t.Helper()
		name, value, _ := strings.Cut(env, "=")
		o, _, err := run(map[string]string{name: value}, strings.Fields(line)...)
		if err != nil {
			t.Errorf("%s memring %s: %v", env, line, err)
		} else if got := get(o); !reflect.DeepEqual(got, want) {
			t.Errorf("%s memring %s: got %v, want %v", env, line, got, want)
		}
	}
	peerPort := func(o *options) any { return o.node.PeerPort }
	join := func(o *options) any { return o.node.Join }
	f("MEMRING_PEER_PORT=7000", "", peerPort, 7000)
	f("MEMRING_PEER_PORT=7000", "--peer-port 8000", peerPort, 8000)
	f("MEMRING_PEER_PORT=", "", peerPort, 11212)
	f("MEMRING_PORT=7000", "", peerPort, 7001)
	f("MEMRING_PORT=7000", "-p 8000", peerPort, 8001)
	f("MEMRING_JOIN=a,b", "", join, []string{"a", "b"})
	f("MEMRING_JOIN=a,b", "--join c", join, []string{"c"})
	f("MEMRING_LISTEN=127.0.0.1,proto[ascii]:10.0.0.2:1", "", func(o *options) any { return o.node.Listen }, []node.Listener{
		{Address: "127.0.0.1:11211"}, {Address: "10.0.0.2:1", Wire: node.TextWire},
	})
	f("MEMRING_EXTENDED=idle_timeout=1,no_modern", "", func(o *options) any { return o.node.IdleTimeout }, time.Second)
	f("MEMRING_DISABLE_EVICTIONS=true", "", func(o *options) any { return o.node.NoEvict }, true)
	f("MEMRING_VERBOSE=2", "", func(o *options) any { return o.verbose }, 2)

	// Kubernetes sets this one for a Service of the name memring.
	f("MEMRING_PORT=tcp://10.0.0.1:11211", "", peerPort, 11212)

	for env, want := range map[string]string{
		"MEMRING_PEER_PORT=x":  "MEMRING_PEER_PORT: ",
		"MEMRING_COPIES=9":     "between 1 and 8",
		"MEMRING_PROTOCOL=x":   "one of auto, binary or ascii",
		"MEMRING_ENABLE_SSL=1": "-o ssl_chain_cert",
		"MEMRING_EXTENDED=x":   "illegal suboption",
	} {
		name, value, _ := strings.Cut(env, "=")
		if _, _, err := run(map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", env, err, want)
		}
	}
}

// TestHelp holds the help to what scripts look for in memcached's, and to not promising what is not there.
func TestHelp(t *testing.T) {
	o, help, err := run(nil, "-h")
	if o != nil || err != nil {
		t.Fatalf("-h: served %v, error %v", o != nil, err)
	}
	for _, want := range []string{"unix-socket", "sasl", "enable-ssl", "ssl_chain_cert=FILE", "ssl_kernel_tls", "--port", "--memory-limit", "--join", "--drain-timeout", "--snapshot-dir", "--handover-rate", "--copies", "--ack", "--read-from", "cluster moves", "MEMRING_PEER_PORT", "cluster members", "idle_timeout=SECONDS", "hashpower"} {
		if !strings.Contains(help, want) {
			t.Errorf("help lacks %q", want)
		}
	}
	for _, not := range []string{"ext_path", "proxy_config", "no_drop_privileges", "memcached 1.1."} {
		if strings.Contains(strings.ToLower(help), not) {
			t.Errorf("help promises %q", not)
		}
	}
	if lines := strings.Split(help, "\n"); slices.ContainsFunc(lines, func(l string) bool { return len(l) > helpColumns+10 }) {
		t.Error("help has lines too long to read")
	}
}

func TestVersion(t *testing.T) {
	for _, line := range []string{"version", "-V", "--version"} {
		o, printed, err := run(nil, line)
		if o != nil || err != nil || !strings.HasPrefix(printed, "memring ") {
			t.Errorf("%s: served %v, error %v, printed %q", line, o != nil, err, printed)
		}
	}
	_, printed, err := run(nil, "version", "--json")
	said := map[string]string{}
	if err := errors.Join(err, json.Unmarshal([]byte(printed), &said)); err != nil || said["version"] != revision() || said["memcached"] != node.Default().Version {
		t.Errorf("version --json: %v, printed %q", err, printed)
	}
}

func TestPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memring.pid")
	remove, err := writePIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	remove()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}

	// A successor's file is left alone.
	if remove, err = writePIDFile(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	remove()
	if left, err := os.ReadFile(path); err != nil || string(left) != "1\n" {
		t.Errorf("the successor's file: %q, %v", left, err)
	}

	if _, err := writePIDFile(filepath.Join(path, "in", "a", "file")); err == nil || !strings.HasPrefix(err.Error(), "-P ") {
		t.Errorf("a pid file that cannot be: %v", err)
	}
}

func hostname(t *testing.T) string {
	name, err := os.Hostname()
	if err != nil {
		t.Skip("this machine does not know its name")
	}
	return name
}
