package batch

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gm/pkg/gearman"
)

const (
	// overhead is what a record is taken to cost beside its bytes.
	overhead = 512

	// How often a server that took no job is tried again.
	minPause = 100 * time.Millisecond
	maxPause = 2 * time.Second
)

// run is one Run in progress. Records are sent by the goroutine of Run alone;
// their ends arrive from the client's goroutines.
type run struct {
	b      *Batch
	window int
	memory int
	cancel context.CancelCauseFunc
	wake   chan struct{} // something has changed for loop

	mu       sync.Mutex
	over     bool      // Run has returned, or is about to
	order    []*flight // sent and not yet handed to Done, oldest first
	again    []*flight // to be sent again
	inFlight int
	held     int  // bytes of payloads and results, with overhead
	taken    bool // a server has taken a record
	refusal  refusal
	sum      Summary

	// The loop's.
	seq int
}

// flight is a record under way.
type flight struct {
	Record
	result   []byte // arrived and not yet handed on
	ongoing  bool   // an attempt is
	ended    bool
	streamed bool // some of the result has been handed on
}

// refusal is a time in which no server takes records, or may not since one was
// lost. One record at a time finds out whether it is over.
type refusal struct {
	since time.Time // zero: there is none
	told  bool      // Away has been called
	next  time.Time // when to send the next probe
	pause time.Duration
	probe *flight // under way; nil: none
}

// input is what the source gave, or the error that it ended with.
type input struct {
	Input
	end error
}

// loop sends records until the source is exhausted and all have ended.
func (r *run) loop(ctx context.Context, src Source) error {
	inputs := make(chan input)
	go read(ctx, src, inputs)
	timer := time.NewTimer(0)
	defer timer.Stop()

	var readErr error
	for {
		next, ready, pause := r.next()
		switch {
		case next != nil:
			r.send(ctx, next)
			continue
		case inputs == nil && r.idle():
			return readErr
		}
		from := inputs
		if !ready {
			from = nil
		}
		var due <-chan time.Time
		if pause > 0 {
			timer.Reset(pause)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.wake:
		case <-due:
		case in := <-from:
			if in.end != nil {
				inputs = nil
				if in.end != io.EOF {
					readErr = in.end
				}
				continue
			}
			r.send(ctx, r.add(in.Input))
		}
	}
}

// read hands on the source's records until its end or ctx's.
func read(ctx context.Context, src Source, to chan<- input) {
	for {
		in, err := src.Next()
		select {
		case to <- input{in, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// next returns the record that is to be sent again now, if there is one, else
// whether there is room for a new one, else how long to wait if time is what
// is lacking.
func (r *run) next() (again *flight, ready bool, pause time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := &r.refusal; !w.since.IsZero() {
		switch pause := time.Until(w.next); {
		case w.probe != nil:
			return nil, false, 0
		case pause > 0:
			return nil, false, pause
		}
	}
	if r.inFlight >= r.window {
		return nil, false, 0
	}
	if len(r.again) > 0 {
		again = r.again[0]
		r.again = r.again[1:]
		return again, false, 0
	}
	return nil, r.held < r.memory || len(r.order) == 0, 0
}

func (r *run) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.order) == 0
}

// add makes a new record the last in the order.
func (r *run) add(in Input) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	f := &flight{Record: Record{Seq: r.seq, Name: in.Name, Payload: in.Payload, Started: time.Now()}}
	r.order = append(r.order, f)
	r.held += overhead + len(in.Payload)
	return f
}

// send submits one record once.
func (r *run) send(ctx context.Context, f *flight) {
	t := r.b.Task
	t.Payload = f.Payload
	t.Retries = 0
	t.OnCreated = func(h gearman.Handle) { r.created(f, h) }
	t.OnData = func(b []byte) { r.data(f, b, false) }
	t.OnWarning, t.OnStatus, t.OnException, t.OnRetry = nil, nil, nil, nil
	if r.b.Warning != nil {
		t.OnWarning = func(b []byte) { r.report(func() { r.b.Warning(&f.Record, b) }) }
	}
	if r.b.Status != nil {
		t.OnStatus = func(num, den int64) { r.report(func() { r.b.Status(&f.Record, num, den) }) }
	}
	t.OnComplete = func(b []byte) {
		r.data(f, b, true)
		r.end(f, nil)
	}
	t.OnFail = func(err error) { r.end(f, err) }

	r.mu.Lock()
	f.ongoing = true
	f.Attempts++
	r.inFlight++
	if w := &r.refusal; !w.since.IsZero() {
		w.probe = f
	}
	r.mu.Unlock()
	if _, err := r.b.Client.StartAsync(ctx, &t); err != nil {
		r.end(f, err)
	}
}

func (r *run) report(call func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		call()
	}
}

