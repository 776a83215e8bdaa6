package server

import (
	"errors"
	"fmt"
	"log/slog"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// handlers are the handlers of packets, by type. A handler runs under the server's
// lock; its error closes the connection.
var handlers = [...]func(c *conn, now int64, p *wire.Packet) error{
	wire.EchoReq:           (*conn).echo,
	wire.OptionReq:         (*conn).option,
	wire.SetClientID:       (*conn).setID,
	wire.AllYours:          (*conn).ignore,
	wire.SubmitJob:         (*conn).submitJob,
	wire.SubmitJobBG:       (*conn).submitJob,
	wire.SubmitJobHigh:     (*conn).submitJob,
	wire.SubmitJobHighBG:   (*conn).submitJob,
	wire.SubmitJobLow:      (*conn).submitJob,
	wire.SubmitJobLowBG:    (*conn).submitJob,
	wire.SubmitJobSched:    (*conn).submitSched,
	wire.SubmitJobEpoch:    (*conn).submitEpoch,
	wire.SubmitReduceJob:   (*conn).submitReduce,
	wire.SubmitReduceJobBG: (*conn).submitReduce,
	wire.GetStatus:         (*conn).getStatus,
	wire.GetStatusUnique:   (*conn).getStatusUnique,
	wire.CanDo:             (*conn).canDo,
	wire.CanDoTimeout:      (*conn).canDo,
	wire.CantDo:            (*conn).cantDo,
	wire.ResetAbilities:    (*conn).resetAbilities,
	wire.PreSleep:          (*conn).preSleep,
	wire.GrabJob:           (*conn).grab,
	wire.GrabJobUniq:       (*conn).grab,
	wire.GrabJobAll:        (*conn).grab,
	wire.WorkData:          (*conn).workPart,
	wire.WorkWarning:       (*conn).workPart,
	wire.WorkStatus:        (*conn).workStatus,
	wire.WorkComplete:      (*conn).workComplete,
	wire.WorkFail:          (*conn).workFail,
	wire.WorkException:     (*conn).workException,
}

func (c *conn) dispatch(now int64, p *wire.Packet) error {
	if p.Magic != wire.Request || !p.Type.Goes(wire.Request) {
		return fmt.Errorf("%w: %v %v is not for a server", wire.ErrMalformed, p.Magic, p.Type)
	}
	return handlers[p.Type](c, now, p)
}

func (c *conn) ignore(int64, *wire.Packet) error { return nil }

func (c *conn) echo(_ int64, p *wire.Packet) error {
	c.reply().sendPacket(wire.EchoRes, p.Args[0])
	return nil
}

func (c *conn) option(_ int64, p *wire.Packet) error {
	switch option := p.Args[0]; {
	case equalFold(wire.OptionExceptions, option):
		c.exceptions = true
	case equalFold(wire.OptionCancel, option):
		c.cancels = true
	case equalFold(wire.OptionOnce, onceName(option)):
		if err := c.setOnce(option); err != nil {
			c.reply().sendError(wire.CodeUnknownOption, err.Error())
			return nil
		}
	default:
		c.reply().sendError(wire.CodeUnknownOption, fmt.Sprintf("unknown option %q", p.Args[0]))
		return nil
	}
	c.reply().sendPacket(wire.OptionRes, p.Args[0])
	return nil
}

// setID accepts any client id, like gearmand: workers that get an ERROR here
// reconnect again and again. Rows show the id quoted.
func (c *conn) setID(_ int64, p *wire.Packet) error {
	c.id = string(p.Args[0][:min(len(p.Args[0]), maxClientID)])
	if c.id == "" {
		c.id = "-"
	}
	return nil
}

const (
	maxClientID = 1024 // bytes; longer ones are cut
	maxFunction = 1024
)

// checkFunction returns an error for a name that the admin protocol cannot show.
func checkFunction(name []byte) error {
	switch {
	case len(name) == 0:
		return errors.New("empty function name")
	case len(name) > maxFunction:
		return fmt.Errorf("function name of %d bytes, at most %d", len(name), maxFunction)
	}
	for _, b := range name {
		switch b {
		case '\n', '\r':
			return fmt.Errorf("line end in function name %q", name)
		case 0:
			return fmt.Errorf("NUL in function name %q", name)
		}
	}
	return nil
}

// sink is the Server as the sink of its queue. Its methods are called under the
// server's lock, in the middle of a turn.
type sink Server

var _ queue.DeadLetterSink = (*sink)(nil)

// Wake sends a sleeping worker NOOP.
func (k *sink) Wake(p *queue.Peer) {
	p.Owner.(*conn).reply().sendPacket(wire.Noop)
}

// Requeued logs that a job has lost its worker.
func (k *sink) Requeued(j *queue.Job, p *queue.Peer, why queue.Reason) {
	s := (*Server)(k)
	s.results.forgetParts(j)
	if len(s.results.follows) > 0 {
		s.results.sendToFollowers(j, &wire.FollowEvent{Event: wire.FollowAgain})
	}
	s.dropFetch(j)
	if why == queue.TimedOut {
		p.Owner.(*conn).expectLate(j)
	}
	if untried := j.Spilled() && why != queue.Failed; s.commit != nil && j.Journaled() && !untried {
		s.commit.updateJob(j)
	}
	if !s.debug {
		return
	}
	attrs := append(jobAttrs(j), slog.String("why", why.String()), slog.Int("attempts", j.Attempts()))
	if p != nil {
		attrs = append(attrs, slog.String("worker", p.Owner.(*conn).addr))
	}
	s.logAfterTurn(slog.LevelDebug, "requeued", attrs...)
}

// Ended is called for each job that leaves the queue. It sends WORK_FAIL to the
// clients of a job that ends without a packet of its worker.
func (k *sink) Ended(j *queue.Job, why queue.Reason) {
	s := (*Server)(k)
	s.dropFetch(j)
	if s.loading {
		s.endedLoading[j.Seq()] = struct{}{}
	}
	if w := j.Worker(); w != nil && why != queue.Completed && why != queue.Failed {
		w.Owner.(*conn).expectLate(j)
	}
	if s.commit != nil && j.Journaled() && why != queue.Completed {
		s.commit.makeRoom(j.Size()) // the payload is stored again if the job is dead
	}
	switch why {
	case queue.Exhausted, queue.Cancelled, queue.Purged:
		var buf [wire.MaxHandle]byte
		handle := j.AppendHandle(buf[:0])
		for p := range j.Waiters {
			p.Owner.(*conn).reply().sendPacket(wire.WorkFail, handle)
		}
	}
	if state, ok := outcomes[why]; ok {
		switch {
		case s.mayDie(j, why):
			state = wire.OutcomeDead
		case s.raising:
			state = wire.OutcomeException
		}
		s.results.reportEnd(s.q.Now(), j, state, []byte(j.Note()))
	}
	if s.commit != nil && j.Journaled() {
		s.commit.endJob(j)
	}
	level := slog.LevelDebug
	if why == queue.Exhausted {
		level = slog.LevelWarn
	}
	if s.debug || level > slog.LevelDebug {
		s.logAfterTurn(level, "ended", append(jobAttrs(j),
			slog.String("why", why.String()), slog.Int("attempts", j.Attempts()))...)
	}
}

// mayDie reports whether a job that ends for that reason goes to the dead list.
func (s *Server) mayDie(j *queue.Job, why queue.Reason) bool {
	return *s.cfg.DeadMax > 0 && j.Background() && !j.Ignored() && (why == queue.Failed || why == queue.Exhausted)
}

// outcomes are the outcomes of jobs that did not complete, by reason.
var outcomes = map[queue.Reason]wire.OutcomeState{
	queue.Failed:    wire.OutcomeFailed,
	queue.Exhausted: wire.OutcomeFailed,
	queue.Cancelled: wire.OutcomeCancelled,
	queue.Purged:    wire.OutcomeCancelled,
	queue.Abandoned: wire.OutcomeCancelled,
}

func jobAttrs(j *queue.Job) []slog.Attr {
	return []slog.Attr{slog.String("job", j.Handle()), slog.String("function", j.Function().Name())}
}
