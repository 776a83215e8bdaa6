package transport

import "testing"

const testBound = 1 << 20

// readPart makes a connection hold a part of a request.
func (c fakeConn) readPart(n int) { c.noteRead(n, n) }

// readWhole makes a connection hold nothing, because its request is complete.
func (c fakeConn) readWhole() {
	c.NoteApplied()
	c.noteRead(0, 0)
}

// TestLargeRequestsTakeTurnsOverTheBound: one connection with a large part is read until
// its request is complete, then the next.
func TestLargeRequestsTakeTurnsOverTheBound(t *testing.T) {
	p := newTestPeers(Config{Memory: testBound})
	t.Cleanup(p.Close)
	var conns []fakeConn
	for range 4 {
		c := newFakeConn(p)
		if !c.mayRead() {
			t.Fatal("not read below the bound")
		}
		c.readPart(testBound / 3)
		conns = append(conns, c)
	}
	first, second, third, fourth := conns[0], conns[1], conns[2], conns[3]
	for range 2 {
		if !first.mayRead() {
			t.Error("the first is not read")
		}
		for _, c := range conns[1:] {
			if c.mayRead() || !c.starved.Load() {
				t.Error("a second one is read")
			}
		}
	}
	first.NoteApplied()
	first.readPart(testBound / 3) // it has begun the next request
	for i, c := range conns[1:] {
		if !c.isResumed() || c.starved.Load() {
			t.Errorf("connection %d does not ask again", i+2)
		}
	}
	if !third.mayRead() || second.mayRead() || fourth.mayRead() || first.mayRead() {
		t.Error("not exactly the one that asks first is read")
	}
	third.readWhole() // there is room again
	for _, c := range []fakeConn{first, second, fourth} {
		if !c.isResumed() || !c.mayRead() {
			t.Error("one waits although there is room")
		}
	}
}

// TestSmallRequestsAreReadOverTheBound, less of them over twice the bound.
func TestSmallRequestsAreReadOverTheBound(t *testing.T) {
	for _, tc := range []struct {
		used, kept int
		read       bool
	}{
		{testBound, 10 << 20, true},
		{testBound + 1, smallShare, true},
		{testBound + 1, smallShare + 1, false},
		{2*testBound + 1, leastShare, true},
		{2*testBound + 1, leastShare + 1, false},
	} {
		p := newTestPeers(Config{Memory: testBound})
		c, other := newFakeConn(p), newFakeConn(p)
		c.kept.Store(int64(tc.kept))
		p.memory.only = other.Conn
		p.countHeld(int64(tc.used))
		if got := c.mayRead(); got != tc.read {
			t.Errorf("%d bytes in use, %d of a request: read %v, want %v", tc.used, tc.kept, got, tc.read)
		}
		p.Close()
	}
}

// TestNoneIsReadWhileOutboxesFillTheMemory, until their peers read.
func TestNoneIsReadWhileOutboxesFillTheMemory(t *testing.T) {
	p := newTestPeers(Config{Memory: testBound})
	t.Cleanup(p.Close)
	slow, c := newFakeConn(p), newFakeConn(p)
	slow.Out.Append(nil, make([]byte, testBound+1))
	c.readPart(testBound / 2)
	if c.mayRead() {
		t.Error("it is read")
	}
	slow.Flush()
	slow.socket.take(&slow.Out, testBound/4)
	if c.isResumed() {
		t.Error("it asks again while memory is short")
	}
	slow.socket.take(&slow.Out, testBound/2)
	if !c.isResumed() || !c.mayRead() {
		t.Error("it is not read although there is room")
	}
}

// TestDroppedConnectionIsReadOverTheBound, so that its end is found.
func TestDroppedConnectionIsReadOverTheBound(t *testing.T) {
	p := newTestPeers(Config{Memory: testBound})
	t.Cleanup(p.Close)
	c, other := newFakeConn(p), newFakeConn(p)
	for _, c := range []fakeConn{c, other} {
		c.readPart(testBound)
	}
	if !c.mayRead() || other.mayRead() {
		t.Fatal("not exactly one is read")
	}
	other.MarkDropped()
	if !other.isResumed() || !other.mayRead() {
		t.Error("the dropped connection is not read")
	}
	other.Flush()
	if !other.socket.closed {
		t.Error("the dropped connection is open")
	}
	third := newFakeConn(p)
	third.readPart(testBound)
	if third.mayRead() {
		t.Fatal("two are read")
	}
	c.Finish(0)
	if !third.isResumed() || !third.mayRead() {
		t.Error("the turn of a connection that has ended goes to no other")
	}
}

// TestCloseOfPeersLetsAllRead, because the connections find their end by reading.
func TestCloseOfPeersLetsAllRead(t *testing.T) {
	p := newTestPeers(Config{Memory: testBound})
	c, other := newFakeConn(p), newFakeConn(p)
	for _, c := range []fakeConn{c, other} {
		c.readPart(testBound)
	}
	if !c.mayRead() || other.mayRead() {
		t.Fatal("not exactly one is read")
	}
	p.Close()
	if !other.isResumed() || !other.mayRead() {
		t.Error("it waits")
	}
}

// TestMemoryWithoutABound counts and never waits.
func TestMemoryWithoutABound(t *testing.T) {
	p := newTestPeers(Config{})
	c := newFakeConn(p)
	c.readPart(1 << 30)
	if !c.mayRead() || p.Used() != 1<<30 {
		t.Errorf("read %v, %d bytes counted", c.mayRead(), p.Used())
	}
	c.Finish(0)
	if p.Used() != 0 {
		t.Errorf("%d bytes are counted of a connection that has ended", p.Used())
	}
}
