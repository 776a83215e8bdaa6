package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// results remembers how background jobs have ended, and tells those who wait
// for that. Without Config.KeepResults it remembers nothing and only tells.
// Server.mu guards it.
type results struct {
	s     *Server
	keep  int64 // milliseconds; 0 keeps nothing
	limit int   // bytes of all that is kept

	bySeq   map[uint64]*result    // by the job's number
	order   []*result             // oldest first
	size    int                   // bytes kept, parts too
	parts   map[*queue.Job]*parts // what running jobs have sent so far
	waits   map[*queue.Job][]wait
	follows map[*queue.Job][]*conn // of those in waits
}

// result is one job's end.
type result struct {
	wire.Outcome
	seq  uint64 // the number in Handle
	data []byte
}

// wait is a connection that waits for a job's end, and the handle by which it
// calls the job: another server may have given that out.
type wait struct {
	c      *conn
	handle string
}

// outcomeWait is a wait command that is being answered.
type outcomeWait struct {
	pending int          // outcomes that have not been told yet
	jobs    []*queue.Job // those that they are of, and others that have ended
}

// parts are what a running job has sent of its result.
type parts struct {
	data []byte
	size int  // of all that it has sent
	lost bool // it was too much to keep
}

// resultOverhead is what a result without data costs, roughly, in bytes.
const resultOverhead = 256

// resultKey begins the keys of results in a store.
const resultKey = "result/"

func newResults(s *Server) *results {
	return &results{
		s:       s,
		keep:    s.cfg.KeepResults.Milliseconds(),
		limit:   s.cfg.ResultsMemory,
		bySeq:   make(map[uint64]*result),
		parts:   make(map[*queue.Job]*parts),
		waits:   make(map[*queue.Job][]wait),
		follows: make(map[*queue.Job][]*conn),
	}
}

// wanted reports whether the result of j is to be kept.
func (r *results) wanted(j *queue.Job) bool { return r.keep > 0 && j.Background() }

