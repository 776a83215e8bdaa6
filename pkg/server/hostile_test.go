package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// hostiles send something and then stay, or are dropped.
var hostiles = []struct {
	name string
	send string
	code string // of the ERROR that it gets before it is dropped; "" if it may stay
	log  string
}{
	{"sends nothing", "", "", ""},
	{"half a header", "\x00REQ\x00\x00", "", ""},
	{"half a body", "\x00REQ\x00\x00\x00\x10\x00\x00\x00\x0aabc", "", ""},
	{"half a line", "stat", "", ""},
	{"4 GB", "\x00REQ\x00\x00\x00\x07\xff\xff\xff\xff", wire.CodeDataTooLarge, "over the limit"},
	{"4 GB of arguments", "\x00REQ\x00\x00\x00\x01\xff\xff\xff\xff", wire.CodeDataTooLarge, "over the limit"},
	{"64 MB that do not come", "\x00REQ\x00\x00\x00\x07\x04\x00\x00\x00f\x00u\x00", "", ""},
	{"bad magic", "\x00BAD\x00\x00\x00\x01\x00\x00\x00\x00", wire.CodeInvalidMagic, "bad magic"},
	{"type 0", "\x00REQ\x00\x00\x00\x00\x00\x00\x00\x00", wire.CodeInvalidCommand, "unknown packet type 0"},
	{"type 5", "\x00REQ\x00\x00\x00\x05\x00\x00\x00\x00", wire.CodeInvalidCommand, "unknown packet type 5"},
	{"type 43", "\x00REQ\x00\x00\x00\x2b\x00\x00\x00\x00", wire.CodeInvalidCommand, "unknown packet type 43"},
	{"type of 4 billion", "\x00REQ\xff\xff\xff\xff\x00\x00\x00\x00", wire.CodeInvalidCommand, "unknown packet type"},
	{"a server's packet", "\x00RES\x00\x00\x00\x06\x00\x00\x00\x00", wire.CodeInvalidPacket, "not for a server"},
	{"a server's type", "\x00REQ\x00\x00\x00\x06\x00\x00\x00\x00", wire.CodeInvalidPacket, "not for a server"},
	{"a request as response", "\x00RES\x00\x00\x00\x10\x00\x00\x00\x01x", wire.CodeInvalidPacket, "not for a server"},
	{"too few arguments", "\x00REQ\x00\x00\x00\x07\x00\x00\x00\x01f", wire.CodeInvalidPacket, "malformed"},
	{"two lines of nonsense", "GETS / FTP\r\nbla\r\n\r\n", "", ""},
}

func TestHostilePeers(t *testing.T) {
	var log logs
	_, addr := start(t, server.Config{Logger: log.logger(0)})
	for _, tt := range hostiles {
		t.Run(tt.name, func(t *testing.T) {
			p := dial(t, addr)
			p.send([]byte(tt.send))
			alive(t, addr)
			if tt.code == "" {
				return
			}
			p.wantError(tt.code)
			p.wantEnd()
			log.wait(t, "level=WARN", "msg=dropped", p.LocalAddr().String(), tt.log)
		})
	}
}

