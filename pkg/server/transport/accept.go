package transport

import (
	"net"
	"time"
)

const (
	// acceptAtOnce is the number of failed accepts in a row after which the accept
	// loop begins to pause: an error may belong to one connection that its peer has
	// given up, and the next one may be fine.
	acceptAtOnce = 16
	// The pauses double from leastAcceptPause to mostAcceptPause.
	leastAcceptPause = 5 * time.Millisecond
	mostAcceptPause  = time.Second
)

// AcceptAll accepts connections from l and calls serve for each. For each error it
// calls failed. If failed returns an error, AcceptAll returns it. If failed returns nil,
// AcceptAll tries again after a pause, because most errors concern one connection or
// pass: a connection that was aborted (ECONNABORTED, EPROTO), a firewall rule (EPERM),
// a lack of descriptors or memory (EMFILE, ENOBUFS). Closing ended ends the pause.
func AcceptAll(l net.Listener, serve func(net.Conn), failed func(error) error, ended <-chan struct{}) error {
	for failures := 0; ; {
		nc, err := l.Accept()
		if err == nil {
			failures = 0
			serve(nc)
			continue
		}
		if err := failed(err); err != nil {
			return err
		}
		failures++
		select {
		case <-time.After(acceptPause(failures)):
		case <-ended:
		}
	}
}

// acceptPause returns the pause after that many failed accepts in a row.
func acceptPause(failed int) time.Duration {
	if failed <= acceptAtOnce {
		return 0
	}
	doublings := min(failed-acceptAtOnce-1, 10)
	return min(leastAcceptPause<<doublings, mostAcceptPause)
}
