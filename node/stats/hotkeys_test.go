package stats

import (
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/meter"
	"github.com/memring/memring/protocol"
)

// answers is a chain that answers all at once.
type answers struct{}

func (answers) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status = protocol.OK
	return nil
}

// The keys are written as dumps write them, so that none can break its line.
func TestHotKeys(t *testing.T) {
	at := time.Hour
	m := meter.New(meter.Config{Every: 1, Now: func() time.Duration { return at }})
	client := m.Client(answers{}, 1)
	ask := func(key string, times int) {
		for range times {
			client.Handle(&protocol.Request{Op: protocol.Get, Key: []byte(key)}, new(protocol.Response))
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
