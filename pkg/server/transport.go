package server

import (
	"errors"
	"time"
)

// errWouldBlock says that the other end has nothing to be read, or takes no
// more, for now.
var errWouldBlock = errors.New("would block")

// transport is how a connection's bytes come and go. There are two: a socket,
// which a goroutine of the connection reads, and, where the system has them, a
// polled one, which many connections' poller reads when there is something.
type transport interface {
	writer
	Read(b []byte) (int, error)

	// free closes the connection for good. Nothing else is called then.
	free()
	// closeWrite tells the other end that nothing more comes, where that can
	// be told without closing.
	closeWrite()
	// linger reads and drops what the other end has sent until it closes, for
	// at most d. Closing with unread bytes would reset the connection, and
	// the last reply could be lost with it.
	linger(d time.Duration)
	// ackNow has what was read acknowledged at once, where the system can do
	// so.
	ackNow()
	// fd returns the number of the connection's file descriptor, -1 if it has
	// none. It is only for people to look at.
	fd() int
}

// writer is a connection's sending half.
type writer interface {
	// TryWrite writes what the other end takes at once. It returns
	// errWouldBlock with the bytes written if that is not all. One call at a
	// time.
	TryWrite(b []byte) (int, error)
	// whenFree is called after an errWouldBlock. It sees to it that o.resume,
	// or o.drain, is called once the other end takes more; it may have been
	// called already.
	whenFree(o *outbox)
	// Close ends all reading and writing, now and later.
	Close() error
}
