package server

import (
	"net"
	"time"

	"gm/pkg/queue"
	"gm/pkg/server/transport"
)

// WakeAfter is the time after which a woken worker counts as busy.
const WakeAfter = wakeAfter

// Snapshot returns the state of the queue, a page at a time.
func Snapshot(s *Server) queue.Snapshot {
	var all queue.Snapshot
	functions := s.functionsListing()
	for more := true; more; {
		s.mu.Lock()
		more = functions.step(s.readTime(), pageSteps)
		s.mu.Unlock()
		all = append(all, functions.take()...)
	}
	return all
}

// SetMaxPending sets how many bytes of payloads may be on their way to the
// store.
func (s *Server) SetMaxPending(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commit.maxSize = n
}

// Unpoll has each connection read by a goroutine of its own.
func (s *Server) Unpoll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unpolled = true
}

// SetWallClock replaces the wall clock: f gets the time that it would show.
func (s *Server) SetWallClock(f func(time.Time) int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clocks.wall.Store(&f)
}

// PageSteps is how many steps a page of an admin command has at most.
const PageSteps = pageSteps

// OnPage has f called after each page of an admin command, without a lock.
func (s *Server) OnPage(f func()) {
	s.paging.mu.Lock()
	defer s.paging.mu.Unlock()
	s.paging.taken = f
}

// Turn reads once from nc and gives it one turn. It reports whether there was
// more to apply.
func (s *Server) Turn(nc net.Conn) (more bool, err error) {
	c := newAloneConn(s, transport.NewSocket(nc), "test")
	if !s.admit(c) {
		return false, ErrClosed
	}
	defer s.wg.Done()
	if err := c.in.Fill(); err != nil {
		return false, err
	}
	applied, err := (&aloneConn{conn: c}).Apply()
	c.endConn(errPeerLeft)
	return applied.More, err
}

// PeerBytes returns the bytes that are counted for all peers.
func (s *Server) PeerBytes() int64 { return s.peers.Used() }

// NumWaits returns the number of outcomes that are waited for.
func (s *Server) NumWaits() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, waits := range s.results.waits {
		n += len(waits)
	}
	return n
}

// NumFollowers returns the number of followers of all jobs.
func (s *Server) NumFollowers() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range s.results.follows {
		n += len(all)
	}
	return n
}

// FollowBytes returns the bytes that wait for programs that follow jobs.
func (s *Server) FollowBytes() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range s.results.follows {
		for _, to := range all {
			if f, ok := to.(*programFollower); ok {
				n += f.size
			}
		}
	}
	return n
}

// NumUnread returns the number of uniques that submissions wait for while the store is
// being read.
func (s *Server) NumUnread() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.unread.uniques)
}
