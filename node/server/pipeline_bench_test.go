package server_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/memring/memring/node/server"
)

// BenchmarkPipelined has one client that sends so many requests at a time.
func BenchmarkPipelined(b *testing.B) {
	for _, requests := range []int{1, 16, 100} {
		b.Run(fmt.Sprint(requests), func(b *testing.B) {
			timeEcho(b, strings.Repeat(block(100), requests))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(requests*b.N), "ns/request")
		})
	}
}

// BenchmarkLarge has requests that are larger than a buffer at rest.
func BenchmarkLarge(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { timeEcho(b, block(size)) })
	}
}

// timeEcho has one client send out, again and again, and read what comes back.
func timeEcho(b *testing.B, out string) {
	s := server.New(server.Config{Session: server.EchoSession})
	address, err := s.Listen("tcp", "127.0.0.1:0", 0)
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer func() { _ = s.Stop(deadline) }()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	sent, in := []byte(out), make([]byte, len(out))
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(sent); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, in); err != nil {
			b.Fatal(err)
		}
	}
}
