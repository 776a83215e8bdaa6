package gearman

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"gm/pkg/wire"
)

// link keeps the connection of a slot to one server. Its goroutine connects, reads,
// and reconnects.
type link struct {
	slot   *slot
	server Server

	// Owned by the link's goroutine.
	failures backoff // for failures to connect, and connections without an answer

	// Owned by the slot's goroutine.
	grab      wire.Type   // the packet that requests a job from this server
	grabKnown *workerConn // the connection on which the server has answered grab
	knowsAll  bool        // the server has answered GRAB_JOB_ALL once

	// Guarded by slot.mu.
	conn     *workerConn // nil while there is none
	ready    bool        // the server may have a job
	sleeping bool        // PRE_SLEEP was sent, and no NOOP has arrived
	known    []ability   // as announced
	version  int         // of known
	retries  backoff     // for jobs in a row that were given back
	again    bool        // the connection was closed to give a job back
}

func newLink(s *slot, server Server) *link {
	o := &s.worker.opts.Options
	return &link{slot: s, server: server, grab: wire.GrabJobAll, failures: newBackoff(o), retries: newBackoff(o)}
}

// run keeps the link connected until the slot stops. The slot then ends the last
// connection.
func (l *link) run() {
	w, stopping := l.slot.worker, l.slot.stopping
	for stopping.Err() == nil {
		st, err := dial(stopping, &w.opts.Options, l.server)
		if err != nil {
			if stopping.Err() == nil {
				w.missed(l.server, err)
			}
			pause(stopping, l.failures.nextWait())
			continue
		}
		l.serve(newWorkerConn(st, w.opts.MaxPayload))
	}
}

// serve announces the worker's abilities and reads until the connection ends.
func (l *link) serve(c *workerConn) {
	w := l.slot.worker
	known, version := w.abilities()
	if err := announce(c, w.opts.ID, nil, known); err != nil {
		c.finish(err)
		w.missed(l.server, err)
		pause(l.slot.stopping, l.failures.nextWait())
		return
	}
	w.found(l.server)
	var again time.Duration
	if l.slot.linked(l, c, known, version) {
		c.finish(l.read(c))
		again = l.slot.unlinked(l, c)
	} else {
		c.finish(errHungUp)
	}
	close(c.dead)
	w.dropped(l.server, c.err)
	w.stopIfForeign()
	if again == 0 {
		again = l.failures.nextWait()
	}
	pause(l.slot.stopping, again)
}

// read reads the server's packets until the connection ends.
func (l *link) read(c *workerConn) error {
	p := &c.packet
	for first := true; ; first = false {
		err := c.nextPacket(p)
		large := errors.Is(err, wire.ErrTooLarge)
		c.greeted.Store(c.greeted.Load() || err == nil)
		if large {
			err = l.skipJob(c, err)
		}
		if first {
			l.slot.worker.noteFirstAnswer(l.server, err)
		}
		if large && err == nil {
			continue
		}
		if err != nil {
			return err
		}
		l.failures.reset()
		typ := p.Type
		if err := l.handle(c, p); err != nil {
			return err
		}
		switch typ {
		case wire.JobAssign, wire.JobAssignUniq, wire.JobAssignAll:
			if err := l.awaitToken(c); err != nil {
				return err
			}
		}
	}
}

// handle processes a packet. The goroutine that has read it calls it.
func (l *link) handle(c *workerConn, p *wire.Packet) error {
	switch p.Type {
	case wire.Noop:
		l.slot.woken(l)
	case wire.NoJob:
		l.slot.empty(l)
		return c.answer(reply{typ: p.Type})
	case wire.JobAssign, wire.JobAssignUniq, wire.JobAssignAll:
		j, err := c.assigned(p)
		if err != nil {
			return err
		}
		return c.answer(reply{typ: p.Type, job: j, number: c.token.giveToSlot()})
	case wire.Error:
		return l.onError(c, &ServerError{Code: string(p.Args[0]), Text: string(p.Args[1])})
	case wire.WorkFail:
		l.slot.jobCancelled(c, Handle(p.Args[0]))
	case wire.EchoRes, wire.OptionRes:
	default:
		return c.protocolError("%v to a worker", p.Type)
	}
	return nil
}

