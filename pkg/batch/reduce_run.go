package batch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"gm/pkg/gearman"
)

// reducing is a Run with a Reduction: two batches at once, one of the records and
// one of the joins of their results, with a tree between them.
//
//	source -> gate -> mapBatch -> tree -> joins -> joinBatch
//	                               ^                    |
//	                               +--------------------+
//
// Both share a window and a limit on memory. Joins never wait for memory,
// because they free it. The gate lets records through while there is room. When
// no job is in flight, it makes the tree join the parts that it can, and if
// there are none it lets one record through. So a reduction never stops.
//
// The goroutine of Run owns mapBatch. It starts the goroutine of joinBatch
// and waits for it.
type reducing struct {
	b         *Batch
	opts      Reduction
	source    Source
	window    int
	memory    int
	client    *turnstile
	mapBatch  *Batch // of the records
	joinBatch *Batch // of the joins

	calling sync.Mutex // held while one of the Batch's functions runs; taken before mu

	mu      sync.Mutex
	changed sync.Cond // the state has changed, for gate and joins
	over    error     // reason why gate and joins must not wait any more
	tree    *tree
	out     int             // records that have passed the gate and are not in the tree
	bytes   int             // bytes of their payloads
	read    int             // records so far
	flying  map[int]*flying // joins on their way, by Seq
	sent    int             // joins so far
	last    Record          // of the join that has ended last

	away int // batches without a server; guarded by calling
}

// flying is a join on its way.
type flying struct {
	*join
	size int // of the payload
}

// reduce is Run with a Reduction.
func (b *Batch) reduce(ctx context.Context, src Source) (Summary, error) {
	f, err := newReducing(b, src)
	if err != nil {
		return Summary{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { f.stop(context.Cause(ctx)) })()

	b.reducing.Store(f)
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := f.joinBatch.Run(ctx, joins{f}); err != nil {
			cancel(err)
		}
	})
	sum, err := f.mapBatch.Run(ctx, gate{f})
	if err != nil {
		cancel(err)
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil {
		return sum, err
	}
	return sum, f.hand()
}

func newReducing(b *Batch, src Source) (*reducing, error) {
	opts, err := b.Reduce.withDefaults()
	switch {
	case err != nil:
		return nil, err
	case b.Skip != nil:
		return nil, errors.New("reduce: no record can be left out")
	}
	f := &reducing{
		b: b, opts: opts, source: src, window: b.Window, memory: b.Memory,
		tree:   newTree(opts.Arity, opts.MaxPayload),
		flying: make(map[int]*flying),
	}
	if f.window <= 0 {
		f.window = DefaultWindow
	}
	if f.memory <= 0 {
		f.memory = DefaultMemory
	}
	f.changed.L = &f.mu
	f.client = &turnstile{b.Client, make(chan struct{}, f.window)}
	f.mapBatch, f.joinBatch = f.newMapBatch(), f.newJoinBatch()
	return f, nil
}

// newMapBatch returns the batch of the records.
func (f *reducing) newMapBatch() *Batch {
	m := f.part(f.b.Task, func(r *Record) *Record { return r })
	m.Stages = f.b.Stages
	m.Done = collected(m, f.mapped)
	return m
}

// newJoinBatch returns the batch of the joins.
func (f *reducing) newJoinBatch() *Batch {
	j := f.part(f.opts.Task, f.joinRecord)
	j.begun = true // mapBatch has found a server
	j.Done = collected(j, f.joined)
	return j
}

// part returns the settings that the two batches share. as converts a record of
// the part to the record that the Batch's functions get.
func (f *reducing) part(t gearman.Task, as func(*Record) *Record) *Batch {
	b := f.b
	p := &Batch{
		Client: f.client, Task: t, Window: f.window, Memory: f.memory,
		Retries: b.Retries, Repeatable: b.Repeatable, Patience: b.Patience, WaitFirst: b.WaitFirst, Unordered: true,
	}
	if b.Created != nil {
		p.Created = func(r *Record) { f.call(func() { b.Created(as(r)) }) }
	}
	if b.Warning != nil {
		p.Warning = func(r *Record, text []byte) { f.call(func() { b.Warning(as(r), text) }) }
	}
	if b.Status != nil {
		p.Status = func(r *Record, num, den int64) { f.call(func() { b.Status(as(r), num, den) }) }
	}
	if b.Retry != nil {
		p.Retry = func(r *Record, err error) { f.call(func() { b.Retry(as(r), err) }) }
	}
	if b.Away != nil {
		p.Away = func(err error) { f.call(func() { f.leave(err) }) }
		p.Back = func(away time.Duration) { f.call(func() { f.comeBack(away) }) }
	}
	return p
}

// leave and comeBack report once an event that both batches detect.
func (f *reducing) leave(err error) {
	if f.away++; f.away == 1 {
		f.b.Away(err)
	}
}

func (f *reducing) comeBack(away time.Duration) {
	if f.away--; f.away == 0 {
		f.b.Back(away)
	}
}

// call calls one of the Batch's functions, one at a time.
func (f *reducing) call(function func()) {
	f.calling.Lock()
	defer f.calling.Unlock()
	function()
}

