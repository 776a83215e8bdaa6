package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"gm/pkg/queue"
	"gm/pkg/server/transport"
	"gm/pkg/wire"
)

// submitKinds are the kinds of jobs of the plain SUBMIT_JOB packets.
var submitKinds = [...]struct {
	priority   wire.Priority
	background bool
}{
	wire.SubmitJob:       {wire.PriorityNormal, false},
	wire.SubmitJobBG:     {wire.PriorityNormal, true},
	wire.SubmitJobHigh:   {wire.PriorityHigh, false},
	wire.SubmitJobHighBG: {wire.PriorityHigh, true},
	wire.SubmitJobLow:    {wire.PriorityLow, false},
	wire.SubmitJobLowBG:  {wire.PriorityLow, true},
}

func (c *conn) submitJob(now int64, p *wire.Packet) error {
	kind := &submitKinds[p.Type]
	return c.submit(now, &queue.Submission{
		Function: p.Args[0], Unique: p.Args[1], Payload: p.Args[2],
		Priority: kind.priority, Background: kind.background,
	})
}

func (c *conn) submitReduce(now int64, p *wire.Packet) error {
	return c.submit(now, &queue.Submission{
		Function: p.Args[0], Unique: p.Args[1], Reducer: p.Args[2], Payload: p.Args[4],
		Priority: wire.PriorityNormal, Background: p.Type == wire.SubmitReduceJobBG,
	})
}

// submitEpoch submits a background job of normal priority that is due at a time in
// Unix seconds. A time that is no number is 0, as in gearmand: the job is due at
// once.
func (c *conn) submitEpoch(now int64, p *wire.Packet) error {
	sec := min(max(wire.Number(p.Args[2]), 0), maxEpoch)
	return c.submit(now, &queue.Submission{
		Function: p.Args[0], Unique: p.Args[1], Payload: p.Args[3],
		Priority: wire.PriorityNormal, Background: true, RunAt: sec * 1000,
	})
}

// maxEpoch is the last second of the year 9999.
const maxEpoch = 253402300799

func (c *conn) submitSched(int64, *wire.Packet) error {
	c.reply().sendError(wire.CodeInvalidCommand, "SUBMIT_JOB_SCHED is not served; use SUBMIT_JOB_EPOCH")
	return nil
}

func (c *conn) submit(now int64, sub *queue.Submission) error {
	s := c.s
	if err := checkFunction(sub.Function); err != nil {
		c.reply().sendError(wire.CodeInvalidFunction, err.Error())
		return nil
	}
	if len(sub.Unique) > wire.MaxUnique {
		c.reply().sendError(wire.CodeTooLarge, fmt.Sprintf("unique of %d bytes, at most %d", len(sub.Unique), wire.MaxUnique))
		return nil
	}
	if s.draining {
		c.reply().sendError(wire.CodeShutdown, "the server is shutting down")
		return nil
	}
	if c.awaitUnique(sub) {
		return nil
	}
	if c.once != nil && sub.Background && c.answerEnded(sub) {
		return nil
	}
	if sub.RunAt != 0 && sub.RunAt <= s.q.Wall() {
		sub.RunAt = 0
	}
	if !sub.Background {
		sub.Client = c.peer
	}
	sub.Hold = s.commit != nil && (sub.Background || c.committing > 0)
	if s.commit != nil && sub.Background {
		if code, err := s.commit.checkStorable(sub); err != nil {
			c.reply().sendError(code, err.Error())
			return nil
		}
	}
	sub.Given = len(sub.Payload) >= transport.ShareFrom && c.in.Detach(sub.Payload)
	got, err := s.q.Submit(now, sub)
	if err != nil {
		text := err.Error()
		if errors.Is(err, queue.ErrFull) {
			text = "Job queue is full" // gearmand's words: clients compare them
		}
		c.reply().sendError(wire.CodeQueueError, text)
		return nil
	}
	if s.debug {
		c.noteSubmit(&got, sub)
	}
	if s.commit != nil {
		s.commit.reserveNumbers()
	}
	switch {
	case !sub.Hold:
	case !sub.Background && got.Fresh:
		s.commit.releaseBehind(c, got.Job) // it must not overtake the earlier jobs of its client
	case got.Fresh || got.Promoted:
		s.commit.addJob(got.Job)
	}
	// A foreground submission that joins a job which is only becoming a background
	// one needs no store: the job waits or runs already.
	if s.commit != nil && (sub.Background || got.Job.State() == queue.Held) && s.commit.replyWhenStored(c, got.Job) {
		return nil
	}
	var buf [wire.MaxHandle]byte
	c.reply().sendPacket(wire.JobCreated, got.Job.AppendHandle(buf[:0]))
	return nil
}

