package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// results keeps the outcomes of background jobs, and passes outcomes on to the waits
// for them. Without Config.KeepResults it keeps only those that the option once needs,
// without the results. Server.mu guards it.
type results struct {
	s     *Server
	all   bool  // it keeps the results of all background jobs
	keep  int64 // milliseconds for which it keeps outcomes
	limit int   // bytes of all kept outcomes

	bySeq   map[uint64]*result  // by the job's number
	byOnce  map[onceKey]*result // the latest of each key
	once    oncePrefixes
	order   []*result             // oldest first
	size    int                   // bytes kept, parts too
	parts   map[*queue.Job]*parts // the data of running jobs so far
	waits   map[*queue.Job][]wait
	follows map[*queue.Job][]eventReceiver
}

// result is the outcome of one job, with its result.
type result struct {
	wire.Outcome
	seq  uint64 // the number in Handle
	once onceKey
	data []byte
}

// wait is one job of an outcomeWait, and the handle by which the job was asked for:
// another server may have given that handle out.
type wait struct {
	w      *outcomeWait
	handle string
}

// outcomeWait waits for the outcomes of some jobs.
type outcomeWait struct {
	pending int          // number of missing outcomes
	jobs    []*queue.Job // the jobs of these outcomes, and jobs that have ended
	// receive takes an outcome; last reports whether it is the last. The lock is
	// held.
	receive func(o wire.Outcome, last bool)
}

// parts are the data that a running job has sent for its result.
type parts struct {
	data []byte
	size int  // of all pieces, in bytes
	lost bool // they were too large to keep
}

// resultOverhead is about the size of a result without data, in bytes: 210, and 45 more
// if its job had a unique.
const resultOverhead = 256

func newResults(s *Server) *results {
	return &results{
		s:       s,
		all:     s.cfg.KeepResults > 0,
		keep:    cmp.Or(s.cfg.KeepResults, onceTime).Milliseconds(),
		limit:   s.cfg.ResultsMemory,
		bySeq:   make(map[uint64]*result),
		byOnce:  make(map[onceKey]*result),
		once:    make(oncePrefixes),
		parts:   make(map[*queue.Job]*parts),
		waits:   make(map[*queue.Job][]wait),
		follows: make(map[*queue.Job][]eventReceiver),
	}
}

// keepsData reports whether the result of j must be kept.
func (r *results) keepsData(j *queue.Job) bool { return r.all && j.Background() }

// keepsOutcome reports whether the outcome of j must be kept.
func (r *results) keepsOutcome(j *queue.Job) bool {
	return j.Background() && (r.all || r.once.match(j.Unique()))
}

// addPart keeps a piece of a result, and removes the oldest results to make room for it.
func (r *results) addPart(j *queue.Job, data []byte) {
	if !r.keepsData(j) || len(data) == 0 {
		return
	}
	p := r.parts[j]
	if p == nil {
		p = new(parts)
		r.parts[j] = p
	}
	p.size += len(data)
	if p.lost {
		return
	}
	p.data = append(p.data, data...)
	r.size += len(data)
	if len(p.data) <= r.maxResult() {
		r.expireResults(r.s.q.Wall())
	}
	if r.size > r.limit || len(p.data) > r.maxResult() {
		r.size -= len(p.data)
		p.data, p.lost = nil, true
	}
}

// maxResult is the size of the maxResult result that is kept.
func (r *results) maxResult() int { return r.limit / 2 }

// forgetParts returns and forgets the data of a job that starts anew or has ended.
func (r *results) forgetParts(j *queue.Job) (p parts) {
	if kept, ok := r.parts[j]; ok {
		p = *kept
		r.size -= len(p.data)
		delete(r.parts, j)
	}
	return p
}

// reportEnd keeps the outcome of j and passes it on to its waits. last is the rest of its
// result, or the text of its failure.
func (r *results) reportEnd(now int64, j *queue.Job, state wire.OutcomeState, last []byte) {
	p := r.forgetParts(j)
	waits, waited := r.waits[j]
	keeps := r.keepsOutcome(j)
	if !waited && !keeps {
		return
	}
	one := &result{seq: j.Seq(), Outcome: wire.Outcome{
		Handle: j.Handle(), Function: j.Function().Name(), State: state, Attempts: j.Attempts(), EndedMS: r.s.q.Wall(),
	}}
	if state != wire.OutcomeCompleted {
		p = parts{}
		one.Error = strings.ToValidUTF8(string(last), "?")
	}
	one.Size = p.size + len(last)
	if r.all && !p.lost && one.Size <= r.maxResult() {
		one.data = append(p.data, last...)
	}
	if keeps {
		one.once = onceKeyOf(j, state)
		r.keepResult(one)
	}
	delete(r.waits, j)
	delete(r.follows, j)
	if !waited {
		return
	}
	tell := func(int64, error) {
		for _, w := range waits {
			w.w.deliver(w.handle, one.Outcome)
		}
	}
	if r.s.commit != nil && j.Journaled() {
		r.s.commit.whenSettled(tell) // after its outcome a job must not come back
		return
	}
	tell(now, nil)
}

