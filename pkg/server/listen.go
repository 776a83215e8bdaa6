package server

import (
	"context"
	"net"
	"time"

	"gm/pkg/server/transport"
)

// ErrAddress is returned by Listen for an address that it cannot parse.
var ErrAddress = transport.ErrAddress

// Listen listens on an address: "host:port", or "unix:" and the path of a socket. The
// mode and group of a socket's file may follow as a query:
//
//	unix:/run/gm.sock?mode=0660&group=www-data
//
// Listen replaces a socket file that a dead server has left behind. If a server still
// listens on it, Listen returns an error.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	return transport.Listen(ctx, addr)
}

// ListenPatiently calls Listen again, for as long as patience, while the address is in
// use and no server answers there: the system may need a moment to remove the sockets
// of a killed server.
func ListenPatiently(ctx context.Context, addr string, patience time.Duration) (net.Listener, error) {
	return transport.ListenPatiently(ctx, addr, patience)
}
