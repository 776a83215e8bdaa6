package batch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gm/pkg/gearman"
)

// Intervals between the tries of a server that took no job.
const (
	minPause = 100 * time.Millisecond
	maxPause = 2 * time.Second
)

// refusal is a time in which no server takes records, or in which it is unknown
// because one was lost. The batch then sends one record at a time as a probe.
type refusal struct {
	since time.Time // zero: there is none
	told  bool      // Away has been called
	next  time.Time // when to send the next probe
	pause time.Duration
	probe *flight // under way; nil: none
}

// refused reports whether err means that no server has taken the job, so that
// it can be sent again without running twice.
func refused(err error) bool {
	var se *gearman.ServerError
	return errors.Is(err, gearman.ErrNoServer) || errors.As(err, &se) && (se.QueueFull() || se.ShuttingDown())
}

// shuttingDown reports whether a server has answered that it is shutting down.
func shuttingDown(err error) bool {
	var se *gearman.ServerError
	return errors.As(err, &se) && se.ShuttingDown()
}

// doubt begins or extends the time in which no server may take records.
func (r *run) doubt(probed bool) {
	now := time.Now()
	w := &r.refusal
	switch {
	case w.since.IsZero():
		w.since, w.pause = now, minPause
	case probed:
		w.pause = min(2*w.pause, maxPause)
	default:
		return // sent before the doubt
	}
	w.next = now.Add(w.pause/2 + rand.N(w.pause/2))
}

// wait waits for a server that takes records, or ends the batch if waiting is
// useless.
func (r *run) wait(err error, probed bool) {
	r.doubt(probed)
	w := &r.refusal
	known := r.taken || r.b.WaitFirst || shuttingDown(err)
	if !known || time.Since(w.since) >= r.b.Patience {
		r.stop(err)
		return
	}
	if !w.told && r.b.Away != nil {
		w.told = true
		r.b.Away(err)
	}
}

// repeat makes another attempt.
func (r *run) repeat(f *flight) {
	r.dropResult(f)
	r.queue(f)
}

// queue queues a record to be sent, before later records.
func (r *run) queue(f *flight) { r.again.insert(f) }

// mayRetry reports whether a record that a server has had may be sent again.
func (r *run) mayRetry(f *flight, err error) bool {
	var se *gearman.ServerError
	if f.streamed || errors.Is(err, context.Canceled) || errors.Is(err, gearman.ErrTooLarge) || errors.As(err, &se) {
		return false
	}
	if f.tries <= r.b.Retries {
		return true
	}
	return (r.b.Repeatable || r.task(f.Stage).Unique != "") && errors.Is(err, gearman.ErrLost)
}

// halt ends the batch, now or soon, because of a record.
func (r *run) halt(seq int, err error) {
	r.halted = fmt.Errorf("%w: record %d: %w", ErrHalted, seq, err)
	if r.b.Halt.Now && !r.over {
		r.stop(r.halted)
	}
}
