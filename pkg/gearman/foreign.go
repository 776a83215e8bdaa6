package gearman

import (
	"errors"
	"fmt"
	"time"

	"gm/pkg/wire"
)

const (
	// probeAfter is how long a server may be silent after the first GRAB_JOB of a
	// connection before it is sent an ECHO_REQ: both are answered at once.
	probeAfter = 10 * time.Second
	// probeText is its payload. It ends what servers of other protocols, such as
	// HTTP, may take for the beginning of a request, so that they answer.
	probeText = "gm\r\n\r\n"
)

// probe sends the ECHO_REQ if the server is still silent.
func (c *workerConn) probe() {
	if !c.greeted.Load() {
		_ = c.send(wire.EchoReq, []byte(probeText)) // a failure ends the connection
	}
}

// noteFirstAnswer notes that the first thing that a server has sent on a connection
// is a packet, or else why it is none.
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

// stopIfForeign stops the worker if none of its servers has ever sent a packet,
// and each has sent something else.
func (w *Worker) stopIfForeign() {
	if w.foreignServers() != nil {
		w.Stop()
	}
}

// foreignServers returns an error if no server of the worker is a Gearman server.
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