func (c *conn) noteSubmit(got *queue.Submitted, sub *queue.Submission) {
	msg := "submitted"
	if !got.Fresh {
		msg = "coalesced"
	}
	c.s.logAfterTurn(slog.LevelDebug, msg, append(jobAttrs(got.Job),
		slog.String("client", c.addr), slog.String("priority", sub.Priority.String()),
		slog.Bool("background", sub.Background), slog.Int("size", len(sub.Payload)))...)
}

func (c *conn) getStatus(_ int64, p *wire.Packet) error {
	if c.awaitHandle(p.Args[0]) {
		return nil
	}
	var buf statusBuf
	known, running, num, den, _ := buf.status(c.s.q.Lookup(p.Args[0]))
	c.reply().sendPacket(wire.StatusRes, p.Args[0], known, running, num, den)
	return nil
}

// askedFunctions is the number of functions that are searched for a unique under one
// lock.
const askedFunctions = 2048

// getStatusUnique answers with the unique in the place of the handle, like gearmand.
// If there are many functions, a goroutine searches some of them at a time.
func (c *conn) getStatusUnique(_ int64, p *wire.Packet) error {
	s := c.s
	j, last := s.q.ByUnique(p.Args[0], nil, askedFunctions)
	if j == nil && last == nil && c.awaitAll() {
		return nil
	}
	if last == nil {
		var buf statusBuf
		known, running, num, den, clients := buf.status(j)
		c.reply().sendPacket(wire.StatusResUnique, p.Args[0], known, running, num, den, clients)
		return nil
	}
	c.askFurther(bytes.Clone(p.Args[0]), j, last)
	return nil
}

// askFurther searches the functions behind last for a unique, and answers; j is the
// oldest job with it so far. The lock is held.
func (c *conn) askFurther(unique []byte, j *queue.Job, last *queue.Function) {
	s, later := c.s, c.laterReply()
	s.loads.Go(func() {
		for more := true; more; {
			s.mu.Lock()
			var other *queue.Job
			other, last = s.q.ByUnique(unique, last, askedFunctions)
			if j == nil || j.State() == queue.Ended || other != nil && other.Seq() < j.Seq() {
				j = other
			}
			if more = last != nil && !s.closed; !more {
				var buf statusBuf
				known, running, num, den, clients := buf.status(j)
				later.sendPacket(wire.StatusResUnique, unique, known, running, num, den, clients)
			}
			s.endTurn(nil)
		}
	})
}

// statusBuf is room for three numbers.
type statusBuf [3 * 20]byte

var digits = [2][]byte{{'0'}, {'1'}}

// status returns the arguments of a status packet about j, all 0 if j is nil.
func (b *statusBuf) status(j *queue.Job) (known, running, num, den, clients []byte) {
	zero, one := digits[0], digits[1]
	if j == nil {
		return zero, zero, zero, zero, zero
	}
	running = zero
	if j.Worker() != nil {
		running = one
	}
	n, d := j.Status()
	return one, running,
		strconv.AppendInt(b[0:0:20], n, 10),
		strconv.AppendInt(b[20:20:40], d, 10),
		strconv.AppendInt(b[40:40:60], int64(j.NumWaiters()), 10)
}
