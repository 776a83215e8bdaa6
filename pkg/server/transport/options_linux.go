package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout sets how long sent bytes may stay unacknowledged before the
// connection is closed (TCP_USER_TIMEOUT, RFC 5482). Keepalive alone does not detect
// a dead peer while bytes are on their way to it.
func setUserTimeout(c *net.TCPConn, d time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return serr
}

// quickAck sends the acknowledgment that TCP delays at the moment, if there is one
// (TCP_QUICKACK). Afterwards the system delays acknowledgments again.
var quickAck = func(fd uintptr) {
	unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) //nolint:errcheck // the acknowledgment comes anyway
}
