package server

import (
	"cmp"
	"context"
	"slices"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// A listing reads many functions, jobs or connections, and a task changes many
// jobs. Both work in pages, so that nobody waits long for the lock: a page has at
// most pageSteps steps, and ends after pageTime. An admin command runs them with
// pages, a method of Server with collectRows or runTask.

// listing collects a row of each function, job or connection.
type listing[T any] struct {
	// step collects rows in at most that many steps and reports whether there
	// are more. The lock is held.
	step func(now int64, most int) (more bool)
	// take returns and forgets the collected rows. They are valid until the next
	// step. The lock is not needed.
	take func() []T
	// done ends the listing, if it is set. The lock is held.
	done func()
}

// takeFrom returns a take function for rows that are collected in a slice.
func takeFrom[T any](rows *[]T) func() []T {
	return func() []T {
		taken := *rows
		*rows = taken[:0]
		return taken
	}
}

// answerRows answers with head and a list: appendRow formats one row. The lock is
// held.
func answerRows[T any](c *conn, now int64, head []byte, l *listing[T], appendRow func(dst []byte, row *T) []byte) []byte {
	p := &pages{step: l.step, done: l.done, rows: func(dst []byte) []byte {
		dst, head = append(dst, head...), nil
		rows := l.take()
		for i := range rows {
			dst = appendRow(dst, &rows[i])
		}
		clear(rows)
		return dst
	}}
	return p.run(c, now)
}

// collectRows returns all rows of a listing, each converted. begin makes the listing
// under the lock.
func collectRows[T, R any](ctx context.Context, s *Server, begin func() (*listing[T], error), convert func(row *T) R) ([]R, error) {
	l, err := underLock(s, begin)
	if err != nil {
		return nil, err
	}
	if l.done != nil {
		defer func() {
			s.mu.Lock()
			l.done()
			s.mu.Unlock()
		}()
	}
	var all []R
	for more := true; more; {
		if err := s.errEnded(ctx); err != nil {
			return nil, err
		}
		more = s.paging.runPage(s, func(now int64) bool { return l.step(now, pageSteps) })
		rows := l.take()
		all = slices.Grow(all, len(rows))
		for i := range rows {
			all = append(all, convert(&rows[i]))
		}
		clear(rows)
	}
	return slices.Clip(all), nil
}

// functionsListing lists all functions.
func (s *Server) functionsListing() *listing[queue.FunctionSnapshot] {
	var last *queue.Function
	var taken []queue.FunctionSnapshot
	return &listing[queue.FunctionSnapshot]{
		step: func(now int64, most int) (more bool) {
			for b := newBudget(most); ; {
				taken, last, more = s.q.SnapshotAfter(now, last, min(clockInterval, b.steps), taken)
				if !more || !b.spend(clockInterval) {
					return more
				}
			}
		},
		take: takeFrom(&taken),
	}
}

// eachJob returns the step of a listing that calls collect for each job after the
// number last, until collect returns false.
func (s *Server) eachJob(last uint64, collect func(now int64, j *queue.Job) (goOn bool)) func(now int64, most int) bool {
	return func(now int64, most int) (more bool) {
		b, ended := newBudget(most), false
		last, more = s.q.JobsAfter(last, most, func(j *queue.Job) bool {
			ended = !collect(now, j)
			return !ended && b.spend(1)
		})
		return more && !ended
	}
}

// jobInfosListing lists the jobs as rows of show jobs. The lock is held.
func (s *Server) jobInfosListing() *listing[wire.JobInfo] {
	var taken []wire.JobInfo
	var texts []byte // the handles, one behind the other
	var ends []int   // where each of them ends
	return &listing[wire.JobInfo]{
		step: s.eachJob(0, func(_ int64, j *queue.Job) bool {
			texts = j.AppendHandle(texts)
			ends = append(ends, len(texts))
			taken = append(taken, wire.JobInfo{
				Attempts: j.Attempts(), Ignored: j.Ignored(), Queued: j.State() == queue.Waiting,
			})
			return true
		}),
		take: func() []wire.JobInfo {
			handles, from := string(texts), 0
			for i, end := range ends {
				taken[i].Handle = handles[from:end]
				from = end
			}
			rows := taken
			taken, texts, ends = taken[:0], texts[:0], ends[:0]
			return rows
		},
	}
}

// uniquesListing lists the uniques of the jobs that have one. The lock is held.
func (s *Server) uniquesListing() *listing[string] {
	var taken []string
	return &listing[string]{
		step: s.eachJob(0, func(_ int64, j *queue.Job) bool {
			if u := j.Unique(); len(u) > 0 {
				taken = append(taken, string(u))
			}
			return true
		}),
		take: takeFrom(&taken),
	}
}

// task changes many jobs and counts them.
type task struct {
	// step changes jobs in at most that many steps and reports whether there are
	// more. The lock is held.
	step func(now int64, most int) (more bool)
	// end returns the number of changed jobs after the last step. The change
	// holds when the store has it. The lock is held.
	end func() (n int, err error)
	// finish is called in place of end, if it is set. It calls answer when the
	// change holds, at once or later. The lock is held both times.
	finish func(answer func(n int, err error))

	unstored error // the first error of the store for a change of step
}

// takeStep calls step, and notes if the store refuses the changes of this turn. The
// lock is held.
func (t *task) takeStep(s *Server, now int64, most int) (more bool) {
	before := s.commit.position()
	more = t.step(now, most)
	if s.commit.position() != before {
		s.commit.whenStored(before, func(_ int64, err error) { t.unstored = cmp.Or(t.unstored, err) })
	}
	return more
}

// answerTask runs a task and answers with its result: format returns the reply. An
// err says that the task cannot begin. The lock is held.
func (c *conn) answerTask(now int64, t *task, err error, format func(n int, err error) []byte) []byte {
	if err != nil {
		return okOrErr(err)
	}
	p := &pages{
		step:     func(now int64, most int) bool { return t.takeStep(c.s, now, most) },
		unstored: func() error { return t.unstored },
	}
	if t.finish != nil {
		p.finish = func(answer func(reply []byte)) {
			t.finish(func(n int, err error) { answer(format(n, err)) })
		}
	} else {
		p.end = func() []byte { return format(t.end()) }
	}
	return p.run(c, now)
}
