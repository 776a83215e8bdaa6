package server_test

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gm/pkg/server"
	"gm/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server on a free port of the loopback and returns its address.
func start(t testing.TB, cfg server.Config) (*server.Server, string) {
	t.Helper()
	if cfg.Host == "" {
		cfg.Host = "test"
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := server.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != server.ErrClosed {
			t.Errorf("Serve returned %v, want ErrClosed", err)
		}
	})
	return s, l.Addr().String()
}

// peer is one connection, spoken to in literal packets.
type peer struct {
	t testing.TB
	net.Conn
	r *wire.Reader
	p wire.Packet
}

const patience = 10 * time.Second

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, nc)
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &peer{t: t, Conn: nc, r: wire.NewReader(nc, wire.Limits{})}
}

// send writes packets in one write.
func (p *peer) send(packets ...[]byte) {
	p.t.Helper()
	var b []byte
	for _, one := range packets {
		b = append(b, one...)
	}
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

func req(t wire.Type, args ...string) []byte {
	return wire.AppendString(nil, wire.Request, t, args...)
}

// want reads the next packet and compares its trace; * stands for any handle.
func (p *peer) want(trace string) []string {
	p.t.Helper()
	if err := p.r.Next(&p.p); err != nil {
		p.t.Fatalf("want %s: %v", trace, err)
	}
	args := make([]string, p.p.Type.NumArgs())
	for i := range args {
		args[i] = string(p.p.Args[i])
	}
	if got := p.p.String(); got != "RES "+trace && !matches(trace, got) {
		p.t.Fatalf("got  %s\nwant RES %s", got, trace)
	}
	return args
}

// next reads the next packet whatever it is.
func (p *peer) next() *wire.Packet {
	p.t.Helper()
	if err := p.r.Next(&p.p); err != nil {
		p.t.Fatalf("next packet: %v", err)
	}
	return &p.p
}

// line sends an admin command and returns the first line of its reply.
func (p *peer) line(cmd string) string {
	p.t.Helper()
	p.send([]byte(cmd + "\n"))
	return p.readLine()
}

func (p *peer) readLine() string {
	p.t.Helper()
	line, err := p.r.NextLine()
	if err != nil {
		p.t.Fatalf("read line: %v", err)
	}
	return string(line)
}

// list sends an admin command and returns its rows.
func (p *peer) list(cmd string) []string {
	p.t.Helper()
	p.send([]byte(cmd + "\n"))
	var rows []string
	for {
		line := p.readLine()
		if line == "." {
			return rows
		}
		rows = append(rows, line)
	}
}
