package gearman

import (
	"errors"
	"fmt"
	"time"

	"gm/pkg/wire"
)

const (
	// probeAfter is the time after the first GRAB_JOB of a connection at which a
	// silent server gets an ECHO_REQ. Gearman servers answer both immediately.
	probeAfter = 10 * time.Second
	// probeText is the payload of the ECHO_REQ. Its line ends complete a request of
	// other protocols, such as HTTP, so that their servers answer with an error.
	probeText = "gm\r\n\r\n"
)

// probe sends the ECHO_REQ if the server is still silent.
func (c *workerConn) probe() {
	if !c.greeted.Load() {
		_ = c.send(wire.EchoReq, []byte(probeText)) // a failure ends the connection
	}
}

// noteFirstAnswer records that the first bytes of a server on a connection were a
// packet, or the error that shows that they were none.
func (w *Worker) noteFirstAnswer(s Server, err error) {
	var broken *ProtocolError
	w.mu.Lock()
	v := w.sights[s]
	switch {
	case err == nil:
		v.answered, v.foreign = true, nil
	case errors.As(err, &broken) && !v.answered:
		v.foreign = err
	}
	w.mu.Unlock()
}

// stopIfForeign stops the worker if none of its servers is a Gearman server.
func (w *Worker) stopIfForeign() {
	if w.foreignServers() != nil {
		w.Stop()
	}
}

// foreignServers returns an error if no server of the worker has ever sent a packet,
// and each has sent other bytes.
func (w *Worker) foreignServers() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	errs := ServerErrors{}
	for s, v := range w.sights {
		if v.foreign == nil {
			return nil
		}
		errs[s] = v.foreign
	}
	return fmt.Errorf("work: %w", noServer(errs))
}
