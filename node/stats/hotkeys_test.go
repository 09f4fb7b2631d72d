package stats

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/meter"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/meta"
	"github.com/memring/memring/protocol/session"
)

// answers is a chain that answers all at once.
type answers struct{}

func (answers) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status = protocol.OK
	return nil
}

// newClient begins a conversation that is measured; in it is asked on the meta wire.
func newClient(m *meter.Meter) *session.Session {
	s := session.New(answers{}, meta.New(meta.Config{MaxItemBytes: 1 << 20}), 1)
	m.Client(s, answers{})
	return s
}

// The keys are written as dumps write them, so that none can break its line.
func TestHotKeys(t *testing.T) {
	at := time.Hour
	m := meter.New(meter.Config{Every: 1, Now: func() time.Duration { return at }})
	client := newClient(m)
	ask := func(key string, times int) {
		for range times {
			client.Answer(fmt.Appendf(nil, "mg %s b\r\n", base64.StdEncoding.EncodeToString([]byte(key))))
		}
	}
	ask("a key\r\n", 60)
	ask("b", 40)
	at += 10 * time.Second
	list := &List{}
	if known := (&Sources{Meter: m}).Add(list, "hotkeys"); !known {
		t.Fatal("not known")
	}
	var got []string
	for _, l := range list.Lines {
		got = append(got, l.Name+" "+l.Value)
	}
	const want = "measured_every 1; 1:key a%20key%0D%0A; 1:share 0.600; 1:rate 6; 2:key b; 2:share 0.400; 2:rate 4"
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

// Each line counts what took no longer, as Prometheus has it, so that lines of several members may be added.
func TestTimes(t *testing.T) {
	at := time.Hour
	step := time.Duration(0)
	m := meter.New(meter.Config{Every: 1, Now: func() time.Duration { at += step; return at }})
	client := newClient(m)
	for _, step = range []time.Duration{time.Microsecond, 100 * time.Microsecond, 90 * time.Microsecond, time.Hour} {
		client.Answer([]byte("mg k\r\n"))
	}
	list := &List{}
	(&Sources{Meter: m}).times(list)
	f := func(name, want string) {
		t.Helper()
		for _, l := range list.Lines {
			if l.Name == name {
				if l.Value != want {
					t.Errorf("%s %s, want %s", name, l.Value, want)
				}
				return
			}
		}
		t.Errorf("no %s: %v", name, list.Lines)
	}
	f("cluster_times_1us", "1")
	f("cluster_times_50us", "1")
	f("cluster_times_100us", "3")
	f("cluster_times_1000000us", "3")
	f("cluster_times_all", "4")
}
