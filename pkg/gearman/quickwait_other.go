//go:build !linux

package gearman

import "net"

// quickWait does nothing on this system: the read that follows waits.
type quickWait struct{}

func newQuickWait(net.Conn) *quickWait { return nil }

func (*quickWait) await() {}
