//go:build !linux

package server

import (
	"errors"
	"net"
)

// poller is only there where a system is known to have one.
type poller struct{}

func newPoller(*Server) (*poller, error) { return nil, errors.ErrUnsupported }

func polls(net.Conn) bool { return false }

func (*poller) serve(net.Conn) bool { return false }

func (*poller) stop() {}
