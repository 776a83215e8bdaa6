package transport

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSendersWaitAboveTheMark: the functions of senders are called once, when the outbox
// is at half of its mark.
func TestSendersWaitAboveTheMark(t *testing.T) {
	const mark = 1000
	c := newFakeConn(newTestPeers(Config{Outbox: 2 * mark}))
	calls := 0
	wait := func() { c.Out.WhenBelowMark(func() { calls++ }) }

	c.Out.Append(nil, make([]byte, mark))
	if wait(); calls != 1 || c.Out.IsAboveMark() {
		t.Fatalf("at the mark: %d calls, above %v", calls, c.Out.IsAboveMark())
	}
	c.Out.Append(nil, make([]byte, 1))
	wait()
	wait()
	c.Flush()
	for size := mark; size > mark/2; size -= 100 {
		if calls != 1 || !c.Out.IsAboveMark() {
			t.Fatalf("with %d bytes: %d calls, above %v", c.Out.Size(), calls, c.Out.IsAboveMark())
		}
		c.socket.take(&c.Out, 100)
	}
	c.socket.take(&c.Out, 1)
	if calls != 3 || c.Out.IsAboveMark() || c.Out.Size() != mark/2 {
		t.Errorf("with %d bytes: %d calls, above %v", c.Out.Size(), calls, c.Out.IsAboveMark())
	}
	if wait(); calls != 4 {
		t.Error("a sender waits below the mark")
	}
}

// TestSendersOfAGonePeerGoOn: nobody waits for a peer that has left or failed.
func TestSendersOfAGonePeerGoOn(t *testing.T) {
	for name, leave := range map[string]func(c fakeConn){
		"reading stopped": func(c fakeConn) { c.StopReading() },
		"write failed":    func(c fakeConn) { c.socket.fails = errors.New("broken pipe"); c.Flush() },
		"closed":          func(c fakeConn) { c.Out.closeOutbox() },
	} {
		c := newFakeConn(newTestPeers(Config{Outbox: 2000}))
		c.Out.Append(nil, make([]byte, 1500))
		calls := 0
		c.Out.WhenBelowMark(func() { calls++ })
		if calls != 0 {
			t.Errorf("%s: called at once", name)
		}
		leave(c)
		if calls != 1 {
			t.Errorf("%s: %d calls, want 1", name, calls)
		}
		c.Out.Append(nil, make([]byte, 1500))
		if c.Out.WhenBelowMark(func() { calls++ }); calls != 2 {
			t.Errorf("%s: a later sender waits", name)
		}
	}
}

// TestMarkFollowsTheMemory: where the memory for all connections is little, senders wait
// earlier.
func TestMarkFollowsTheMemory(t *testing.T) {
	for _, tc := range []struct {
		cfg  Config
		mark int
	}{
		{Config{Outbox: 64 << 20}, defaultMark},
		{Config{Outbox: 1 << 20}, 512 << 10},
		{Config{Outbox: 64 << 20, Memory: 32 << 20}, 2 << 20},
		{Config{Outbox: 64 << 20, Memory: 1 << 20}, leastMark},
		{Config{Outbox: 64 << 20, Memory: 1 << 40}, defaultMark},
	} {
		if got := newTestPeers(tc.cfg).Mark(); got != tc.mark {
			t.Errorf("outbox %d, memory %d: mark %d, want %d", tc.cfg.Outbox, tc.cfg.Memory, got, tc.mark)
		}
	}
}

