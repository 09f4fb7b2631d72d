package node_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// A node that comes is ready when what it takes over has come, or cannot come any more since its giver has died; and then it stays so, whoever dies.
func TestReadyOnceTheFirstPullIsDone(t *testing.T) {
	c := nodetest.Start(t, 1, slow, func(cfg *node.Config) { cfg.AdminListen = "127.0.0.1:0" })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	probe := func(i int) (ready bool, why string) {
		t.Helper()
		resp, err := client.Get("http://" + c.Nodes[i].AdminAddr() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("%s: %q, %v", resp.Status, body, err)
		}
		return resp.StatusCode == http.StatusOK, string(body)
	}
	ready := func(i int) {
		t.Helper()
		if is, why := probe(i); !is {
			t.Errorf("n%d is not ready: %s", i, why)
		}
	}
	fill(t, c, 0, 2000)
	c.Launch()
	c.Wait("it says that it takes over", func() bool { // on a busy machine it has not met the other when it serves
		is, why := probe(1)
		if is {
			t.Fatal("it is ready before it has taken over")
		}
		return strings.HasPrefix(why, "first pull not done: ")
	})
	ready(0)
	state := func(at int, question string) string {
		return about(answerTo(t, c.Dial(at), question), "MEMBER n1")["state"]
	}
	if got := state(1, "cluster members"); got != "joining" {
		t.Errorf("meanwhile it says of itself that it is %q", got)
	}
	c.Wait("the other one passes that on", func() bool { return state(0, "cluster status") == "joining" })
	c.Wait("all that is its own is on its way", func() bool {
		is, why := probe(1)
		return !is && strings.Contains(why, ": 0 partitions not taken over yet, ")
	})
	c.Crash(0)
	c.Wait("who has died is waited for no more", func() bool { is, _ := probe(1); return is })
	if got := state(1, "cluster members"); got != "active" {
		t.Errorf("once it is ready it says of itself that it is %q", got)
	}
	c.Launch(func(cfg *node.Config) { cfg.HandoverRate = node.Default().HandoverRate })
	ready(1)
	c.WaitAgreed()
	c.WaitSettled()
	ready(1)
	c.Crash(1)
	ready(2)
	c.WaitAgreed()
	ready(2)
}
