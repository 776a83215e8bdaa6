package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A testServer answers lines. Its connections share a lock and an order of turns.
type testServer struct {
	peers  *Peers
	poller *Poller // nil if each connection has a goroutine
	wg     sync.WaitGroup

	waiting chan struct{} // has a value when a turn waits for goOn
	goOn    chan struct{}

	mu    sync.Mutex
	turns []string // names of connections, in the order in which their lines were applied
	dirty []*lineConn
	conns map[string]*lineConn // by name
}

// startTestServer returns a server, with a poller or without.
func startTestServer(t *testing.T, polled bool) *testServer {
	s := &testServer{
		conns: make(map[string]*lineConn), peers: newTestPeers(Config{}),
		waiting: make(chan struct{}), goOn: make(chan struct{}),
	}
	if polled {
		var err error
		if s.poller, err = NewPoller(s); errors.Is(err, errors.ErrUnsupported) {
			t.Skip("this system has no poller")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		s.mu.Lock()
		for _, c := range s.conns {
			c.Out.dst.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
		if s.poller != nil {
			s.poller.Stop()
		}
		s.peers.Close()
	})
	return s
}

// BeginRound implements [Rounds].
func (s *testServer) BeginRound() int64 { return time.Now().UnixMilli() }

// EndTurns implements [Rounds].
func (s *testServer) EndTurns() {
	s.mu.Lock()
	dirty := s.dirty
	s.dirty = nil
	s.mu.Unlock()
	for _, c := range dirty {
		c.Flush()
	}
}

// serve serves a connection. Its name is the first word that it sends.
func (s *testServer) serve(t *testing.T, nc net.Conn) {
	c := &lineConn{s: s, ended: make(chan error, 1)}
	s.wg.Add(1)
	if s.poller == nil {
		c.Init(NewSocket(nc), s.peers, c, false)
		go c.ServeAlone()
		return
	}
	if !CanPoll(nc) {
		t.Fatalf("%T cannot be polled", nc)
	}
	socket, err := s.poller.Adopt(nc)
	if err != nil {
		t.Fatal(err)
	}
	c.Init(socket, s.peers, c, true)
	s.poller.Watch(&c.Conn)
}

// lineConn is a connection that answers lines: "NAME COMMAND ARGUMENT". A turn applies
// one line.
type lineConn struct {
	Conn
	s       *testServer
	buf     []byte
	lane    Lane
	release func() // ends the hold
	ended   chan error
}

func (c *lineConn) Fill(lent []byte) (pending int, full bool, err error) {
	if lent == nil {
		lent = make([]byte, 4<<10)
	}
	n, err := c.Socket().Read(lent)
	c.buf = append(c.buf, lent[:n]...)
	return len(c.buf), n == len(lent), err
}

func (c *lineConn) Release() (pending, kept int) { return len(c.buf), cap(c.buf) }

func (c *lineConn) Lane() Lane { return c.lane }

func (c *lineConn) Drop(error) {}

func (c *lineConn) End(why error) {
	defer c.s.wg.Done()
	c.StopReading()
	c.Finish(0)
	c.ended <- why
}

func (c *lineConn) Apply() (applied Applied, err error) {
	line, rest, ok := bytes.Cut(c.buf, []byte("\n"))
	if !ok {
		return applied, nil
	}
	c.buf = rest
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	name, command, _ := strings.Cut(string(line), " ")
	command, argument, _ := strings.Cut(command, " ")
	c.s.turns = append(c.s.turns, name)
	c.s.conns[name] = c
	switch command {
	case "lane":
		fmt.Sscan(argument, &c.lane)
		c.Out.Append(nil, []byte("ok\n"))
	case "hold":
		c.release = c.Hold.Expect()
		c.Out.Append(nil, []byte("held\n"))
		applied.Held = c.Hold.Begin()
	case "bytes":
		var n int
		fmt.Sscan(argument, &n)
		c.Out.Append(nil, pattern(0, n))
	case "wait":
		c.s.mu.Unlock()
		c.s.waiting <- struct{}{}
		<-c.s.goOn
		c.s.mu.Lock()
	case "end":
		return applied, errors.New("told to end")
	default:
		c.Out.Append(nil, []byte(argument+"\n"))
	}
	c.NoteApplied()
	applied.More, applied.Slow = len(rest) > 0, c.lane == SlowLane
	c.s.dirty = append(c.s.dirty, c)
	if c.s.poller == nil {
		c.Flush()
	}
	return applied, nil
}

// eachKind runs a test with a poller and with a goroutine for each connection, over TCP
// and over a unix socket.
func eachKind(t *testing.T, test func(t *testing.T, s *testServer, dial func() net.Conn)) {
	for _, polled := range []bool{true, false} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(fmt.Sprintf("polled %v, %s", polled, network), func(t *testing.T) {
				s := startTestServer(t, polled)
				test(t, s, func() net.Conn { return s.dial(t, network) })
			})
		}
	}
}