// answer passes an answer to GRAB_JOB to the slot.
func (c *workerConn) answer(r reply) error {
	select {
	case c.replies <- r:
		return nil
	default:
		return c.protocolError("%v without GRAB_JOB", r.typ)
	}
}

// onError passes an ERROR to the slot if it may be the answer to a GRAB_JOB. An ERROR
// about the result of a job means that the server has taken the job back, or does
// not accept a WORK_FAIL after a WORK_EXCEPTION.
func (l *link) onError(c *workerConn, e *ServerError) error {
	level := slog.LevelDebug
	if strings.EqualFold(e.Code, wire.CodeDataTooLarge) || strings.EqualFold(e.Code, wire.CodeTooLarge) {
		level = slog.LevelWarn // it is about a result
	}
	l.slot.worker.log().Log(context.Background(), level, "server refused", "server", l.server.String(), "code", e.Code, "text", e.Text)
	if strings.EqualFold(e.Code, wire.CodeJobNotFound) || strings.EqualFold(e.Code, wire.CodeUnknownOption) {
		return nil
	}
	select {
	case c.refusals <- e:
	default:
	}
	return nil
}

// announce sends a server the difference between the known functions and want, in
// one write. Servers prefer the function that was announced last, so the order is
// reversed.
func announce(c *workerConn, id string, known, want []ability) error {
	return c.write(func(put putFunc) error {
		if known == nil && id != "" {
			put(wire.SetClientID, []byte(id))
		}
		for _, a := range slices.Backward(missing(want, known)) {
			if a.timeout > 0 {
				ms := (a.timeout + 999_999).Milliseconds()
				put(wire.CanDoTimeout, []byte(a.name), strconv.AppendInt(nil, ms, 10))
			} else {
				put(wire.CanDo, []byte(a.name))
			}
		}
		names := make(map[string]bool, len(want))
		for _, a := range want {
			names[a.name] = true
		}
		for _, a := range known {
			if !names[a.name] {
				put(wire.CantDo, []byte(a.name))
			}
		}
		return nil
	})
}

// missing returns the elements of list that are not in other.
func missing(list, other []ability) []ability {
	have := make(map[ability]bool, len(other))
	for _, a := range other {
		have[a] = true
	}
	var rest []ability
	for _, a := range list {
		if !have[a] {
			rest = append(rest, a)
		}
	}
	return rest
}

// grabJob asks for a job. A failure ends the connection.
func (l *link) grabJob(c *workerConn) {
	l.prepareGrab(c)
	c.send(l.grab)
	if !c.greeted.Load() {
		time.AfterFunc(probeAfter, c.probe)
	}
}

// prepareGrab prepares a request for a job. A server that has restarted may have a
// newer version.
func (l *link) prepareGrab(c *workerConn) {
	if l.grabKnown != nil && l.grabKnown != c {
		l.grab, l.grabKnown = wire.GrabJobAll, nil
	}
	select {
	case <-c.refusals: // it was about something else
	default:
	}
}

// noteGrabKnown records that the server knows the packet that requests jobs. A server
// that knows GRAB_JOB_ALL also knows the older OPTION_REQ.
func (l *link) noteGrabKnown(c *workerConn) {
	first := l.grabKnown != c
	l.grabKnown = c
	l.knowsAll = l.knowsAll || l.grab == wire.GrabJobAll
	if first && l.grab == wire.GrabJobAll && l.slot.worker.opts.Cancelable {
		c.send(wire.OptionReq, []byte(wire.OptionCancel)) // a failure ends the connection
	}
}

// stepDown chooses an older packet that requests jobs, because the server seems not
// to know the present one. It returns false after the oldest one, and starts again
// with the newest, because the packet was not the reason then.
func (l *link) stepDown() bool {
	switch l.grab {
	case wire.GrabJobAll:
		l.grab = wire.GrabJobUniq
	case wire.GrabJobUniq:
		l.grab = wire.GrabJob
	default:
		l.grab = wire.GrabJobAll
		return false
	}
	return true
}