// reportAbort ends the waits for a job that the store did not take.
func (r *results) reportAbort(j *queue.Job) {
	r.forgetParts(j)
	outcome := &wire.Outcome{Handle: j.Handle(), State: wire.OutcomeUnknown}
	if d := r.s.q.LookupDeadLetter([]byte(outcome.Handle)); d != nil {
		outcome = deadOutcome(d)
	}
	for _, w := range r.waits[j] {
		w.w.deliver(w.handle, *outcome)
	}
	delete(r.waits, j)
	delete(r.follows, j)
}

// keepResult keeps a result and makes room for it.
func (r *results) keepResult(one *result) {
	one.Kept = len(one.data) == one.Size
	r.insertResult(one)
	if r.s.commit != nil {
		r.s.commit.put(one.key(), one.encode())
	}
	r.expireResults(r.s.q.Wall())
}

// insertResult puts a result behind the others. It replaces an earlier result of the same
// job, which was retried since.
func (r *results) insertResult(one *result) {
	if old := r.bySeq[one.seq]; old != nil {
		r.dropData(old)
	}
	r.bySeq[one.seq] = one
	r.indexOnce(one)
	r.order = append(r.order, one)
	r.size += len(one.data) + resultOverhead
}

// dropData removes the data of a result, which stays in order until it expires.
func (r *results) dropData(one *result) {
	delete(r.bySeq, one.seq)
	r.unindexOnce(one)
	r.size -= len(one.data)
	one.data = nil
}

// forgetResult removes the result of a job that was retried.
func (r *results) forgetResult(seq uint64) {
	one := r.bySeq[seq]
	if one == nil {
		return
	}
	r.dropData(one)
	if r.s.commit != nil {
		r.s.commit.delete(one.key())
	}
}

// maxExpired is the number of old results that are removed under one lock. The timer
// fires again for the others.
const maxExpired = 1000

// expireResults forgets the results that are too old by the wall clock, and the oldest while
// all together are too large.
func (r *results) expireResults(wall int64) {
	for n := 0; len(r.order) > 0; n++ {
		one := r.order[0]
		if r.size <= r.limit && (!r.isExpired(one, wall) || n >= maxExpired) {
			return
		}
		r.order[0] = nil
		r.order = r.order[1:]
		if r.bySeq[one.seq] == one {
			r.forgetResult(one.seq)
		}
		r.size -= resultOverhead
	}
}

// isExpired reports whether a result is too old by the wall clock.
func (r *results) isExpired(one *result, wall int64) bool { return one.EndedMS+r.keep <= wall }

// nextExpiry returns when expire has something to do, by the wall clock.
func (r *results) nextExpiry() (at int64, ok bool) {
	if len(r.order) == 0 {
		return 0, false
	}
	return r.order[0].EndedMS + r.keep, true
}

// restoreResult enters a result from the store.
func (r *results) restoreResult(key string, value []byte) error {
	one, err := decodeResult(key, value)
	if err != nil {
		return err
	}
	var ok bool
	if one.seq, ok = r.s.q.Number([]byte(one.Handle)); !ok {
		return fmt.Errorf("result %q: no handle", key)
	}
	if r.bySeq[one.seq] == nil { // else it has come since the start
		r.insertResult(one)
	}
	return nil
}

// sortRestored sorts the restored results by their time, and forgets those that must go.
func (r *results) sortRestored() {
	slices.SortStableFunc(r.order, func(a, b *result) int { return cmp.Compare(a.EndedMS, b.EndedMS) })
	for _, one := range r.order {
		switch {
		case r.bySeq[one.seq] != one:
		case !r.all && (one.once == onceKey{} || len(one.data) > 0): // the last server kept results
			r.forgetResult(one.seq)
		default:
			r.indexOnce(one)
		}
	}
	r.expireOnce(r.s.q.Wall())
	r.expireResults(r.s.q.Wall())
}

