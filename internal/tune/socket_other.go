//go:build !linux

package tune

import "net"

// Socket waits for the next bytes of a socket on Linux. Here it does not wait.
type Socket struct{}

// NewSocket returns nil.
func NewSocket(net.Conn) *Socket { return nil }

// Await returns at once.
func (*Socket) Await() {}
