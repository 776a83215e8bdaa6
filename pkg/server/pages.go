package server

import (
	"cmp"
	"sync"
	"time"

	"gm/pkg/wire"
)

const (
	// firstSteps is the maximum number of steps of a command in the turn of its
	// connection. Most commands need no more.
	firstSteps = 128
	// pageSteps is the maximum number of steps of a page, under one lock.
	pageSteps = 500
	// pageTime is the time after which a page ends.
	pageTime = 500 * time.Microsecond
	// clockInterval is the number of steps after which a page reads the clock.
	clockInterval = 32
)

// budget is the number of steps and the time that are left for a page.
type budget struct {
	steps int
	over  time.Time
}

func newBudget(steps int) budget { return budget{steps, time.Now().Add(pageTime)} }

// spend counts n steps, and reports whether there are more to spend.
func (b *budget) spend(n int) bool {
	before := b.steps / clockInterval
	b.steps -= n
	return b.steps > 0 && (b.steps/clockInterval == before || time.Now().Before(b.over))
}

// pages is an admin command that walks many jobs, functions or connections. It
// takes them a page at a time, so that nobody waits long for the lock, and
// formats and writes their rows without it. An item that comes or goes between two
// pages may be seen or not. The connection is held until the command has ended.
type pages struct {
	// step takes the next page, most steps at most. It collects rows, if any,
	// and reports whether there is more. The lock is held.
	step func(now int64, most int) (more bool)
	// rows appends the collected rows to dst and forgets them; nil if there are
	// none.
	rows func(dst []byte) []byte
	// end returns the reply, behind the rows. The lock is held. nil is ".".
	end func() []byte
	// finish is called in the place of end, if it is set, and calls answer with
	// the reply, at once or later. The lock is held both times.
	finish func(answer func(reply []byte))

	// unstored returns the first error of the store for a change of step; nil if step
	// changes nothing. The lock is held.
	unstored func() error
	// done is called when no more pages are taken, if it is set. The lock is held.
	done func()

	c       *conn
	later   reply
	first   chan struct{} // closed when the replies before it are in the outbox; nil if they are
	quit    chan struct{} // closed when the connection is dropped
	endHold func()        // ends the connection's hold
}

// run takes the first page. It returns the whole reply if that is all there is;
// if not, it returns nil, and a goroutine goes on. The lock is held.
func (p *pages) run(c *conn, now int64) []byte {
	more := p.step(now, firstSteps)
	if !more && p.done != nil {
		p.done()
	}
	switch {
	case !more && p.finish != nil:
		p.finish(c.laterReply().sendText)
		return nil
	case !more:
		return p.appendEnd(p.takeRows(nil))
	}
	p.c, p.later, p.endHold, p.quit = c, c.laterReply(), c.holdConn(), make(chan struct{})
	if !c.parked.isFirst(p.later.slot) {
		p.first = make(chan struct{})
		c.parked.request(p.later.slot).first = p.first
	}
	c.pages = p
	c.s.loads.Go(p.goOn)
	return nil
}

// takeRows appends the collected rows to b.
func (p *pages) takeRows(b []byte) []byte {
	if p.rows == nil {
		return b
	}
	return p.rows(b)
}

// appendEnd appends the end of the appendEnd to b. The lock is held.
func (p *pages) appendEnd(b []byte) []byte {
	if p.end == nil {
		return append(b, wire.ReplyEnd...)
	}
	return append(b, p.end()...)
}

// goOn takes the other pages and answers.
func (p *pages) goOn() {
	s := p.c.s
	more := true
	for more && p.awaitRoom() {
		if rows := p.takeRows(nil); len(rows) > 0 {
			p.c.writeRows(rows)
		}
		more = s.paging.runPage(s, func(now int64) bool { return p.step(now, pageSteps) })
	}
	rows := p.takeRows(nil)
	s.mu.Lock()
	defer s.endTurn(nil)
	p.c.pages = nil
	if p.done != nil {
		p.done()
	}
	answer := func(reply []byte) {
		p.later.sendText(reply)
		p.endHold()
	}
	switch {
	case more: // nobody reads it
		answer(nil)
	case p.finish != nil:
		p.finish(answer)
	case s.commit != nil && p.unstored != nil: // it has changed something
		before := s.commit.position()
		reply := p.appendEnd(nil)
		s.commit.whenStored(before, func(_ int64, err error) {
			if err = cmp.Or(p.unstored(), err); err != nil {
				reply = okOrErr(notStoredError{err})
			}
			answer(reply)
		})
	default:
		answer(p.appendEnd(rows))
	}
}

// awaitRoom waits until the connection has room for more rows. It returns false
// if nobody will read them.
func (p *pages) awaitRoom() bool {
	room := make(chan struct{})
	if p.rows == nil {
		close(room)
	} else {
		p.c.Out.WhenBelowMark(func() { close(room) })
	}
	for _, ready := range []chan struct{}{p.first, room} {
		if ready == nil {
			continue
		}
		select {
		case <-ready:
		case <-p.quit:
			return false
		case <-p.c.s.ended:
			return false
		}
	}
	select {
	case <-p.quit:
		return false
	case <-p.c.s.ended:
		return false
	default:
		return !p.c.Out.HasFailed()
	}
}

// writeRows writes rows of the parked request that is the next to be answered.
// The lock is not held.
func (c *conn) writeRows(rows []byte) {
	if c.s.cfg.Trace != nil {
		c.traceBytes(rows)
	}
	c.Out.Append(nil, rows)
	c.Out.Flush()
}

// paging shares the lock between long operations and everything else: only one page
// is taken at a time, and after it no page is taken for restAfterPage times the
// duration of the page.
type paging struct {
	mu    sync.Mutex
	next  time.Time
	taken func() // for tests: called after each page, without the server's lock
}

const restAfterPage = 2

// runPage takes a page under the server's lock.
func (g *paging) runPage(s *Server, page func(now int64) (more bool)) (more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if rest := time.Until(g.next); rest > 0 {
		select {
		case <-time.After(rest):
		case <-s.ended:
		}
	}
	s.mu.Lock()
	began := time.Now()
	more = page(s.readTime())
	took := time.Since(began)
	s.endTurn(nil)
	g.next = time.Now().Add(restAfterPage * took)
	if g.taken != nil {
		g.taken()
	}
	return more
}
