package node_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// Datagrams sent to any node are answered with items of all, whole and in the order asked, though the answer takes many datagrams.
func TestUDPAnswersOfForwardedKeys(t *testing.T) {
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.UDP, cfg.PeerDeadline = []string{"127.0.0.1:0"}, 5*time.Second })
	const keys = 12
	var sets, asked, text, quiet, meta strings.Builder
	for k := range keys {
		value := strings.Repeat(fmt.Sprintf("%02d", k), 1000+10*k)
		fmt.Fprintf(&sets, "set udp%d %d 0 %d\r\n%s\r\n", k, k, len(value), value)
		fmt.Fprintf(&asked, " udp%d absent%d", k, k)
		fmt.Fprintf(&text, "VALUE udp%d %d %d\r\n%s\r\n", k, k, len(value), value)
		fmt.Fprintf(&quiet, "mg udp%d v f q\r\nmg absent%d v q\r\n", k, k)
		fmt.Fprintf(&meta, "VA %d f%d\r\n%s\r\n", len(value), k, value)
	}
	text.WriteString("END\r\n")
	meta.WriteString("MN\r\n")
	if got := talk(t, c.Dial(0), sets.String()+"quit\r\n"); got != strings.Repeat("STORED\r\n", keys) {
		t.Fatalf("sets: %q", got)
	}
	for i, n := range c.Nodes {
		_, addresses := n.Listening()
		conn, err := net.Dial("udp", addresses[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		f := func(id uint16, request, want string) {
			t.Helper()
			if got, datagrams := askDatagram(t, conn, id, request); got != want {
				t.Errorf("node %d: %.40q gave %d bytes in %d datagrams, want %d", i, request, len(got), datagrams, len(want))
			} else if least := len(want) / 1400; datagrams <= least {
				t.Errorf("node %d: %d bytes in %d datagrams", i, len(want), datagrams)
			}
		}
		f(uint16(i)<<8, "get"+asked.String()+"\r\n", text.String())
		f(uint16(i)<<8+1, quiet.String()+"mn\r\n", meta.String())
		f(uint16(i)<<8+2, fmt.Sprintf("set udp-from-%d 0 0 1\r\nx\r\nget udp-from-%d\r\n", i, i), fmt.Sprintf("STORED\r\nVALUE udp-from-%d 0 1\r\nx\r\nEND\r\n", i))
		f(uint16(i)<<8+3, "\x80\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00none", // GetK would name it: Get does not
			"\x81\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x09\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00Not found")
	}
}

// askDatagram sends a request and puts its answer together, whatever the order of its datagrams.
func askDatagram(t *testing.T, conn net.Conn, id uint16, request string) (answer string, datagrams int) {
	t.Helper()
	head := binary.BigEndian.AppendUint16(nil, id)
	if _, err := conn.Write(append(append(head, 0, 0, 0, 1, 0, 0), request...)); err != nil {
		t.Fatal(err)
	}
	var parts []string
	for got := 0; got == 0 || got < len(parts); {
		in := make([]byte, 2000)
		n, err := conn.Read(in)
		if err != nil {
			t.Fatalf("after %d of %d datagrams: %v", got, len(parts), err)
		}
		if n <= 8 || n > 1400 || binary.BigEndian.Uint16(in) != id {
			continue
		}
		if parts == nil {
			parts = make([]string, binary.BigEndian.Uint16(in[4:]))
		}
		if seq := int(binary.BigEndian.Uint16(in[2:])); seq < len(parts) && parts[seq] == "" {
			parts[seq] = string(in[8:n])
			got++
		}
	}
	return strings.Join(parts, ""), len(parts)
}