// alive runs a job from submission to result on fresh connections.
func alive(t *testing.T, addr string) {
	t.Helper()
	w, c := dial(t, addr), dial(t, addr)
	for _, p := range []*peer{w, c} {
		defer p.Close()
		p.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // the next write tells
	}
	w.send(req(wire.CanDo, "alive"))
	w.sync()
	h := c.submit(wire.SubmitJob, "alive", "", "x")
	w.grab()
	w.send(req(wire.WorkComplete, h, "x"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)
	c.list("status")
}

func TestAHalfPacketAtTheEndIsLogged(t *testing.T) {
	var log logs
	_, addr := start(t, server.Config{Logger: log.logger(0)})
	p := dial(t, addr)
	p.send([]byte("\x00REQ\x00\x00"))
	p.Conn.(*net.TCPConn).CloseWrite() //nolint:errcheck // seen by the reader
	p.wantEnd()
	log.wait(t, "level=WARN", "msg=dropped", p.LocalAddr().String(), "unexpected EOF")
}

// What comes before a mistake is answered, what comes after it is not.
func TestRequestsAroundAMistake(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	p.send(req(wire.EchoReq, "before"), []byte("\x00REQ\x00\x00\x00\x05\x00\x00\x00\x00"), req(wire.EchoReq, "after"))
	p.want(`ECHO_RES data=6:"before"`)
	p.wantError(wire.CodeInvalidCommand)
	p.wantEnd()
}

func TestMaxPayload(t *testing.T) {
	_, addr := start(t, server.Config{MaxPayload: 1000})
	p := dial(t, addr)
	p.submit(wire.SubmitJobBG, "f", "", strings.Repeat("x", 1000))
	p.send(req(wire.SubmitJobBG, "f", "", strings.Repeat("x", 1001)))
	p.wantError(wire.CodeDataTooLarge)
	p.wantEnd()
}

func TestPeerThatNeverReads(t *testing.T) {
	const limit = 4 << 20
	echo := req(wire.EchoReq, strings.Repeat("e", 1<<20))
	floods := map[string][]byte{
		"echo of 1 MB": echo,
		"status":       bytes.Repeat([]byte("status\n"), 1000),
		"help":         bytes.Repeat([]byte("help\n"), 1000),
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			var log logs
			_, addr := start(t, server.Config{
				Logger: log.logger(0), MaxPayload: 1 << 20, MaxOutbox: limit, PeerTimeout: 1500 * time.Millisecond,
			})
			fill := dial(t, addr)
			for i := range 50 {
				fill.send(req(wire.CanDo, strings.Repeat("f", 500)+string(rune('a'+i))))
			}
			fill.sync()
			before := heap()
			p := dial(t, addr)
			// How long it takes to fill the outbox is for the machine to say: an
			// end of time would look like a drop.
			for _, p := range []*peer{fill, p} {
				p.SetDeadline(time.Time{}) //nolint:errcheck // the writes tell
			}
			p.Conn.(*net.TCPConn).SetReadBuffer(4 << 10) //nolint:errcheck // it only takes longer
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					if _, err := p.Write(flood); err != nil {
						return // dropped
					}
				}
			})
			dropped := make(chan struct{})
			go func() { wg.Wait(); close(dropped) }()
			for answered := 0; ; answered++ {
				alive(t, addr)
				select {
				case <-dropped:
					if grown := heap() - before; grown > 4*limit {
						t.Errorf("the heap has grown by %d MB, the limit is %d MB", grown>>20, limit>>20)
					}
					log.wait(t, "level=WARN", "msg=dropped", p.LocalAddr().String(), "does not read")
					eventually(t, "it is gone", func() bool { return len(fill.list("workers")) <= 3 })
					return
				default:
				}
			}
		})
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Nobody waits for a client that does not read its results.
func TestClientThatNeverReadsResults(t *testing.T) {
	var log logs
	_, addr := start(t, server.Config{
		Logger: log.logger(0), MaxPayload: 1 << 20, MaxOutbox: 4 << 20, PeerTimeout: 500 * time.Millisecond,
	})
	w, deaf, c := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	h := deaf.submit(wire.SubmitJob, "f", "u", "")
	c.submit(wire.SubmitJob, "f", "u", "")
	w.grab()
	data := req(wire.WorkData, h, strings.Repeat("d", 1<<20))
	for i := 0; !log.has([]string{"msg=dropped", deaf.LocalAddr().String(), "does not read"}); i++ {
		if i > 100 {
			t.Fatal("it is not dropped after 100 MB")
		}
		w.send(data)
		if p := c.next(); p.Type != wire.WorkData {
			t.Fatalf("got %v", p)
		}
		w.sync()
	}
	w.send(req(wire.WorkComplete, h, "x"))
	for c.next().Type != wire.WorkComplete {
	}
	w.sync()
}

// streamed runs a job whose worker streams pieces of 1 MB faster than its
// clients read, and returns when they have all of them.
func streamed(t *testing.T, w *peer, handle string, pieces int, clients ...*peer) {
	t.Helper()
	piece := strings.Repeat("d", 1<<20)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range pieces {
			if _, err := w.Write(req(wire.WorkData, handle, piece)); err != nil {
				t.Errorf("the worker: %v", err)
				return
			}
		}
		w.Write(req(wire.WorkComplete, handle, "end"))
	})
	for _, c := range clients {
		wg.Go(func() {
			for i := range pieces {
				if err := c.r.Next(&c.p); err != nil {
					t.Errorf("after %d pieces: %v", i, err)
					return
				}
				if c.p.Type != wire.WorkData || string(c.p.Args[1]) != piece {
					t.Errorf("piece %d is a %v of %d bytes", i, c.p.Type, len(c.p.Args[1]))
					return
				}
			}
			if err := c.r.Next(&c.p); err != nil || c.p.Type != wire.WorkComplete {
				t.Errorf("the end: %v, %v", &c.p, err)
			}
		})
	}
	wg.Wait()
}

