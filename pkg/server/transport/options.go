package transport

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Options are options of the sockets of a server. Most of them detect a dead peer.
type Options struct {
	KeepAlive         time.Duration // time without bytes before the first probe; 0 sends no probes
	KeepAliveInterval time.Duration // time between probes
	KeepAliveCount    int           // unanswered probes after which the connection is closed
	UserTimeout       time.Duration // for bytes that are not acknowledged; 0 leaves it to the system
	Buffer            int           // of the system for each direction, in bytes; 0 leaves it to the system
}

// Set sets the options of a connection. A connection works without them too, so its
// error only explains which ones are missing.
func (o *Options) Set(nc net.Conn) error {
	if o.Buffer > 0 {
		if b, ok := nc.(interface {
			SetReadBuffer(int) error
			SetWriteBuffer(int) error
		}); ok {
			b.SetReadBuffer(o.Buffer)  //nolint:errcheck // the system's own size works too
			b.SetWriteBuffer(o.Buffer) //nolint:errcheck // likewise
		}
	}
	t, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	return errors.Join(o.setKeepAlive(t), o.setUserTimeout(t))
}

func (o *Options) setKeepAlive(t *net.TCPConn) error {
	if o.KeepAlive <= 0 {
		t.SetKeepAlive(false) //nolint:errcheck // a closed connection shows it soon
		return nil
	}
	err := t.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: o.KeepAlive, Interval: o.KeepAliveInterval, Count: o.KeepAliveCount,
	})
	if err != nil {
		return fmt.Errorf("set keepalive: %w", err)
	}
	return nil
}

func (o *Options) setUserTimeout(t *net.TCPConn) error {
	if o.UserTimeout <= 0 {
		return nil
	}
	if err := setUserTimeout(t, o.UserTimeout); err != nil {
		return fmt.Errorf("set user timeout: %w", err)
	}
	return nil
}
