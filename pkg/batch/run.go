package batch

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"gm/pkg/gearman"
)

// flushDelay is the time that output may wait for Flush while more is expected:
// long enough to make one write of many small results.
const flushDelay = 5 * time.Millisecond

// A window that was full is filled again when 1/refillPart of its places is
// free, or when one has been free for refillDelay, so that one write sends
// several records.
const (
	refillPart  = 8
	refillDelay = time.Millisecond
)

// run is one Run in progress. Records are sent by the goroutine of Run alone;
// their ends arrive from the client's goroutines.
type run struct {
	b        *Batch
	ctx      context.Context
	cancel   context.CancelCauseFunc
	window   int
	memory   int
	function string // Record.Function
	inputs   *intake
	wake     chan struct{} // signals a change to loop

	n counts // written with mu held

	mu      sync.Mutex
	over    bool      // Run has returned, or is about to
	broken  bool      // because a function of the Batch has failed
	halted  error     // no further records begin
	order   row       // records begun and not yet passed to Done, oldest first; empty with Unordered
	open    int       // number of records begun and not yet passed to Done
	again   row       // flights to send again, or to their next stage; by sequence
	free    []*flight // for other records
	full    bool      // the window was full, and its refill has not begun
	room    time.Time // time when the loop saw a free place in it; zero: it has not
	taken   bool      // a server has taken a record
	refusal refusal
	dirty   bool      // output has been passed on since the last Flush
	seen    time.Time // time when the loop saw that; zero: it has not
	sum     Summary
}

func newRun(ctx context.Context, cancel context.CancelCauseFunc, b *Batch) *run {
	r := &run{
		b: b, ctx: ctx, cancel: cancel,
		window: b.Window, memory: b.Memory, function: b.Task.Function,
		wake: make(chan struct{}, 1), taken: b.begun,
	}
	if r.window <= 0 {
		r.window = DefaultWindow
	}
	if r.memory <= 0 {
		r.memory = DefaultMemory
	}
	if len(b.Stages) > 0 {
		names := []string{b.Task.Function}
		for i := range b.Stages {
			names = append(names, b.Stages[i].Function)
		}
		r.function = strings.Join(names, "|")
	}
	r.inputs = newIntake(r.poke)
	return r
}

// loop sends records until the source is exhausted and all have ended.
func (r *run) loop(src Source) error {
	go r.inputs.read(r.ctx, src)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, pause, done := r.step()
		switch {
		case next != nil:
			r.send(next)
			continue
		case done:
			return r.end()
		}
		var due <-chan time.Time
		if pause > 0 {
			timer.Reset(pause)
			due = timer.C
		}
		select {
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		case <-r.wake:
		case <-due:
		}
	}
}

// step returns the record to send now. If there is none, it returns whether all
// have ended, or how long to wait unless something happens; 0 is without limit.
func (r *run) step() (next *flight, pause time.Duration, done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.ctx.Err() != nil {
		return nil, 0, true
	}
	next, pause = r.next()
	if next != nil {
		r.begin(next)
		r.flushDue(false)
		return next, 0, false
	}
	ended := r.inputs.ended != nil
	r.n.all.Store(ended)
	if r.over || r.open == 0 && (r.halted != nil || ended) {
		return nil, 0, true
	}
	if due := r.flushDue(r.n.running.Load() == 0); due > 0 && (pause == 0 || due < pause) {
		pause = due
	}
	return nil, pause, false
}

// next returns the record to send now, or how long to wait if one will be due
// then.
func (r *run) next() (next *flight, pause time.Duration) {
	if w := &r.refusal; !w.since.IsZero() {
		switch pause := time.Until(w.next); {
		case w.probe != nil:
			return nil, 0
		case pause > 0:
			return nil, pause
		}
	}
	if running := int(r.n.running.Load()); running >= r.window {
		r.full, r.room = true, time.Time{}
		return nil, 0
	} else if r.full {
		if pause := r.refillIn(running); pause > 0 {
			return nil, pause
		}
		r.full, r.room = false, time.Time{}
	}
	if r.again.len() > 0 {
		return r.again.pop(), 0
	}
	for r.halted == nil && !r.over && (r.n.held.Load() < int64(r.memory) || r.open == 0) {
		in, ok := r.inputs.nextInput()
		if !ok {
			break
		}
		if f := r.addRecord(in); f != nil {
			return f, 0
		}
	}
	return nil, 0
}

