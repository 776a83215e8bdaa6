package server

import (
	"context"
	"net"
	"time"

	"gm/pkg/server/transport"
)

// ErrAddress is returned by Listen and ListenAll for an address that they cannot parse.
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

// ListenAll listens on all addresses. An address is unix:PATH as for [Listen], or HOST,
// HOST:PORT, :PORT, V6, [V6] or [V6]:PORT; commas separate several in one text. No
// address is localhost. port is that of addresses without one; with port 0 all of them
// get the same free port. The host localhost is both IPv4 and IPv6 if the machine has
// them. An address in use is tried again as by [ListenPatiently], for six seconds.
//
// An error that wraps [ErrAddress] is that of an address that ListenAll cannot parse. After
// an error no listener is open.
func ListenAll(ctx context.Context, addrs []string, port int) ([]net.Listener, error) {
	return transport.ListenAll(ctx, addrs, port)
}
