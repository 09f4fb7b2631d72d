package cluster

import (
	"net"
	"strings"
	"testing"
)

// answering gives the address of a member that answers one question and hangs up, and what it was asked.
func answering(t *testing.T, answer string) (address string, asked <-chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	question := make(chan string, 1)
	go func() {
		defer close(question)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 1024)
		n, _ := conn.Read(buf)
		question <- string(buf[:n])
		_, _ = conn.Write([]byte(answer))
	}()
	return l.Addr().String(), question
}

// run runs the subcommand.
func run(args ...string) (printed string, err error) {
	var out strings.Builder
	cmd := Command(11211)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err = cmd.Execute()
	return out.String(), err
}

func TestClusterQuestions(t *testing.T) {
	f := func(answer, line, wantAsked, wantPrinted, wantErr string) {
		t.Helper()
		address, asked := answering(t, answer)
		printed, err := run(strings.Fields(line + " --addr " + address)...)
		if got := <-asked; got != wantAsked {
			t.Errorf("%s: asked %q, want %q", line, got, wantAsked)
		}
		if printed != wantPrinted {
			t.Errorf("%s: printed\n%s\nwant\n%s", line, printed, wantPrinted)
		}
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%s: error %v, want %q", line, err, wantErr)
		}
	}
	members := "MEMBER n1 zone= state=active client=127.0.0.1:11211\r\nMEMBER node-2 zone=b state=active client=127.0.0.1:11221\r\nEND\r\n"
	f(members, "members", "cluster members\r\n", ""+
		"ID      ZONE  STATE   CLIENT\n"+
		"n1      -     active  127.0.0.1:11211\n"+
		"node-2  b     active  127.0.0.1:11221\n", "")
	moves := "MOVE n1/3 from=n1 to=n2 partitions=90 items=1234 bytes=5678\r\nEND\r\n"
	f(moves, "moves", "cluster moves\r\n", ""+
		"ID    FROM  TO  PARTITIONS  ITEMS  BYTES\n"+
		"n1/3  n1    n2  90          1234   5678\n", "")
	f("END\r\n", "moves --json", "cluster moves\r\n", "[]\n", "")
	f("OWNER n1 partition=7\r\nEND\r\n", "owner k --json", "cluster owner k\r\n", `[
  {
    "id": "n1",
    "partition": "7"
  }
]
`, "")
	f("END\r\n", "members --json", "cluster members\r\n", "[]\n", "")
	f("ERROR\r\n", "members", "cluster members\r\n", "", "is it a memring node?")
	f("SERVER_ERROR out of memory\r\n", "members", "cluster members\r\n", "", "out of memory")
	f("MEMBER n1\r\n", "members", "cluster members\r\n", "", "no END")
	f("", "owner k", "cluster owner k\r\n", "", "no END")
}

func TestClusterRefusesKeys(t *testing.T) {
	for _, key := range []string{"", "a b", "a\r\nflush_all"} {
		if _, err := run("owner", key, "--addr", "127.0.0.1:1"); err == nil || !strings.HasPrefix(err.Error(), "KEY ") {
			t.Errorf("owner %q: %v", key, err)
		}
	}
}

func FuzzReadReport(f *testing.F) {
	f.Add("MEMBER n1 zone=a state=active\r\nEND\r\n")
	f.Add("ERROR\r\n")
	f.Add("MEMBER n1")
	f.Fuzz(func(t *testing.T, answer string) {
		lines, err := ReadReport(strings.NewReader(answer))
		if err == nil && !strings.Contains(answer, "END") {
			t.Errorf("%q has no END and was believed", answer)
		}
		for _, l := range lines {
			if l.ID == "" {
				t.Errorf("%q: a line without an id", answer)
			}
		}
	})
}