// part takes a piece of a result. The oldest results make room for it.
func (r *results) part(j *queue.Job, data []byte) {
	if !r.wanted(j) || len(data) == 0 {
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
	if len(p.data) <= r.largest() {
		r.expire(r.s.q.Wall())
	}
	if r.size > r.limit || len(p.data) > r.largest() {
		r.size -= len(p.data)
		p.data, p.lost = nil, true
	}
}

// largest is the size of the largest result that is kept.
func (r *results) largest() int { return r.limit / 2 }

// forgetParts returns and forgets what a job has sent: it starts anew, or has
// ended.
func (r *results) forgetParts(j *queue.Job) (p parts) {
	if kept, ok := r.parts[j]; ok {
		p = *kept
		r.size -= len(p.data)
		delete(r.parts, j)
	}
	return p
}

// ended remembers how j has ended and tells who waits. last is the rest of its
// result, or the text of its failure.
func (r *results) ended(now int64, j *queue.Job, state string, last []byte) {
	p := r.forgetParts(j)
	waits, waited := r.waits[j]
	if !waited && !r.wanted(j) {
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
	if !p.lost && one.Size <= r.largest() {
		one.data = append(p.data, last...)
	}
	if r.wanted(j) {
		r.add(one)
	}
	delete(r.waits, j)
	delete(r.follows, j)
	if !waited {
		return
	}
	tell := func(int64, error) {
		for _, w := range waits {
			w.c.tellOutcome(w.handle, one.Outcome)
		}
	}
	if r.s.commit != nil && j.Journaled() {
		r.s.commit.then(tell) // a job of which its end was told must not come back
		return
	}
	tell(now, nil)
}

// aborted tells who waits for a job that the store did not take.
func (r *results) aborted(j *queue.Job) {
	r.forgetParts(j)
	outcome := &wire.Outcome{Handle: j.Handle(), State: wire.OutcomeUnknown}
	if d := r.s.q.LookupDead([]byte(outcome.Handle)); d != nil {
		outcome = deadOutcome(d)
	}
	for _, w := range r.waits[j] {
		w.c.tellOutcome(w.handle, *outcome)
	}
	delete(r.waits, j)
	delete(r.follows, j)
}

// add keeps one and makes room for it.
func (r *results) add(one *result) {
	one.Kept = len(one.data) == one.Size
	r.enter(one)
	if r.s.commit != nil {
		r.s.commit.put(one.key(), one.encode())
	}
	r.expire(r.s.q.Wall())
}

// enter puts one behind the others, in place of what its job, which has been
// revived since, ended with before.
func (r *results) enter(one *result) {
	if old := r.bySeq[one.seq]; old != nil {
		r.drop(old)
	}
	r.bySeq[one.seq] = one
	r.order = append(r.order, one)
	r.size += len(one.data) + resultOverhead
}

// drop empties one, which stays in order until its time has come.
func (r *results) drop(one *result) {
	delete(r.bySeq, one.seq)
	r.size -= len(one.data)
	one.data = nil
}

// forget forgets how a job ended that has been revived.
func (r *results) forget(seq uint64) {
	one := r.bySeq[seq]
	if one == nil {
		return
	}
	r.drop(one)
	if r.s.commit != nil {
		r.s.commit.delete(one.key())
	}
}

// maxExpired is how many old results are forgotten under one lock. The timer
// comes back for the others.
const maxExpired = 1000

// expire forgets what is too old by the wall clock, and the oldest while all is
// too large.
func (r *results) expire(wall int64) {
	for n := 0; len(r.order) > 0; n++ {
		one := r.order[0]
		if r.size <= r.limit && (one.EndedMS+r.keep > wall || n >= maxExpired) {
			return
		}
		r.order[0] = nil
		r.order = r.order[1:]
		if r.bySeq[one.seq] == one {
			r.forget(one.seq)
		}
		r.size -= resultOverhead
	}
}

// next returns when expire has something to do, by the wall clock.
func (r *results) next() (at int64, ok bool) {
	if len(r.order) == 0 {
		return 0, false
	}
	return r.order[0].EndedMS + r.keep, true
}

// restore takes a result that the store has kept.
func (r *results) restore(key string, value []byte) error {
	one, err := decodeResult(key, value)
	if err != nil {
		return err
	}
	var ok bool
	if one.seq, ok = r.s.q.Number([]byte(one.Handle)); !ok {
		return fmt.Errorf("result %q: no handle", key)
	}
	if r.bySeq[one.seq] == nil { // else it has come since the start
		r.enter(one)
	}
	return nil
}

// settle puts what was restored in order, and keeps what may be kept.
func (r *results) settle() {
	slices.SortStableFunc(r.order, func(a, b *result) int { return cmp.Compare(a.EndedMS, b.EndedMS) })
	r.expire(r.s.q.Wall())
}

func (o *result) key() string { return resultKey + o.Handle }

// encode returns the outcome as a JSON line and the data behind it.
func (o *result) encode() []byte {
	line, err := json.Marshal(&o.Outcome)
	if err != nil { // it is a plain struct
		panic(err)
	}
	return append(append(line, '\n'), o.data...)
}

func decodeResult(key string, value []byte) (*result, error) {
	line, data, ok := bytes.Cut(value, []byte{'\n'})
	one := &result{data: data}
	if !ok {
		return nil, fmt.Errorf("result %q: no line end", key)
	}
	if err := json.Unmarshal(line, &one.Outcome); err != nil {
		return nil, fmt.Errorf("result %q: %w", key, err)
	}
	return one, nil
}

// find returns the result of the job with that handle, or nil.
func (r *results) find(handle []byte) *result {
	seq, ok := r.s.q.Number(handle)
	if !ok {
		return nil
	}
	return r.bySeq[seq]
}

// tellOutcome answers wait for one job, by the handle that was asked for. The lock
// is held.
func (c *conn) tellOutcome(handle string, o wire.Outcome) {
	o.Handle = handle
	var out rows
	out.add(o)
	if c.outcomes.pending--; c.outcomes.pending == 0 {
		c.outcomes = nil
		c.sendText(out.end())
		return
	}
	c.sendText(out.b)
}

// sendStoredOutcome calls tellOutcome when the store has the end of the job, which
// may still be on its way there: the job must not come back after its end was told.
// The lock is held.
func (c *conn) sendStoredOutcome(handle string, o wire.Outcome) {
	if c.s.commit == nil {
		c.tellOutcome(handle, o)
		return
	}
	c.s.commit.then(func(int64, error) { c.tellOutcome(handle, o) })
}

// adminWait answers with an Outcome for each job, as they end; those that have
// ended, or are not known, at once. Who waits asks nothing else meanwhile.
func (c *conn) adminWait(_ int64, args [][]byte) []byte {
	if c.outcomes != nil {
		return []byte("ERR BUSY the last wait has not ended\r\n")
	}
	r := c.s.results
	for _, handle := range args {
		if c.s.loading && c.s.q.Lookup(handle) == nil && r.find(handle) == nil {
			return okOrErr(errLoading)
		}
	}
	c.outcomes = &outcomeWait{pending: len(args)}
	for _, handle := range args {
		j := c.s.q.Lookup(handle)
		switch one := r.find(handle); {
		case j != nil:
			r.waits[j] = append(r.waits[j], wait{c, string(handle)})
			c.outcomes.jobs = append(c.outcomes.jobs, j)
		case one != nil:
			c.sendStoredOutcome(string(handle), one.Outcome)
		case c.s.q.LookupDead(handle) != nil:
			c.sendStoredOutcome(string(handle), *deadOutcome(c.s.q.LookupDead(handle)))
		default:
			c.tellOutcome(string(handle), wire.Outcome{State: wire.OutcomeUnknown})
		}
	}
	return nil
}

// unwait forgets that c waits for anything.
func (r *results) unwait(c *conn) {
	if c.outcomes == nil {
		return
	}
	for _, j := range c.outcomes.jobs {
		kept := slices.DeleteFunc(r.waits[j], func(w wait) bool { return w.c == c })
		r.unfollow(j, c)
		if r.waits[j] = kept; len(kept) == 0 {
			delete(r.waits, j)
		}
	}
}

// adminResult answers with a result that is kept.
func (c *conn) adminResult(_ int64, args [][]byte) []byte {
	r := c.s.results
	r.expire(c.s.q.Wall())
	one := r.find(args[0])
	if one == nil {
		return c.s.unknownJob()
	}
	outcome := one.Outcome
	outcome.Handle = string(args[0])
	outcome.Size = len(one.data)
	var out rows
	out.add(&outcome)
	c.sendText(out.b)
	c.sendText(one.data)
	return []byte(wire.ReplyEnd)
}