// A result that is streamed faster than its client reads arrives whole, however
// long it is: the worker is not read meanwhile.
func TestStreamedResultWaitsForASlowClient(t *testing.T) {
	const pieces = 48
	for name, submit := range map[string]func(w *peer, clients ...*peer) string{
		"foreground": func(w *peer, clients ...*peer) (h string) {
			for _, c := range clients {
				h = c.submit(wire.SubmitJob, "f", "u", "")
			}
			return h
		},
		"background that clients joined": func(w *peer, clients ...*peer) (h string) {
			w.submit(wire.SubmitJobBG, "f", "u", "")
			for _, c := range clients {
				h = c.submit(wire.SubmitJob, "f", "u", "")
			}
			return h
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := start(t, server.Config{MaxPayload: 1 << 20, MaxOutbox: 4 << 20})
			w, slow, quick := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
			slow.Conn.(*net.TCPConn).SetReadBuffer(256 << 10) //nolint:errcheck // it only takes longer
			h := submit(w, slow, quick)
			w.grab()
			streamed(t, w, h, pieces, slow, quick)
		})
	}
}

// A peer that is client and worker of its own job gets the result, as it reads
// while it writes.
func TestStreamedResultToItself(t *testing.T) {
	_, addr := start(t, server.Config{MaxPayload: 1 << 20, MaxOutbox: 4 << 20})
	p := worker(t, addr, "f")
	h := p.submit(wire.SubmitJob, "f", "", "")
	p.grab()
	streamed(t, p, h, 32, p)
}

// A worker whose client does not read is not read itself, but others are
// served; when the client is dropped it goes on.
func TestWorkerGoesOnWhenItsDeafClientIsDropped(t *testing.T) {
	var log logs
	_, addr := start(t, server.Config{
		Logger: log.logger(0), MaxPayload: 1 << 20, MaxOutbox: 4 << 20, PeerTimeout: 500 * time.Millisecond,
	})
	w, deaf := worker(t, addr, "f"), dial(t, addr)
	h := deaf.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	streamed(t, w, h, 48)
	w.sync()
	alive(t, addr)
	log.wait(t, "msg=dropped", deaf.LocalAddr().String(), "does not read", "it took none for")
}

// A client that leaves does not keep its worker waiting.
func TestWorkerGoesOnWhenItsSlowClientLeaves(t *testing.T) {
	_, addr := start(t, server.Config{MaxPayload: 1 << 20, MaxOutbox: 4 << 20})
	w, c, admin := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	var wg sync.WaitGroup
	wg.Go(func() { streamed(t, w, h, 48) })
	// The worker is not read from 2 MiB on until 1 MiB is left, and the system may
	// take some of that at any time.
	eventually(t, "much waits for the client", func() bool {
		return slices.ContainsFunc(admin.list("sessions"), func(row string) bool {
			var one wire.Session
			return json.Unmarshal([]byte(row), &one) == nil && one.OwedBytes > 1<<20
		})
	})
	c.Close()
	wg.Wait()
	w.sync()
}