// findResult returns the result of the job with that handle, or nil.
func (r *results) findResult(handle []byte) *result {
	seq, ok := r.s.q.Number(handle)
	if !ok {
		return nil
	}
	return r.bySeq[seq]
}

// awaitOutcomes has w receive the outcome of each job: at once for a job that has ended
// or is not known, but not before the store has its end. The lock is held.
func (r *results) awaitOutcomes(w *outcomeWait, handles [][]byte) error {
	for _, handle := range handles {
		if r.s.loading && r.s.q.Lookup(handle) == nil && r.findResult(handle) == nil {
			return ErrLoading
		}
	}
	w.pending = len(handles)
	for _, handle := range handles {
		j, d := r.s.q.Lookup(handle), r.s.q.LookupDeadLetter(handle)
		switch one := r.findResult(handle); {
		case j != nil:
			r.waits[j] = append(r.waits[j], wait{w, string(handle)})
			w.jobs = append(w.jobs, j)
		case one != nil:
			r.deliverOnceStored(w, string(handle), one.Outcome)
		case d != nil:
			r.deliverOnceStored(w, string(handle), *deadOutcome(d))
		default:
			w.deliver(string(handle), wire.Outcome{State: wire.OutcomeUnknown})
		}
	}
	return nil
}

// deliverOnceStored passes on the outcome of a job when the store has its end, which may
// still be on its way there: after its outcome a job must not come back. The lock is
// held.
func (r *results) deliverOnceStored(w *outcomeWait, handle string, o wire.Outcome) {
	if r.s.commit == nil {
		w.deliver(handle, o)
		return
	}
	r.s.commit.whenSettled(func(int64, error) { w.deliver(handle, o) })
}

// deliver passes on the outcome of one job, by the handle that was asked for. The lock
// is held.
func (w *outcomeWait) deliver(handle string, o wire.Outcome) {
	o.Handle = handle
	w.pending--
	w.receive(o, w.pending == 0)
}

// endWait ends a wait before all outcomes have come. The lock is held.
func (r *results) endWait(w *outcomeWait) {
	for _, j := range w.jobs {
		kept := slices.DeleteFunc(r.waits[j], func(other wait) bool { return other.w == w })
		if r.waits[j] = kept; len(kept) == 0 {
			delete(r.waits, j)
		}
	}
}

// endWaitsOf ends everything that c waits for. The lock is held.
func (r *results) endWaitsOf(c *conn) {
	if c.outcomes == nil {
		return
	}
	r.endWait(c.outcomes)
	for _, j := range c.outcomes.jobs {
		r.removeFollower(j, c)
	}
}

// resultOf returns the result of a job that is resultOf. Its bytes must not be changed. The
// lock is held.
func (r *results) resultOf(handle []byte) (wire.Outcome, []byte, error) {
	r.expireResults(r.s.q.Wall())
	one := r.findResult(handle)
	if one == nil {
		return wire.Outcome{}, nil, r.s.errUnknownJob()
	}
	outcome := one.Outcome
	outcome.Handle = string(handle)
	outcome.Size = len(one.data)
	return outcome, one.data, nil
}

// adminWait answers with the outcome of each job. A connection that waits asks
// nothing else meanwhile.
func (c *conn) adminWait(_ int64, args [][]byte) []byte {
	if c.outcomes != nil {
		return []byte("ERR BUSY the last wait has not ended\r\n")
	}
	w := &outcomeWait{receive: c.sendOutcome}
	c.outcomes = w
	if err := c.s.results.awaitOutcomes(w, args); err != nil {
		c.outcomes = nil
		return okOrErr(err)
	}
	return nil
}

// sendOutcome sends an outcome that the connection waits for. The lock is held.
func (c *conn) sendOutcome(o wire.Outcome, last bool) {
	out := appendJSON(nil, o)
	if last {
		c.outcomes = nil
		out = append(out, wire.ReplyEnd...)
	}
	c.reply().sendText(out)
}

// adminResult answers with a kept result.
func (c *conn) adminResult(_ int64, args [][]byte) []byte {
	outcome, data, err := c.s.results.resultOf(args[0])
	if err != nil {
		return okOrErr(err)
	}
	c.reply().sendText(appendJSON(nil, &outcome))
	c.reply().sendText(data)
	return []byte(wire.ReplyEnd)
}