// collected gives a batch a Data that collects the results for done. One buffer
// is enough, because the results are passed on whole.
func collected(b *Batch, done func(r *Record, result []byte) error) func(*Record) error {
	var result []byte
	b.Data = func(_ *Record, piece []byte) error {
		result = append(result, piece...)
		return nil
	}
	return func(r *Record) error {
		whole := result
		result = nil
		return done(r, whole)
	}
}

// mapped handles the end of a record.
func (f *reducing) mapped(r *Record, result []byte) error {
	if err := f.ended(r); err != nil {
		return err
	}
	if r.Err != nil {
		return &PartError{0, r.Seq, r.Seq, r.Name, r.Err}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out--
	f.bytes -= len(r.Payload)
	f.tree.addResult(r.Seq, f.whole(result))
	f.changed.Broadcast()
	return f.tree.err
}

// joined handles the end of a join.
func (f *reducing) joined(r *Record, result []byte) error {
	as := f.joinRecord(r)
	if err := f.ended(as); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	j := f.flying[r.Seq]
	if r.Err != nil {
		return &PartError{j.level(), j.first(), j.last(), "", r.Err}
	}
	delete(f.flying, r.Seq)
	f.last, f.last.Payload = *as, nil
	f.tree.done(j.join, j.size, f.whole(result))
	f.changed.Broadcast()
	return f.tree.err
}

// whole returns a result with Reduction.End at its end.
func (f *reducing) whole(result []byte) []byte {
	if bytes.HasSuffix(result, f.opts.End) {
		return result
	}
	return append(result, f.opts.End...)
}

func (f *reducing) ended(r *Record) (err error) {
	if f.opts.Part != nil {
		f.call(func() { err = f.opts.Part(r) })
	}
	return err
}

// joinRecord returns a record of joinBatch as the Batch's functions see it.
func (f *reducing) joinRecord(r *Record) *Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	as := *r
	as.Stage = f.flying[r.Seq].level()
	return &as
}

// hand passes the final result to the Batch's functions.
func (f *reducing) hand() error {
	if f.read == 0 {
		return nil
	}
	r := f.last
	r.Seq, r.Name = 1, ""
	r.Bytes = int64(len(f.tree.root.data))
	if f.b.Data != nil && r.Bytes > 0 {
		if err := f.b.Data(&r, f.tree.root.data); err != nil {
			return err
		}
	}
	if f.b.Done != nil {
		if err := f.b.Done(&r); err != nil {
			return err
		}
	}
	if f.b.Flush != nil {
		return f.b.Flush()
	}
	return nil
}

// progress returns the progress of the records, with the jobs and the bytes of
// both batches.
func (f *reducing) progress() Progress {
	p := f.mapBatch.Progress()
	p.Running, p.Waiting = len(f.client.room), 0
	f.mu.Lock()
	defer f.mu.Unlock()
	p.Held = int64(f.bytes + f.tree.held)
	return p
}

// stop ends the waiting of gate and joins.
func (f *reducing) stop(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = err
	f.changed.Broadcast()
}

// gate is the source of mapBatch. It reads one record ahead.
type gate struct{ *reducing }

func (g gate) Next() (Input, error) {
	in, err := g.source.Next()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case err == io.EOF:
		g.tree.close(g.read)
		g.changed.Broadcast()
		return in, err
	case err != nil:
		return in, err
	}
	g.wait()
	g.read++
	g.out++
	g.bytes += len(in.Payload)
	return in, g.over
}

// wait waits until a record may pass: until there is memory for its result, and
// a place in the window, which limits the results of records that have been
// read.
func (g gate) wait() {
	for g.over == nil && (g.out >= g.window || g.tree.held+g.bytes >= g.memory) {
		still := g.out == 0 && len(g.flying) == 0 && len(g.tree.joins) == 0
		if still && !g.tree.relieve() {
			return
		}
		if still {
			g.changed.Broadcast()
		}
		g.changed.Wait()
	}
}

// joins is the source of joinBatch.
type joins struct{ *reducing }

func (s joins) Next() (Input, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.over != nil:
			return Input{}, s.over
		case s.tree.root != nil:
			return Input{}, io.EOF
		case s.tree.err != nil:
			return Input{}, s.tree.err
		}
		if j, payload := s.tree.nextJoin(); j != nil {
			s.sent++
			s.flying[s.sent] = &flying{j, len(payload)}
			return Input{Payload: payload, Name: "reduction of " + j.records()}, nil
		}
		s.changed.Wait()
	}
}

// turnstile limits the number of tasks in flight.
type turnstile struct {
	Submitter
	room chan struct{} // has one element for each task in flight
}

// StartAsync waits for room, and submits.
func (s *turnstile) StartAsync(ctx context.Context, t *gearman.Task) (*gearman.Running, error) {
	select {
	case s.room <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var once sync.Once
	leave := func() { once.Do(func() { <-s.room }) }
	task := *t
	task.OnComplete = func(b []byte) {
		leave()
		t.OnComplete(b)
	}
	task.OnFail = func(err error) {
		leave()
		t.OnFail(err)
	}
	running, err := s.Submitter.StartAsync(ctx, &task)
	if err != nil {
		leave()
	}
	return running, err
}
