//go:build !linux

package transport

import (
	"errors"
	"net"
)

// Poller serves many connections with one goroutine. There is one only on Linux.
type Poller struct{}

// NewPoller returns an error: this system has no poller.
func NewPoller(Rounds) (*Poller, error) { return nil, errors.ErrUnsupported }

// CanPoll reports whether a poller can serve a connection.
func CanPoll(net.Conn) bool { return false }

// Adopt returns an error.
func (*Poller) Adopt(net.Conn) (Socket, error) { return nil, errors.ErrUnsupported }

// Watch does nothing.
func (*Poller) Watch(*Conn) {}

// Stop does nothing.
func (*Poller) Stop() {}