// refillIn returns how long to wait until a window that was full is filled again.
func (r *run) refillIn(running int) time.Duration {
	if !r.nearlyFull(running) {
		return 0
	}
	now := time.Now()
	if r.room.IsZero() {
		r.room = now
	}
	return r.room.Add(refillDelay).Sub(now)
}

func (r *run) nearlyFull(running int) bool { return running > r.window-r.window/refillPart }

// addRecord makes a new record the last in the order, and returns it if it must be
// sent.
func (r *run) addRecord(in Input) *flight {
	f := r.newFlight()
	f.Record = Record{
		Seq: int(r.n.read.Add(1)), Name: in.Name, Payload: in.Payload,
		Function: r.function, Unique: r.b.Task.Unique, Unread: in.Err != nil, Err: in.Err,
	}
	if r.b.Skip != nil {
		skip, err := r.b.Skip(&f.Record)
		if err != nil {
			r.fail(err)
			return nil
		}
		if skip {
			r.sum.Skipped++
			r.n.skipped.Add(1)
			r.recycle(f)
			return nil
		}
	}
	f.Started = time.Now()
	f.payload = in.Payload
	r.n.held.Add(overhead + int64(len(in.Payload)))
	r.open++
	if !r.unordered() {
		r.order.push(f)
	}
	if in.Err != nil {
		r.finish(f, in.Err)
		return nil
	}
	return f
}

// begin begins an attempt.
func (r *run) begin(f *flight) {
	f.ongoing = true
	f.Attempts++
	f.tries++
	r.n.running.Add(1)
	if w := &r.refusal; !w.since.IsZero() {
		w.probe = f
	}
}

// send submits a record once.
func (r *run) send(f *flight) {
	if _, err := r.b.Client.StartAsync(r.ctx, f.prepare()); err != nil {
		f.onFail(err)
	}
}

// flushDue calls Flush if it is due, or at once if now is set. It returns the
// time until Flush is due; 0: there is nothing to flush.
func (r *run) flushDue(now bool) time.Duration {
	if !r.dirty || r.b.Flush == nil {
		return 0
	}
	if !now {
		t := time.Now()
		if r.seen.IsZero() {
			r.seen = t
		}
		if left := r.seen.Add(flushDelay).Sub(t); left > 0 {
			return left
		}
	}
	r.flush()
	return 0
}

func (r *run) flush() {
	r.dirty, r.seen = false, time.Time{}
	if err := r.b.Flush(); err != nil {
		r.fail(err)
	}
}

// end returns the error of the run, after the last record.
func (r *run) end() error {
	switch err := context.Cause(r.ctx); {
	case err != nil:
		return err
	case r.halted != nil:
		return r.halted
	case r.inputs.ended != io.EOF:
		return r.inputs.ended
	}
	return nil
}

// close marks the end of Run: no function of the Batch is called after it.
func (r *run) close(err error) (Summary, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.broken && r.dirty && r.b.Flush != nil {
		if flushErr := r.b.Flush(); flushErr != nil && err == nil {
			err = flushErr
		}
	}
	r.over = true
	return r.sum, err
}

// stop ends the batch before its time.
func (r *run) stop(err error) {
	r.over = true
	r.cancel(err)
}

// fail ends the batch because one of its functions has failed.
func (r *run) fail(err error) {
	r.broken = true
	r.stop(err)
}

func (r *run) unordered() bool { return r.b.Unordered || r.b.Interleaved }

// poke makes loop check again.
func (r *run) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// task returns the task of a stage.
func (r *run) task(stage int) *gearman.Task {
	if stage == 0 {
		return &r.b.Task
	}
	return &r.b.Stages[stage-1]
}