// The server ends although a worker waits for its client.
func TestCloseWhileAWorkerWaitsForItsClient(t *testing.T) {
	s, addr := start(t, server.Config{MaxPayload: 1 << 20, MaxOutbox: 4 << 20})
	w, c, admin := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	var wg sync.WaitGroup
	wg.Go(func() {
		piece := req(wire.WorkData, h, strings.Repeat("d", 1<<20))
		for {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	// The worker is not read from 2 MiB on until 1 MiB is left, and the system may
	// take some of that at any time.
	eventually(t, "much waits for the client", func() bool {
		return slices.ContainsFunc(admin.list("sessions"), func(row string) bool {
			var one wire.Session
			return json.Unmarshal([]byte(row), &one) == nil && one.OwedBytes > 1<<20
		})
	})
	go io.Copy(io.Discard, c.Conn)
	s.Close()
	wg.Wait()
}

// A client that sends all of its submissions before it reads is read while it
// does, however much waits for it.
func TestClientThatSendsBeforeItReads(t *testing.T) {
	_, addr := start(t, server.Config{MaxPayload: 1 << 20, MaxOutbox: 4 << 20})
	w, c := worker(t, addr, "f"), dial(t, addr)
	const jobs = 40
	big := strings.Repeat("b", 1<<20)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range jobs {
			for w.send(req(wire.GrabJob)); ; w.send(req(wire.GrabJob)) {
				if w.next().Type == wire.JobAssign {
					break
				}
			}
			w.send(req(wire.WorkComplete, string(w.p.Args[0]), big))
		}
	})
	for range jobs {
		c.send(req(wire.SubmitJob, "f", "", big))
	}
	created, completed := 0, 0
	for created < jobs || completed < jobs {
		switch p := c.next(); p.Type {
		case wire.JobCreated:
			created++
		case wire.WorkComplete:
			completed++
		default:
			t.Fatalf("got %v", p)
		}
	}
	wg.Wait()
}

// A peer that reads slowly, but reads, gets everything.
func TestSlowReaderGetsItWhole(t *testing.T) {
	const size = 12 << 20
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	result := make([]byte, size)
	for i := range result {
		result[i] = byte(i * 7 >> 3)
	}
	w.send(req(wire.WorkComplete, h, string(result)))
	w.sync() // it has been taken from the worker, who waits for nobody
	head := wire.HeaderSize + len(h) + 1
	c.raw(head)
	got := make([]byte, size)
	for n := 0; n < size; {
		alive(t, addr) // a while
		k, err := c.Read(got[n:min(n+(128<<10), size)])
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		n += k
	}
	if !bytes.Equal(got, result) {
		t.Error("the result has changed on its way")
	}
}

func TestManyConnectionsLeakNothing(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	s, addr := start(t, server.Config{})
	c := dial(t, addr)
	c.sync()
	goroutines := runtime.NumGoroutine()
	before := heap()
	for i := range rounds {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 4 {
		case 0: // at once
		case 1:
			nc.Write([]byte("\x00REQ\x00"))
		case 2: // with a job, an ability and a nap
			nc.Write(req(wire.SubmitJob, "f", "", "x"))
			nc.Write(append(req(wire.CanDo, "g"), req(wire.PreSleep)...))
		case 3:
			nc.Write([]byte("status\n"))
			io.ReadFull(nc, make([]byte, 2))
		}
		nc.Close()
	}
	eventually(t, "only one connection is left", func() bool { return len(c.list("workers")) == 1 })
	eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines })
	for _, f := range server.Snapshot(s) {
		if f.Total() != 0 || f.Workers != 0 || f.Sleeping != 0 {
			t.Errorf("left behind: %+v", f)
		}
	}
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("the heap has grown by %d KB", grown>>10)
	}
}

// A worker that is dropped loses its jobs like one that leaves.
func TestDroppedWorkerLosesItsJobs(t *testing.T) {
	_, addr := start(t, server.Config{})
	bad, w, c := worker(t, addr, "f"), worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	bad.grab()
	w.send(req(wire.PreSleep))
	w.sync()
	bad.send([]byte("\x00BAD"))
	w.want(`NOOP`)
	if w.grab() != h {
		t.Error("another job came")
	}
	bad.wantError(wire.CodeInvalidMagic)
}

// Peers that are dropped one after the other do not fill the log: some lines
// are logged, and then a line with the number of those that were not.
func TestDroppedPeersAreSampledInTheLog(t *testing.T) {
	var log logs
	s, addr := start(t, server.Config{Logger: log.logger(0)})
	const peers = 100
	for range peers {
		p := dial(t, addr)
		p.send([]byte("\x00BAD"))
		p.wantError(wire.CodeInvalidMagic)
		p.wantEnd()
		p.Close()
	}
	s.Close()
	lines := strings.Count(log.String(), "msg=dropped")
	if lines == 0 || lines > peers/2 {
		t.Errorf("%d lines for %d dropped peers", lines, peers)
	}
	var suppressed int
	for line := range strings.Lines(log.String()) {
		if _, n, ok := strings.Cut(line, "line=dropped suppressed="); ok {
			k, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				t.Fatal(err)
			}
			suppressed += k
		}
	}
	if lines+suppressed != peers {
		t.Errorf("%d lines and %d suppressed ones for %d dropped peers", lines, suppressed, peers)
	}
}
