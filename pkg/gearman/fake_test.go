package gearman

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gm/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the maximum time that a test waits for an event.
const patience = 10 * time.Second

// fake is a job server that follows the script of a test, packet by packet.
type fake struct {
	t     testing.TB
	conns chan net.Conn
	Server
	listener net.Listener
}

// newFake listens on a free port.
func newFake(t testing.TB) *fake {
	t.Helper()
	return newFakeAt(t, "127.0.0.1:0")
}

func newFakeAt(t testing.TB, addr string) *fake {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, conns: make(chan net.Conn, 100), listener: l}
	f.Server = Server{"tcp", l.Addr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			f.conns <- nc
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for len(f.conns) > 0 {
			(<-f.conns).Close()
		}
	})
	return f
}

// newPipe is a fake in memory, for tests in a bubble of synctest: its dial
// goes into Options.Dial.
func newPipe(t testing.TB) *fake {
	return &fake{t: t, conns: make(chan net.Conn, 100), Server: Server{"tcp", "pipe:1"}}
}

func (f *fake) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	f.conns <- far
	return near, nil
}

// accept waits for the next connection.
func (f *fake) accept() *peer {
	f.t.Helper()
	select {
	case nc := <-f.conns:
		nc.SetDeadline(time.Now().Add(patience))
		f.t.Cleanup(func() { nc.Close() })
		return &peer{t: f.t, nc: nc, in: wire.NewReader(nc, wire.Limits{})}
	case <-time.After(patience):
		f.t.Fatal("nobody has connected")
		return nil
	}
}

// acceptClient is accept for a client's connection, which begins with an
// option.
func (f *fake) acceptClient() *peer {
	f.t.Helper()
	p := f.accept()
	p.expect(wire.OptionReq, "exceptions")
	p.send(wire.OptionRes, "exceptions")
	return p
}

// startAfterLoss starts a task of a client that has lost this server: it has to
// answer before the task is sent.
func (f *fake) startAfterLoss(c *Client, task *Task) (*Running, *peer) {
	f.t.Helper()
	started := make(chan *Running, 1)
	go func() {
		r, err := c.StartAsync(context.Background(), task)
		if err != nil {
			f.t.Error(err)
		}
		started <- r
	}()
	s := f.acceptClient()
	return within(f.t, "StartAsync", started), s
}

// peer is the server's end of a connection.
type peer struct {
	t  testing.TB
	nc net.Conn
	in *wire.Reader
}

// read returns the next packet as its type and arguments.
func (p *peer) read() (wire.Type, []string) {
	p.t.Helper()
	var got wire.Packet
	if err := p.in.Next(&got); err != nil {
		p.t.Fatalf("read packet: %v", err)
	}
	if got.Magic != wire.Request {
		p.t.Fatalf("got %v", &got)
	}
	args := []string{}
	for _, a := range got.Args[:got.Type.NumArgs()] {
		args = append(args, string(a))
	}
	return got.Type, args
}

// expect reads the next packet, which must be this one.
func (p *peer) expect(typ wire.Type, args ...string) {
	p.t.Helper()
	got, gotArgs := p.read()
	if got != typ || strings.Join(gotArgs, "\x00") != strings.Join(args, "\x00") {
		p.t.Fatalf("got %v %q, want %v %q", got, gotArgs, typ, args)
	}
}

// expectEnd waits for the other end to hang up.
func (p *peer) expectEnd() {
	p.t.Helper()
	var got wire.Packet
	if err := p.in.Next(&got); err == nil {
		p.t.Fatalf("got %v, want the end", &got)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		p.t.Fatal("the connection is still open")
	}
}

func (p *peer) send(typ wire.Type, args ...string) {
	p.t.Helper()
	p.raw(string(wire.AppendString(nil, wire.Response, typ, args...)))
}

func (p *peer) raw(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.nc, s); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *peer) close() { p.nc.Close() }

// within fails the test if c is not ready in time.
func within[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

func testClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// clientOf returns a client of the fakes.
func clientOf(t testing.TB, fakes ...*fake) *Client {
	t.Helper()
	var o Options
	for _, f := range fakes {
		o.Servers = append(o.Servers, f.Server)
	}
	return testClient(t, o)
}

func startAsync(t testing.TB, c *Client, task *Task) *Running {
	t.Helper()
	r, err := c.StartAsync(context.Background(), task)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// end waits for a task's end.
func end(t testing.TB, r *Running) (*Result, error) {
	t.Helper()
	within(t, "the task's end", r.Done())
	return r.Wait(context.Background())
}

func deadAddr(t testing.TB) Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return Server{"tcp", l.Addr().String()}
}

// waitFor waits for a condition that nothing announces.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