// created notes that a server has taken the record.
func (r *run) created(f *flight, h gearman.Handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	f.Handle = h
	r.taken = true
	if !r.refusal.since.IsZero() {
		if r.refusal.told {
			r.b.Back(time.Since(r.refusal.since))
		}
		r.refusal = refusal{}
		r.poke()
	}
	if r.b.Created != nil {
		r.b.Created(&f.Record)
	}
}

// data takes a piece of a record's result, which may be kept if it is owned.
func (r *run) data(f *flight, b []byte, owned bool) {
	if len(b) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || f.ended {
		return
	}
	if f == r.order[0] && r.b.Retries == 0 {
		r.flush(f)
		r.hand(f, b)
		return
	}
	if owned && f.result == nil {
		f.result = b
	} else {
		f.result = append(f.result, b...)
	}
	r.held += len(b)
}

// hand passes a piece of a result to the Batch's Data.
func (r *run) hand(f *flight, b []byte) {
	f.streamed = true
	f.Bytes += int64(len(b))
	if r.b.Data == nil {
		return
	}
	if err := r.b.Data(&f.Record, b); err != nil {
		r.stop(err)
	}
}

// flush hands on what has been collected of a record's result.
func (r *run) flush(f *flight) {
	if len(f.result) == 0 {
		return
	}
	b := f.result
	r.held -= len(b)
	f.result = nil
	r.hand(f, b)
}

// end takes the end of one attempt: the record's own, or the beginning of
// another attempt.
func (r *run) end(f *flight, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !f.ongoing {
		return // StartAsync's error comes after the same from OnFail
	}
	f.ongoing = false
	r.inFlight--
	if r.over {
		return
	}
	defer r.poke()
	probed := f == r.refusal.probe
	if probed {
		r.refusal.probe = nil
	}
	switch {
	case err == nil:
	case refused(err):
		f.Attempts--
		r.wait(err, probed)
		r.repeat(f)
		return
	case errors.Is(err, gearman.ErrLost):
		r.doubt(probed)
	}
	if err != nil && r.mayRetry(f, err) {
		if r.b.Retry != nil {
			r.b.Retry(&f.Record, err)
		}
		r.repeat(f)
		return
	}
	f.ended, f.Err, f.Ended = true, err, time.Now()
	r.advance()
}

// refused reports whether err says that no server has taken the job, so that
// sending it again cannot run it twice.
func refused(err error) bool {
	var se *gearman.ServerError
	return errors.Is(err, gearman.ErrNoServer) || errors.As(err, &se) && se.QueueFull()
}

// doubt begins, or goes on with, the time in which no server may take records.
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

// wait waits for a server that takes records. If that has no point it ends the
// batch.
func (r *run) wait(err error, probed bool) {
	r.doubt(probed)
	w := &r.refusal
	if !r.taken || time.Since(w.since) >= r.b.Patience {
		r.stop(err)
		return
	}
	if !w.told && r.b.Away != nil {
		w.told = true
		r.b.Away(err)
	}
}

// repeat has a record sent again, before those that came after it.
func (r *run) repeat(f *flight) {
	r.held -= len(f.result)
	f.result = nil
	i, _ := slices.BinarySearchFunc(r.again, f, func(a, b *flight) int { return cmp.Compare(a.Seq, b.Seq) })
	r.again = slices.Insert(r.again, i, f)
}

// mayRetry says whether a record that a server has had may be sent again.
func (r *run) mayRetry(f *flight, err error) bool {
	var se *gearman.ServerError
	if f.streamed || errors.Is(err, context.Canceled) || errors.As(err, &se) {
		return false
	}
	if f.Attempts <= r.b.Retries {
		return true
	}
	return r.b.Task.Unique != "" && errors.Is(err, gearman.ErrLost)
}

// advance hands on what is ready at the front of the order.
func (r *run) advance() {
	for len(r.order) > 0 && !r.over {
		f := r.order[0]
		if f.ended || r.b.Retries == 0 {
			r.flush(f)
		}
		if !f.ended || r.over {
			return
		}
		r.order[0] = nil
		r.order = r.order[1:]
		r.held -= overhead + len(f.Payload)
		r.sum.Records++
		if f.Err != nil {
			r.sum.Failed++
			if errors.Is(f.Err, gearman.ErrLost) {
				r.sum.Lost++
			}
		}
		if r.b.Done != nil {
			if err := r.b.Done(&f.Record); err != nil {
				r.stop(err)
			}
		}
	}
}

// stop ends the batch before its time.
func (r *run) stop(err error) {
	r.over = true
	r.cancel(err)
}

// poke has loop look again.
func (r *run) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *run) progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Progress{Read: r.seq, Done: r.sum.Records, Failed: r.sum.Failed, Running: r.inFlight, Held: int64(r.held)}
}
