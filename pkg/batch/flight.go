package batch

import (
	"errors"
	"time"

	"gm/pkg/gearman"
)

// overhead is the assumed cost of a record besides its bytes, here and in the
// client.
const overhead = 1 << 10

// flight is a record in progress. It and its callbacks serve one record after
// the other.
type flight struct {
	Record
	run      *run
	task     *gearman.Task  // owned by the client during an attempt; nil: the next attempt needs a new one
	server   gearman.Server // from OnServer until OnCreated
	payload  []byte         // of the stage
	result   []byte         // result that has arrived and was not passed on
	tries    int            // of the stage
	ongoing  bool           // an attempt is
	ended    bool
	streamed bool // a part of the result has been passed on
}

// newFlight returns a flight without a record.
func (r *run) newFlight() *flight {
	if n := len(r.free); n > 0 {
		f := r.free[n-1]
		r.free = r.free[:n-1]
		return f
	}
	return &flight{run: r}
}

// recycle keeps a flight for another record, unless there are many.
func (r *run) recycle(f *flight) {
	if len(r.free) < 2*r.window {
		if f.task != nil {
			f.task.Payload = nil
		}
		*f = flight{run: r, task: f.task}
		r.free = append(r.free, f)
	}
}

// prepare returns the task for an attempt.
func (f *flight) prepare() *gearman.Task {
	b := f.run.b
	t := f.task
	if t == nil {
		t = &gearman.Task{
			OnServer:   func(s gearman.Server) { f.server = s },
			OnCreated:  f.onCreated,
			OnData:     func(b []byte) { f.onData(b, false) },
			OnComplete: f.onComplete,
			OnFail:     f.onFail,
		}
		if b.Warning != nil {
			t.OnWarning = f.onWarning
		}
		if b.Status != nil {
			t.OnStatus = f.onStatus
		}
		f.task = t
	}
	of := f.run.task(f.Stage)
	t.Function, t.Unique, t.Reducer = of.Function, of.Unique, of.Reducer
	t.Priority, t.Background, t.At, t.Timeout = of.Priority, of.Background, of.At, of.Timeout
	t.Payload = f.payload
	return t
}

