package transport

import (
	"errors"
	"time"
)

// ErrWouldBlock is returned by a socket that has no bytes to read, or takes no more,
// at the moment.
var ErrWouldBlock = errors.New("would block")

// Socket reads and writes the bytes of a connection. There are two kinds: one for
// connections that a [Poller] serves, and one for any [net.Conn], which a goroutine
// reads.
type Socket interface {
	Writer
	Read(b []byte) (int, error)
	// IsReadable reports whether bytes, or the end, have arrived that Read has not
	// returned yet. It is false if the system cannot tell.
	IsReadable() bool

	// Free closes the connection for good. No method is called afterwards.
	Free()
	// CloseWrite tells the other end that nothing more comes, if that is possible
	// without closing the connection.
	CloseWrite()
	// Linger reads and ignores the bytes that the other end sends until it closes the
	// connection, for at most d. Closing with unread bytes would reset the connection,
	// and the last reply could be lost with it.
	Linger(d time.Duration)
	// AckNow sends the acknowledgment of the bytes that were read at once, if the
	// system can do so.
	AckNow()
	// FD returns the number of the file descriptor for lists of connections, or -1
	// without a descriptor.
	FD() int
}

// Writer is the sending half of a Socket.
type Writer interface {
	// TryWrite writes the bytes that the other end takes at once. If these are not
	// all, it returns their number and ErrWouldBlock. There is one call at a time.
	TryWrite(b []byte) (int, error)
	// NotifyWritable is called after ErrWouldBlock. It makes sure that the outbox goes
	// on writing when the other end takes more. That may have happened already.
	NotifyWritable(o *Outbox)
	// IsWritable reports whether the other end takes bytes at the moment, and nobody
	// waits in a write. It is false if the system cannot tell.
	IsWritable() bool
	// Close ends all reading and writing, now and later.
	Close() error
}