// dial connects to the server.
func (s *testServer) dial(t *testing.T, network string) net.Conn {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = "unix:" + filepath.Join(t.TempDir(), "s")
	}
	l, err := Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mine, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mine.Close() })
	its, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	small := Options{Buffer: 64 << 10}
	for _, nc := range []net.Conn{mine, its} {
		if err := small.Set(nc); err != nil {
			t.Fatal(err)
		}
	}
	s.serve(t, its)
	return mine
}

// write sends bytes to the server.
func write(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
}

// wantLine reads a line.
func wantLine(t *testing.T, nc net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want)+1)
	if _, err := io.ReadFull(nc, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != want+"\n" {
		t.Fatalf("got %q, want %q", got, want+"\n")
	}
}

// conn returns the connection with a name.
func (s *testServer) conn(name string) *lineConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[name]
}

// TestRequestsAreAnsweredInOrder sends requests in pieces of many lengths.
func TestRequestsAreAnsweredInOrder(t *testing.T) {
	eachKind(t, func(t *testing.T, _ *testServer, dial func() net.Conn) {
		nc := dial()
		var all, want strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&all, "a echo %d\n", i)
			fmt.Fprintf(&want, "%d\n", i)
		}
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for rest, i := all.String(), 1; rest != ""; i++ {
				n := min(i*37%9000, len(rest))
				io.WriteString(nc, rest[:n]) //nolint:errcheck // the reader misses it
				rest = rest[n:]
			}
		}()
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(nc, got); err != nil {
			t.Fatal(err)
		}
		if string(got) != want.String() {
			t.Error("another answer")
		}
		<-sent
	})
}

// TestLongAnswerWaitsForTheReader: the bytes that the socket does not take are written
// when the peer reads, and all of them arrive.
func TestLongAnswerWaitsForTheReader(t *testing.T) {
	eachKind(t, func(t *testing.T, s *testServer, dial func() net.Conn) {
		const size = 4 << 20
		nc, other := dial(), dial()
		write(t, nc, fmt.Sprintf("a bytes %d\n", size))
		write(t, other, "b echo meanwhile\n")
		wantLine(t, other, "meanwhile")
		got := make([]byte, size)
		if _, err := io.ReadFull(nc, got[:1]); err != nil {
			t.Fatal(err)
		}
		if owed := s.conn("a").Out.Size(); owed == 0 {
			t.Error("all was written before the peer has read it")
		}
		if _, err := io.ReadFull(nc, got[1:]); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, pattern(0, size)) {
			t.Error("other bytes arrived")
		}
	})
}

// TestHeldConnectionIsNotRead: its next requests wait until the hold ends.
func TestHeldConnectionIsNotRead(t *testing.T) {
	eachKind(t, func(t *testing.T, s *testServer, dial func() net.Conn) {
		nc, other := dial(), dial()
		write(t, nc, "a hold\na echo one\n")
		wantLine(t, nc, "held")
		write(t, nc, "a echo two\n")
		for range 3 {
			write(t, other, "b echo meanwhile\n")
			wantLine(t, other, "meanwhile")
		}
		s.mu.Lock()
		turns, release := slices.Clone(s.turns), s.conns["a"].release
		s.mu.Unlock()
		if want := []string{"a", "b", "b", "b"}; !slices.Equal(turns, want) {
			t.Errorf("turns %v, want %v", turns, want)
		}
		release()
		wantLine(t, nc, "one")
		wantLine(t, nc, "two")
	})
}

// TestEndOfAConnection: the handler learns why the connection ends, and the peer gets
// the answers that come before the end.
func TestEndOfAConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		last  string
		close func(nc net.Conn)
		want  string
	}{
		"the peer closes":   {"a echo last\n", func(nc net.Conn) { nc.(interface{ CloseWrite() error }).CloseWrite() }, "EOF"},
		"the handler fails": {"a echo last\na end\n", func(net.Conn) {}, "told to end"},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, s *testServer, dial func() net.Conn) {
				nc := dial()
				write(t, nc, tc.last)
				wantLine(t, nc, "last")
				c := s.conn("a")
				tc.close(nc)
				if n, err := nc.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("the peer reads %d bytes and %v, want EOF", n, err)
				}
				if why := <-c.ended; why.Error() != tc.want {
					t.Errorf("it ends with %v, want %s", why, tc.want)
				}
			})
		})
	}
}

// TestDroppedConnectionEnds also while it is held.
func TestDroppedConnectionEnds(t *testing.T) {
	eachKind(t, func(t *testing.T, s *testServer, dial func() net.Conn) {
		nc := dial()
		write(t, nc, "a hold\n")
		wantLine(t, nc, "held")
		c := s.conn("a")
		c.MarkDropped()
		c.Flush()
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("the peer reads a byte")
		}
		<-c.ended
	})
}