// onCreated notes that a server has taken the record.
func (f *flight) onCreated(h gearman.Handle) {
	r := f.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	f.Handle, f.Server = h, f.server
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

func (f *flight) onWarning(text []byte) {
	f.run.mu.Lock()
	defer f.run.mu.Unlock()
	if !f.run.over {
		f.run.b.Warning(&f.Record, text)
	}
}

func (f *flight) onStatus(num, den int64) {
	f.run.mu.Lock()
	defer f.run.mu.Unlock()
	if !f.run.over {
		f.run.b.Status(&f.Record, num, den)
	}
}

func (f *flight) onData(piece []byte, owned bool) {
	f.run.mu.Lock()
	defer f.run.mu.Unlock()
	f.run.data(f, piece, owned)
}

func (f *flight) onComplete(last []byte) {
	r := f.run
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data(f, last, true)
	r.ended(f, nil)
}

// onFail may be called twice for an attempt, because StartAsync may also return
// the error.
func (f *flight) onFail(err error) {
	r := f.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.ongoing {
		f.task = nil // the client may still read it
		r.ended(f, err)
	}
}

// data receives a piece of a record's result. It may keep the piece if it owns
// it.
func (r *run) data(f *flight, b []byte, owned bool) {
	switch {
	case len(b) == 0 || r.over:
	case r.streams(f):
		r.passOn(f)
		r.hand(f, b)
	default:
		if owned && f.result == nil {
			f.result = b
		} else {
			f.result = append(f.result, b...)
		}
		r.n.held.Add(int64(len(b)))
	}
}

// streams reports whether a record's result is passed on as it arrives.
func (r *run) streams(f *flight) bool {
	return r.b.Retries == 0 && f.Stage == len(r.b.Stages) && (r.b.Interleaved || !r.b.Unordered && f == r.order.front())
}

// hand passes a piece of a result to the Batch's Data.
func (r *run) hand(f *flight, b []byte) {
	f.streamed = true
	f.Bytes += int64(len(b))
	if r.b.Data == nil {
		return
	}
	if !r.dirty {
		r.dirty = true
		r.poke() // the record may go on for long
	}
	if err := r.b.Data(&f.Record, b); err != nil {
		r.fail(err)
	}
}

// passOn passes on the collected part of a record's result.
func (r *run) passOn(f *flight) {
	if len(f.result) == 0 {
		return
	}
	b := f.result
	r.n.held.Add(-int64(len(b)))
	f.result = nil
	r.hand(f, b)
}

// ended handles the end of an attempt: it ends the record, or begins another
// attempt or stage.
func (r *run) ended(f *flight, err error) {
	f.ongoing = false
	running := int(r.n.running.Add(-1))
	if r.over || err != nil && r.ctx.Err() != nil {
		return
	}
	if r.room.IsZero() || !r.nearlyFull(running) { // otherwise the loop will check soon
		r.poke()
	}
	probed := f == r.refusal.probe
	if probed {
		r.refusal.probe = nil
	}
	switch {
	case err == nil && f.Stage < len(r.b.Stages):
		r.advance(f)
		return
	case err == nil:
	case refused(err):
		f.Attempts--
		f.tries--
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
	r.finish(f, err)
}

// advance sends a record to its next stage, with its result as the payload.
func (r *run) advance(f *flight) {
	r.dropPayload(f)
	f.payload, f.result = f.result, nil
	f.Stage++
	f.tries = 0
	r.queue(f)
}

// dropPayload releases the payload of a stage. That of the first stage belongs
// to the record.
func (r *run) dropPayload(f *flight) {
	if f.Stage > 0 {
		r.n.held.Add(-int64(len(f.payload)))
	}
	f.payload = nil
}

// finish ends a record.
func (r *run) finish(f *flight, err error) {
	f.ended, f.Err, f.Ended = true, err, time.Now()
	r.dropPayload(f)
	if f.Stage < len(r.b.Stages) { // the result of an earlier stage is not the record's
		r.dropResult(f)
	}
	r.n.done.Add(1)
	if err != nil {
		r.n.failed.Add(1)
	}
	seq := f.Seq // done may give f to another record
	if r.unordered() {
		r.done(f)
	} else {
		r.handOn()
	}
	if err != nil {
		r.haltIfReached(seq, err)
	}
}

func (r *run) dropResult(f *flight) {
	r.n.held.Add(-int64(len(f.result)))
	f.result = nil
}

// handOn passes on the ready records at the front of the order.
func (r *run) handOn() {
	for r.order.len() > 0 && !r.over {
		f := r.order.front()
		if !f.ended {
			if r.streams(f) {
				r.passOn(f)
			}
			return
		}
		r.done(r.order.pop())
	}
}

// done passes on a record that has ended.
func (r *run) done(f *flight) {
	r.passOn(f)
	if r.over {
		return
	}
	r.open--
	r.n.handed.Add(1)
	r.n.held.Add(-overhead - int64(len(f.Payload)))
	r.sum.Records++
	completed := f.Err == nil
	if r.b.Done != nil {
		r.dirty = true
		if err := r.b.Done(&f.Record); err != nil {
			r.fail(err)
		}
	}
	if f.Err != nil {
		r.sum.Failed++
		if errors.Is(f.Err, gearman.ErrLost) {
			r.sum.Lost++
		}
		if completed {
			r.n.failed.Add(1)
			r.haltIfReached(f.Seq, f.Err)
		}
	}
	r.recycle(f)
}

// haltIfReached ends the batch if enough records have failed for Halt.
func (r *run) haltIfReached(seq int, err error) {
	if r.halted == nil && r.b.Halt.reached(r.n.failed.Load(), r.n.done.Load()) {
		r.halt(seq, err)
	}
}
