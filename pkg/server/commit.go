package server

import (
	"log/slog"
	"strings"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// maxPending is the number of bytes of payloads on their way to the store above which
// the connections that wait for the store are not read.
const maxPending = 256 << 20

// committer turns the changes of jobs into operations of a journal, and the
// outcomes of its batches into replies and changes of the queue. Server.mu guards
// it.
type committer struct {
	*journal[completion]
	s *Server

	size     int    // bytes of the payloads of jobs on their way to the store
	maxSize  int    // maxPending, except in tests
	reserved uint64 // the number under store.NumberKey
}

// completion is the work of the server when a batch is settled: it answers a
// submission, releases a job, or calls a function. A lasting completion has a dead
// job.
type completion struct {
	kind completionKind
	job  *queue.Job         // that is submitted, joined or held; or nil
	sub  reply              // to the submission, if sub.c is not nil
	f    func(out *outcome) // or nil
	dead *queue.DeadLetter  // of a lasting completion
}

// completionKind is the effect of a settled batch on the job of a completion. 0 means
// no effect.
type completionKind uint8

const (
	releasesJob  completionKind = iota + 1 // the batch has its Add
	releasesHeld                           // its client has sent it behind jobs of the batch
)

// tagPending is the tag of a job whose Add is pending.
const tagPending = 1

func newCommitter(s *Server, st store.Store) *committer {
	m := &committer{s: s, maxSize: maxPending}
	m.journal = newJournal(journalConfig[completion]{
		owner: m, mu: &s.mu, store: st, name: s.cfg.StoreName, limit: s.cfg.StoreTimeout, quit: s.ended,
	})
	return m
}

// addJob appends the Add of a job. The lock is held.
func (m *committer) addJob(j *queue.Job) {
	m.makeRoom(opCost + j.Size())
	r := m.s.q.Record(j)
	r.Apart = r.Apart || m.s.loading // one with its unique may not be read yet
	m.appendAdd(&r, completion{kind: releasesJob, job: j})
	j.SetTag(tagPending)
	m.size += j.Size()
	j.SetJournaled(true)
	if m.s.loading {
		m.s.own.addNumber(j.Seq())
	}
}

// batchOf returns the batch with the Add of a job, nil if it is not pending. The
// lock is held.
func (m *committer) batchOf(j *queue.Job) *batch[completion] {
	if j.Tag() != tagPending {
		return nil
	}
	return m.batchOfAdd(j.Seq())
}

// isBehind reports whether the store is so far behind that the server must not read
// more submissions: too many bytes are on their way to it. The lock is held.
func (m *committer) isBehind() bool { return m.size > m.maxSize }

// updateJob stores the attempts and the time of a journaled job. The lock is held.
func (m *committer) updateJob(j *queue.Job) {
	m.makeRoom(0)
	r := recordKey(j)
	r.SetTried(j.Failures(), j.Losses())
	r.RunAt = j.RunAt()
	m.appendRecord(store.Update, &r)
}

// endJob stores the end of a journaled job. The lock is held.
func (m *committer) endJob(j *queue.Job) {
	r := recordKey(j)
	m.appendRecord(store.Done, &r)
}

// putDead stores a dead job. The queue keeps its payload until the store has it. The
// lock is held.
func (m *committer) putDead(d *queue.DeadLetter) {
	key := deadKeyOf(d)
	m.put(key, encodeDead(d))
	m.attachLasting(key, completion{dead: d})
}

// position returns the position of the journal, without a store always the same. The
// lock is held.
func (m *committer) position() (at position) {
	if m != nil {
		at = m.journal.position()
	}
	return at
}

// replyWhenStored answers c's submission once the job is durable. It returns false, and
// leaves the answer to the caller, if the Add of the job is not pending. The lock
// is held.
func (m *committer) replyWhenStored(c *conn, j *queue.Job) bool {
	b := m.batchOf(j)
	if b == nil {
		return false
	}
	sub := c.laterReply()
	if n := len(b.done) - 1; n >= 0 && b.done[n].job == j && b.done[n].sub.c == nil {
		b.done[n].sub = sub // the job has just been added
	} else {
		b.done = append(b.done, completion{job: j, sub: sub})
	}
	if c.committing == 0 || c.lastBatch < b.n {
		c.lastBatch = b.n
	}
	c.committing++
	return true
}

// releaseBehind releases a held foreground job together with the last batch that has a
// job of c. The lock is held.
func (m *committer) releaseBehind(c *conn, j *queue.Job) {
	b := m.pendingBatch(c.lastBatch)
	b.done = append(b.done, completion{kind: releasesHeld, job: j})
}

// whenSettled calls f when all pending operations are settled. If the store does not
// answer, it calls f at once, with the reason. The lock is held.
func (m *committer) whenSettled(f func(now int64, err error)) {
	m.attachFunc(func(out *outcome) { f(out.now, out.store) })
}

// whenStored is whenSettled for an f that depends on the operations that were added since
// a position. The lock is held.
func (m *committer) whenStored(since position, f func(now int64, err error)) {
	names := m.namesSince(since)
	m.attachFunc(func(out *outcome) { f(out.now, out.ofOps(names)) })
}

// attachFunc attaches a function to the gathering batch. If the store does not answer,
// it calls the function at once. The lock is held.
func (m *committer) attachFunc(f func(out *outcome)) {
	if m.stuck != nil {
		f(&outcome{now: m.readTime(), store: m.stuck})
		return
	}
	m.attach(completion{f: f})
}

// whenAdded calls f when the job is durable, or was refused. It returns false if the
// Add of the job is not pending. The lock is held.
func (m *committer) whenAdded(j *queue.Job, f func(now int64, err error)) bool {
	b := m.batchOf(j)
	if b != nil {
		b.done = append(b.done, completion{f: func(out *outcome) { f(out.now, out.ofAdd(j.Seq())) }})
	}
	return b != nil
}

// complete answers the submitters of a batch, then releases its jobs or takes them
// back, and calls the functions last.
func (m *committer) complete(done []completion, out *outcome) {
	functions := false
	for i := range done {
		if d := &done[i]; d.sub.c != nil {
			d.sendSubmitted(out.ofAdd(d.job.Seq()))
		} else if d.f != nil {
			functions = true
		}
	}
	for i := range done {
		switch d := &done[i]; d.kind {
		case releasesHeld:
			m.s.q.ReleaseForeground(out.now, d.job)
		case releasesJob:
			m.endAdd(out, d.job)
		}
	}
	for i := range done {
		if f := done[i].f; functions && f != nil {
			f(out)
		}
	}
}

// sendSubmitted answers a submission whose job is durable, or was refused with err. The
// lock is held.
func (d *completion) sendSubmitted(err error) {
	d.sub.c.committing--
	if err != nil {
		d.sub.sendError(wire.CodeQueueError, err.Error())
		return
	}
	var buf [wire.MaxHandle]byte
	d.sub.sendPacket(wire.JobCreated, d.job.AppendHandle(buf[:0]))
}

// endAdd releases a job that the store has, and takes one back that it does not
// have. The lock is held.
func (m *committer) endAdd(out *outcome, j *queue.Job) {
	j.SetTag(0)
	m.size -= j.Size()
	if out.ofAdd(j.Seq()) == nil {
		m.s.q.Release(out.now, j)
		return
	}
	j.SetJournaled(false)
	m.s.q.Abort(out.now, j)
	if j.State() == queue.Ended {
		m.s.results.reportAbort(j)
	}
}

// completeLasting reports to the queue which dead jobs the store has.
func (m *committer) completeLasting(done []completion) {
	for i := range done {
		m.s.q.ReleaseDeadLetter(done[i].dead)
	}
}

func (m *committer) readTime() int64 { return m.s.readTime() }

func (m *committer) logAfterTurn(level slog.Level, msg string, attrs ...slog.Attr) {
	m.s.logAfterTurn(level, msg, attrs...)
}

func (m *committer) endTurn() { m.s.endTurn(nil) }

func (m *committer) endTurnAside() { m.s.endTurnAside() }

// shorten implements journalOwner.
func (m *committer) shorten(op *store.Op) bool { return shortenExtra(op) }

// isResult implements journalOwner.
func (m *committer) isResult(op *store.Op) bool {
	return op.Kind == store.Put && strings.HasPrefix(op.Key, resultKey)
}

// heirKey returns the key of a dead job.
func (m *committer) heirKey(seq uint64) string { return deadKeyOfSeq(seq) }
