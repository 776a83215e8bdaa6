package server_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gm/pkg/server"
	"gm/pkg/wire"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// The parallel tests mostly wait, so that several share a processor.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(bothTransports{m})
}

// bothTransports runs all tests with a poller, where there is one, and then
// without.
type bothTransports struct{ m *testing.M }

// unpolled is true in the second run.
var unpolled bool

func (b bothTransports) Run() int {
	code := b.m.Run()
	if bench := flag.Lookup("test.bench").Value.String(); code != 0 || bench != "" {
		return code
	}
	unpolled = true
	return b.m.Run()
}

// start runs a server on a free port of the loopback and returns its address,
// when it has what its store has kept.
func start(t testing.TB, cfg server.Config) (*server.Server, string) {
	t.Helper()
	s, addr := startLoading(t, cfg)
	if err := s.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, addr
}

// startLoading is start while the store is still being read.
func startLoading(t testing.TB, cfg server.Config) (*server.Server, string) {
	t.Helper()
	if cfg.Host == "" {
		cfg.Host = "test"
	}
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if unpolled {
		s.Unpoll()
	}
	l, err := server.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if st, ok := cfg.Store.(interface{ open() }); ok {
			st.open()
		}
		s.Close()
		if err := <-served; !errors.Is(err, server.ErrClosed) {
			t.Errorf("Serve returned %v, want ErrClosed", err)
		}
	})
	return s, l.Addr().String()
}

// peer is one connection, spoken to in literal packets. A read or write that makes
// no progress for patience fails, unless the test has set a deadline of its own. A
// deadline for the whole connection would fail long tests on a loaded machine.
type peer struct {
	t testing.TB
	net.Conn
	r *wire.Reader
	p wire.Packet

	ownDeadline  bool
	readRenewed  time.Time
	writeRenewed time.Time
}

const patience = 20 * time.Second

// Read is that of [net.Conn].
func (p *peer) Read(b []byte) (int, error) {
	if now := time.Now(); !p.ownDeadline && now.Sub(p.readRenewed) > patience/10 {
		p.readRenewed = now
		p.Conn.SetReadDeadline(now.Add(patience)) //nolint:errcheck // the read fails then
	}
	return p.Conn.Read(b)
}

// Write is that of [net.Conn].
func (p *peer) Write(b []byte) (int, error) {
	if now := time.Now(); !p.ownDeadline && now.Sub(p.writeRenewed) > patience/10 {
		p.writeRenewed = now
		p.Conn.SetWriteDeadline(now.Add(patience)) //nolint:errcheck // the write fails then
	}
	return p.Conn.Write(b)
}

// SetDeadline is that of [net.Conn]. The deadline is not renewed any more.
func (p *peer) SetDeadline(t time.Time) error {
	p.ownDeadline = true
	return p.Conn.SetDeadline(t)
}

// SetReadDeadline is that of [net.Conn]. The deadlines are not renewed any more.
func (p *peer) SetReadDeadline(t time.Time) error {
	p.ownDeadline = true
	return p.Conn.SetReadDeadline(t)
}

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
	p := &peer{t: t, Conn: nc}
	p.r = wire.NewReader(p, wire.Limits{})
	return p
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

// matches compares a packet's trace with a pattern in which each * stands for
// any run of bytes.
func matches(pattern, got string) bool {
	parts := strings.Split("RES "+pattern, "*")
	rest, ok := strings.CutPrefix(got, parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, last)
}

// wantError reads an ERROR packet and compares its code.
func (p *peer) wantError(code string) {
	p.t.Helper()
	p.want(`ERROR code="` + code + `" text=*`)
}

// sync returns when the server has handled all that was sent before. It fails
// if something else than the echo comes first, so that it also tells that
// nothing was owed.
func (p *peer) sync() {
	p.t.Helper()
	p.send(req(wire.EchoReq, "sync"))
	p.want(`ECHO_RES data=4:"sync"`)
}

// submit sends a submission and returns its handle.
func (p *peer) submit(t wire.Type, args ...string) string {
	p.t.Helper()
	p.send(req(t, args...))
	return p.want(`JOB_CREATED handle="H:test:*"`)[0]
}

// grab asks for a job and returns its handle.
func (p *peer) grab() string {
	p.t.Helper()
	p.send(req(wire.GrabJob))
	return p.want(`JOB_ASSIGN *`)[0]
}

// wantEnd reads to the connection's end and fails if a packet comes before.
func (p *peer) wantEnd() {
	p.t.Helper()
	if err := p.r.Next(&p.p); err == nil {
		p.t.Fatalf("got %v, want the end of the connection", &p.p)
	} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		p.t.Fatal("the connection is still open")
	}
}

// raw reads n bytes.
func (p *peer) raw(n int) string {
	p.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(p, b); err != nil {
		p.t.Fatalf("read %d bytes: %v", n, err)
	}
	return string(b)
}

// worker dials and can do the functions.
func worker(t testing.TB, addr string, functions ...string) *peer {
	t.Helper()
	w := dial(t, addr)
	for _, f := range slices.Backward(functions) {
		w.send(req(wire.CanDo, f))
	}
	w.sync()
	return w
}

// eventually waits until cond is true.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	eventuallyWithin(t, patience, what, cond)
}

// eventuallyWithin is eventually with a patience of its own.
func eventuallyWithin(t testing.TB, patience time.Duration, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// logs collects what a server logs, as text without the time.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// wait waits for a line that contains all of parts.
func (l *logs) wait(t testing.TB, parts ...string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !l.has(parts) {
		if time.Now().After(deadline) {
			t.Fatalf("no log line with %q in:\n%s", parts, l)
		}
		<-tick.C
	}
}

func (l *logs) has(parts []string) bool {
line:
	for line := range strings.Lines(l.String()) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue line
			}
		}
		return true
	}
	return false
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
