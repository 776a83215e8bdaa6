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

	byHandle map[string]*result
	order    []*result             // oldest first
	size     int                   // bytes kept, parts too
	parts    map[*queue.Job][]byte // what running jobs have sent so far
	waits    map[*queue.Job][]*conn
}

// result is one job's end.
type result struct {
	wire.Outcome
	data []byte
}

// resultOverhead is what a result without data costs, roughly, in bytes.
const resultOverhead = 256

// resultKey begins the keys of results in a store.
const resultKey = "result/"

func newResults(s *Server) *results {
	return &results{
		s:        s,
		keep:     s.cfg.KeepResults.Milliseconds(),
		limit:    s.cfg.ResultsMemory,
		byHandle: make(map[string]*result),
		parts:    make(map[*queue.Job][]byte),
		waits:    make(map[*queue.Job][]*conn),
	}
}

// wanted reports whether the result of j is to be kept.
func (r *results) wanted(j *queue.Job) bool { return r.keep > 0 && j.Background() }

// part takes a piece of a result.
func (r *results) part(j *queue.Job, data []byte) {
	if !r.wanted(j) || len(data) == 0 || r.size+len(data) > r.limit {
		return
	}
	r.parts[j] = append(r.parts[j], data...)
	r.size += len(data)
}

// forgetParts drops what a job has sent: it starts anew, or its end is known.
func (r *results) forgetParts(j *queue.Job) []byte {
	data, ok := r.parts[j]
	if ok {
		r.size -= len(data)
		delete(r.parts, j)
	}
	return data
}

// ended remembers how j has ended and tells who waits. last is the rest of its
// result, or the text of its failure.
func (r *results) ended(now int64, j *queue.Job, state string, last []byte) {
	data := r.forgetParts(j)
	waits, waited := r.waits[j]
	if !waited && !r.wanted(j) {
		return
	}
	one := &result{Outcome: wire.Outcome{
		Handle: j.Handle(), Function: j.Function().Name(), State: state, Attempts: j.Attempts(), EndedMS: now,
	}}
	if state == wire.OutcomeCompleted {
		one.data = append(data, last...)
	} else {
		one.data = bytes.Clone(last)
		one.Error = strings.ToValidUTF8(string(last), "?")
	}
	one.Size = len(one.data)
	if r.wanted(j) {
		r.add(now, one)
	}
	delete(r.waits, j)
	for _, c := range waits {
		c.tellOutcome(&one.Outcome)
	}
}

// add keeps one and makes room for it. What is larger than all the room is
// remembered without its data.
func (r *results) add(now int64, one *result) {
	if len(one.data) > r.limit-resultOverhead {
		one.data = nil
	}
	one.Kept = one.data != nil || one.Size == 0
	r.byHandle[one.Handle] = one
	r.order = append(r.order, one)
	r.size += len(one.data) + resultOverhead
	if r.s.commit != nil {
		r.s.commit.put(one.key(), one.encode())
	}
	r.expire(now)
}

// expire forgets what is too old, and the oldest while all is too large.
func (r *results) expire(now int64) {
	for len(r.order) > 0 {
		one := r.order[0]
		if r.size <= r.limit && one.EndedMS+r.keep > now {
			return
		}
		r.order[0] = nil
		r.order = r.order[1:]
		delete(r.byHandle, one.Handle)
		r.size -= len(one.data) + resultOverhead
		if r.s.commit != nil {
			r.s.commit.delete(one.key())
		}
	}
}

// next returns when expire has something to do.
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
	r.byHandle[one.Handle] = one
	r.order = append(r.order, one)
	r.size += len(one.data) + resultOverhead
	return nil
}

// sort puts what was restored in order.
func (r *results) sort() {
	slices.SortFunc(r.order, func(a, b *result) int { return cmp.Compare(a.EndedMS, b.EndedMS) })
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

// tellOutcome answers wait for one job. The lock is held.
func (c *conn) tellOutcome(o *wire.Outcome) {
	var out rows
	out.add(o)
	if c.waiting--; c.waiting == 0 {
		c.sendText(out.end())
		return
	}
	c.sendText(out.b)
}

// adminWait answers with an Outcome for each job, as they end; those that have
// ended, or are not known, at once. Who waits asks nothing else meanwhile.
func (c *conn) adminWait(_ int64, args [][]byte) []byte {
	if c.s.loading {
		return okOrErr(errLoading)
	}
	if c.waiting > 0 {
		return []byte("ERR BUSY the last wait has not ended\r\n")
	}
	r := c.s.results
	c.waiting = len(args)
	for _, handle := range args {
		j := c.s.q.Lookup(handle)
		switch one := r.byHandle[string(handle)]; {
		case j != nil:
			r.waits[j] = append(r.waits[j], c)
		case one != nil:
			c.tellOutcome(&one.Outcome)
		case c.s.q.LookupDead(handle) != nil:
			c.tellOutcome(deadOutcome(c.s.q.LookupDead(handle)))
		default:
			c.tellOutcome(&wire.Outcome{Handle: string(handle), State: wire.OutcomeUnknown})
		}
	}
	return nil
}

// unwait forgets that c waits for anything.
func (r *results) unwait(c *conn) {
	if c.waiting == 0 {
		return
	}
	for j, conns := range r.waits {
		kept := conns[:0]
		for _, other := range conns {
			if other != c {
				kept = append(kept, other)
			}
		}
		if r.waits[j] = kept; len(kept) == 0 {
			delete(r.waits, j)
		}
	}
}

// adminResult answers with a result that is kept.
func (c *conn) adminResult(now int64, args [][]byte) []byte {
	r := c.s.results
	r.expire(now)
	one := r.byHandle[string(args[0])]
	if one == nil && c.s.loading {
		return okOrErr(errLoading)
	}
	if one == nil {
		return []byte(wire.ReplyUnknownJob)
	}
	outcome := one.Outcome
	outcome.Size = len(one.data)
	var out rows
	out.add(&outcome)
	c.sendText(out.b)
	c.sendText(one.data)
	return []byte(wire.ReplyEnd)
}
