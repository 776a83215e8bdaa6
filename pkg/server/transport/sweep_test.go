package transport

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sweptPeers sweeps its connections when it is asked to.
type sweptPeers struct {
	*Peers
	mu     sync.Mutex
	conns  []fakeConn
	parked map[*Conn]int
	sweeps int
}

func newSweptPeers(t *testing.T, cfg Config) *sweptPeers {
	s := &sweptPeers{parked: make(map[*Conn]int)}
	cfg.Sweep = s.sweep
	s.Peers = newTestPeers(cfg)
	t.Cleanup(s.Close)
	return s
}

func (s *sweptPeers) sweep() {
	s.mu.Lock()
	s.sweeps++
	sweep := s.BeginSweep()
	for _, c := range s.conns {
		if why := sweep.Check(c.Conn, s.parked[c.Conn]); why != nil {
			c.handler.Drop(why)
		}
	}
	s.mu.Unlock()
	sweep.End()
}

func (s *sweptPeers) newConn() fakeConn {
	c := newFakeConn(s.Peers)
	c.handler.onDrop = func(why error) {
		c.MarkDropped()
		c.StopReading()
		c.Out.failWith(why)
		s.Peers.forgetReading(c.Conn)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	return c
}

// wantDropped compares the connections that were dropped, and their reason.
func (s *sweptPeers) wantDropped(t *testing.T, why error, want ...fakeConn) {
	t.Helper()
	synctest.Wait()
	for i, c := range s.conns {
		got := c.handler.dropped()
		if wanted := slices.Contains(want, c); wanted != (got != nil) || wanted && got != why {
			t.Errorf("connection %d: dropped with %v, want it %v", i, got, wanted)
		}
	}
}

// TestIncompleteRequestHasADeadline: a peer that has begun a request must send more of
// it within the patience. The sweeps end when no request is incomplete.
func TestIncompleteRequestHasADeadline(t *testing.T) {
	const patience = 40 * time.Second
	synctest.Test(t, func(t *testing.T) {
		s := newSweptPeers(t, Config{Patience: patience})
		silent, slow, whole := s.newConn(), s.newConn(), s.newConn()
		s.newConn() // which sends nothing
		for _, c := range s.conns[:3] {
			c.readPart(100)
		}
		began := s.now()
		for s.now()-began < 3*patience {
			time.Sleep(patience / 10)
			slow.readPart(101)
			whole.readWhole()
			switch took := s.now() - began; {
			case took < patience:
				s.wantDropped(t, nil)
			case took > patience+2*s.sweepEvery():
				s.wantDropped(t, errBegun, silent)
			}
		}
		slow.readWhole()
		time.Sleep(patience)
		synctest.Wait()
		before := s.sweeps
		time.Sleep(10 * patience)
		synctest.Wait()
		if s.sweeps != before {
			t.Errorf("%d sweeps without a reason", s.sweeps-before)
		}
		if n := len(s.progress.seen); n != 0 {
			t.Errorf("%d connections without bytes are remembered", n)
		}
	})
}

// TestIdlePeersAreDroppedWhileMemoryIsShort, the largest first, and no more than is
// necessary. Peers that make progress, or wait for others, stay.
func TestIdlePeersAreDroppedWhileMemoryIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSweptPeers(t, Config{Memory: 10 << 20})
		var deaf []fakeConn
		for i := range 5 {
			c := s.newConn()
			c.Out.Append(nil, make([]byte, (i+1)<<20))
			c.Flush()
			deaf = append(deaf, c)
		}
		reads, held := s.newConn(), s.newConn()
		reads.Out.Append(nil, make([]byte, 6<<20))
		held.Out.Append(nil, make([]byte, 7<<20))
		reads.Flush()
		held.Hold.Expect()
		held.Hold.Begin()
		if sum := int64(28 << 20); s.Used() != sum {
			t.Fatalf("%d bytes in use, want %d", s.Used(), sum)
		}
		for range 3 {
			s.wantDropped(t, nil)
			time.Sleep(s.sweepEvery())
			reads.socket.take(&reads.Out, 1)
		}
		// 18 MiB are too many, and only 15 of them make no progress.
		s.wantDropped(t, errIdle, deaf...)
	})
	synctest.Test(t, func(t *testing.T) {
		s := newSweptPeers(t, Config{Memory: 10 << 20})
		var conns []fakeConn
		for i := range 5 {
			c := s.newConn()
			c.Out.Append(nil, make([]byte, (i+1)<<20))
			conns = append(conns, c)
		}
		time.Sleep(4 * s.sweepEvery()) // 5 MiB are too many
		s.wantDropped(t, errIdle, conns[4])
	})
}

// TestParkedBytesCount: bytes that wait besides the outbox make a connection large too.
func TestParkedBytesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSweptPeers(t, Config{Memory: 1 << 20})
		outbox, parks := s.newConn(), s.newConn()
		s.parked[parks.Conn] = 2 << 20
		outbox.Out.Append(nil, make([]byte, 1<<20+1))
		time.Sleep(4 * s.sweepEvery())
		s.wantDropped(t, errIdle, parks)
	})
}

// TestTheOneForWhichOthersWaitIsDropped if it sends no more of its request, though there
// would be room.
func TestTheOneForWhichOthersWaitIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSweptPeers(t, Config{Memory: 1 << 20})
		only, waits, large := s.newConn(), s.newConn(), s.newConn()
		only.readPart(100 << 10)
		waits.readPart(200 << 10)
		large.Out.Append(nil, make([]byte, 900<<10))
		if !only.mayRead() || waits.mayRead() {
			t.Fatal("not exactly one is read")
		}
		time.Sleep(4 * s.sweepEvery())
		s.wantDropped(t, errIdle, only, large)
	})
}

// TestPeersOfALateServerStay, whether the server has not read their requests or not
// written its replies. When it has caught up, or never does, they are dropped if they
// are idle.
func TestPeersOfALateServerStay(t *testing.T) {
	const patience = 40 * time.Second
	for name, tc := range map[string]struct {
		memory int64
		late   time.Duration
		begin  func(c fakeConn)
		why    error
	}{
		"request":                       {0, 3 * patience, func(c fakeConn) { c.readPart(100) }, errBegun},
		"request while memory is short": {1 << 20, patience / 2, func(c fakeConn) { c.readPart(2 << 20) }, errIdle},
		"replies while memory is short": {1 << 20, patience / 2, func(c fakeConn) { c.Out.Append(nil, make([]byte, 2<<20)) }, errIdle},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSweptPeers(t, Config{Memory: tc.memory, Patience: patience, Outbox: 64 << 20})
				c := s.newConn()
				c.socket.setReady(true)
				tc.begin(c)
				time.Sleep(tc.late)
				s.wantDropped(t, nil)
				c.socket.setReady(false)
				time.Sleep(patience / 4)
				s.wantDropped(t, tc.why, c)
			})
			synctest.Test(t, func(t *testing.T) {
				s := newSweptPeers(t, Config{Memory: tc.memory, Patience: patience, Outbox: 64 << 20})
				c := s.newConn()
				c.socket.setReady(true)
				tc.begin(c)
				time.Sleep(5 * patience)
				s.wantDropped(t, tc.why, c)
			})
		})
	}
}
