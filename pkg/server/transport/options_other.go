//go:build !linux

package transport

import (
	"net"
	"time"
)

// setUserTimeout does nothing: only Linux has TCP_USER_TIMEOUT.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }

// quickAck is nil: only Linux has TCP_QUICKACK.
var quickAck func(fd uintptr)