// TestPeerThatTakesNothingIsDropped after the patience, but not while it takes or sends
// bytes, or its outbox is below the mark.
func TestPeerThatTakesNothingIsDropped(t *testing.T) {
	const patience = 10 * time.Second
	for name, tc := range map[string]struct {
		bytes    int
		progress func(c fakeConn) // in the middle of the patience
		want     time.Duration    // until it is dropped, 0 for never
	}{
		"silent":         {1001, func(fakeConn) {}, patience},
		"takes a byte":   {1010, func(c fakeConn) { c.socket.take(&c.Out, 1) }, patience + patience/2},
		"sends":          {1001, func(c fakeConn) { c.Out.noteAlive() }, patience + patience/2},
		"takes half":     {1001, func(c fakeConn) { c.socket.take(&c.Out, 501) }, 0},
		"below the mark": {1000, func(fakeConn) {}, 0},
		"leaves":         {1001, func(c fakeConn) { c.Out.failWith(errors.New("reset")) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newFakeConn(newTestPeers(Config{Outbox: 2000, Patience: patience}))
				c.Out.Append(nil, make([]byte, tc.bytes))
				c.Flush()
				time.Sleep(patience / 2)
				tc.progress(c)
				if tc.want == 0 {
					time.Sleep(10 * patience)
					if why := c.handler.dropped(); why != nil {
						t.Errorf("dropped: %v", why)
					}
					return
				}
				time.Sleep(tc.want - patience/2 - time.Nanosecond)
				synctest.Wait()
				if why := c.handler.dropped(); why != nil {
					t.Errorf("dropped too early: %v", why)
				}
				size := c.Out.Size()
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				want := fmt.Sprintf("does not read: %d bytes wait for it, and it took none for 10s", size)
				if why := c.handler.dropped(); why == nil || why.Error() != want {
					t.Errorf("dropped: %v, want %s", why, want)
				}
			})
		})
	}
}

// TestFinishWaitsForThePeer: a connection that ends is closed when its peer has read all,
// or has read nothing for some seconds. One that was dropped is closed at once.
func TestFinishWaitsForThePeer(t *testing.T) {
	const never = 100
	for name, tc := range map[string]struct {
		reads   int // bytes that the peer reads each second, for some seconds
		seconds int
		dropped bool
		linger  time.Duration
		want    time.Duration
	}{
		"reads all at last":   {30, never, false, time.Second, 4 * time.Second},
		"reads nothing":       {0, never, false, time.Second, settleFor},
		"ceases to read":      {1, 7, false, time.Second, 7*time.Second + settleFor},
		"reads a little":      {1, never, false, 0, 99 * time.Second},
		"dropped":             {0, never, true, time.Second, 0},
		"has closed, no more": {0, never, false, 0, settleFor},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newFakeConn(newTestPeers(Config{}))
				c.Out.Append(nil, make([]byte, 99))
				c.StopReading()
				if tc.dropped {
					c.MarkDropped()
				}
				done := make(chan struct{})
				began := time.Now()
				var took time.Duration
				go func() {
					defer close(done)
					c.Finish(tc.linger)
					took = time.Since(began)
				}()
				for range tc.seconds {
					time.Sleep(time.Second)
					if tc.reads > 0 {
						c.socket.take(&c.Out, tc.reads)
					}
				}
				<-done
				if took != tc.want {
					t.Errorf("it took %v, want %v", took, tc.want)
				}
				lingers := tc.linger > 0 && !tc.dropped
				if s := c.socket; !s.closed || !s.freed || s.half != lingers || (s.lingered == tc.linger) != (lingers || tc.linger == 0) {
					t.Errorf("closed %v, freed %v, told %v, lingered %v", s.closed, s.freed, s.half, s.lingered)
				}
			})
		})
	}
}

// TestHangUpHasADeadline, also for a peer that reads slowly.
func TestHangUpHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeConn(newTestPeers(Config{}))
		c.Out.Append(nil, []byte(strings.Repeat("x", 1000)))
		done := make(chan struct{})
		began := time.Now()
		var took time.Duration
		go func() {
			defer close(done)
			c.HangUp()
			took = time.Since(began)
		}()
		for !c.socket.isClosed() {
			time.Sleep(time.Second / 2)
			c.socket.take(&c.Out, 1)
		}
		<-done
		if took != settleFor {
			t.Errorf("it took %v, want %v", took, settleFor)
		}
	})
}
