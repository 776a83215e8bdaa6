package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

const (
	readAhead     = 256 // payloads that are read ahead together
	aheadEvery    = 64  // number of grabs between two checks whether to read more
	rereadPayload = 200 * time.Millisecond
	rereadFor     = 10 * time.Second

	// A grab whose payload has been read for slowRead gets a foreground job
	// instead, as soon as there is one; the server checks every slowReadInterval.
	slowRead         = 200 * time.Millisecond
	slowReadInterval = 20 * time.Millisecond
)

// fetch is a grab that waits for the payload of its job. A job has at most one: when
// it is taken from the worker, the grab is answered at once.
type fetch struct {
	reply reply // to the grab
	job   *queue.Job
	grab  wire.Type
	limit *time.Timer // ends the wait for a store that does not answer
	began time.Time   // start of the reading, which may have begun for an earlier grab
}

// assignSpilled reads the payload of a job that c has just grabbed, and then
// answers the grab. The lock is held.
func (c *conn) assignSpilled(j *queue.Job, grab wire.Type) {
	s := c.s
	s.aheadIn = 0 // the jobs behind it are wanted soon
	f := &fetch{reply: c.laterReply(), job: j, grab: grab}
	f.limit = time.AfterFunc(rereadFor+hangGrace, func() {
		s.mu.Lock()
		defer s.endTurn(nil)
		if s.fetches[j] == f {
			s.fetched(f, nil, errNoPayload)
		}
	})
	s.fetches[j] = f
	s.checkSlowReads()
	if began, reading := s.reading[j]; reading {
		f.began = began
		return // for an earlier grab
	}
	f.began = time.Now()
	s.reading[j] = f.began
	r := recordKey(j)
	s.loads.Go(func() {
		payload, err := s.readPayload(&r)
		s.mu.Lock()
		defer s.endTurn(nil)
		delete(s.reading, j)
		if f := s.fetches[j]; f != nil {
			s.fetched(f, payload, err)
		} else if err == nil {
			s.q.Loaded(j, payload)
		}
	})
}

// checkSlowReads starts the timer that finds slow reads, unless it runs. The lock
// is held.
func (s *Server) checkSlowReads() {
	if s.slowReadsRun {
		return
	}
	s.slowReadsRun = true
	time.AfterFunc(slowReadInterval, func() {
		s.mu.Lock()
		defer s.endTurn(nil)
		s.slowReadsRun = false
		if len(s.fetches) == 0 || s.closed {
			return
		}
		s.checkSlowReads()
		if s.q.ReadyForeground() {
			s.replaceSlowFetches()
		}
	})
}

// replaceSlowFetches answers grabs that have waited too long for a payload with
// foreground jobs, which need no store: a store that does not answer must not
// stop them. The jobs of those grabs wait again. The lock is held.
func (s *Server) replaceSlowFetches() {
	now := s.readTime()
	for j, f := range s.fetches {
		if time.Since(f.began) < slowRead {
			continue
		}
		instead := s.q.GrabForeground(now, f.reply.c.peer)
		if instead == nil {
			continue
		}
		s.endFetch(f)
		s.q.GiveBack(now, j)
		if s.debug {
			s.logAfterTurn(slog.LevelDebug, "assigned", append(jobAttrs(instead), slog.String("worker", f.reply.c.addr))...)
		}
		f.job = instead
		f.sendAssigned()
	}
}

// errNoPayload is the error of a read that the store has not ended in time.
var errNoPayload = errors.New("the store does not answer")

// dropFetch ends the fetch of a job that was taken from its worker. The lock is
// held.
func (s *Server) dropFetch(j *queue.Job) {
	if f := s.fetches[j]; f != nil {
		s.endFetch(f)
		f.reply.sendPacket(wire.NoJob)
	}
}

func (s *Server) endFetch(f *fetch) {
	f.limit.Stop()
	delete(s.fetches, f.job)
}

// recordKey returns the part of a record by which a store finds a job.
func recordKey(j *queue.Job) store.Record {
	return store.Record{Seq: j.Seq(), Function: j.Function().Name(), Unique: string(j.Unique())}
}

// fetched ends a fetch with the payload, or with the reason why it cannot be read.
// The lock is held.
func (s *Server) fetched(f *fetch, payload []byte, err error) {
	s.endFetch(f)
	switch {
	case s.closed || f.job.State() != queue.Running || f.job.Worker() != f.reply.c.peer:
		f.reply.sendPacket(wire.NoJob)
	case err == nil || !f.job.Spilled(): // if not, it was read ahead
		s.q.Loaded(f.job, payload)
		s.q.RestartLimit(s.readTime(), f.job) // its worker gets it only now
		f.sendAssigned()
	default:
		f.reply.sendPacket(wire.NoJob)
		s.payloadLost(s.readTime(), f.job, err)
	}
}

// sendAssigned answers the grab with its job. The lock is held.
func (f *fetch) sendAssigned() {
	j := f.job
	handle, function := []byte(j.Handle()), []byte(j.Function().Name())
	switch t := assignedBy(f.grab, j); t {
	case wire.JobAssign:
		f.reply.sendShared(t, j.Payload(), handle, function)
	case wire.JobAssignAll:
		f.reply.sendShared(t, j.Payload(), handle, function, j.Unique(), j.Reducer())
	default:
		f.reply.sendShared(t, j.Payload(), handle, function, j.Unique())
	}
}

// payloadLost ends a job whose payload the store has lost. If the store is only
// away, the job goes back into the queue.
func (s *Server) payloadLost(now int64, j *queue.Job, err error) {
	if !isLost(err) {
		s.q.GiveBack(now, j)
		return
	}
	var buf [wire.MaxHandle]byte
	handle := j.AppendHandle(buf[:0])
	for p := range j.Waiters {
		p.Owner.(*conn).reply().sendPacket(wire.WorkFail, handle)
	}
	s.q.Note(j, []byte("read payload: "+err.Error()))
	s.q.FailForGood(now, j)
}

// isLost reports whether a payload that could not be read is lost for good.
func isLost(err error) bool {
	var corrupt *store.CorruptError
	return errors.Is(err, store.ErrNotFound) || errors.As(err, &corrupt)
}

// readPayload reads a payload. While the store is away, it tries again for
// rereadFor.
func (s *Server) readPayload(r *store.Record) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, rereadFor)
	defer cancel()
	for {
		payload, err := s.reader.ReadPayload(ctx, r)
		if err == nil || isLost(err) {
			return payload, err
		}
		select {
		case <-time.After(rereadPayload):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// readOnce reads a payload and gives up after rereadFor.
func (s *Server) readOnce(r *store.Record) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, rereadFor)
	defer cancel()
	return s.reader.ReadPayload(ctx, r)
}

// wantAhead starts a goroutine that reads payloads ahead, if there are some to be
// read and no such goroutine runs. It checks after a worker had to wait for a
// payload, and every aheadEvery grabs. The lock is held.
func (s *Server) wantAhead() {
	if s.reader == nil || s.aheadIn > 0 || s.aheadRuns || s.closed {
		return
	}
	s.aheadIn = aheadEvery
	wanted := s.wantedAhead()
	if len(wanted) == 0 {
		return
	}
	s.aheadRuns = true
	s.loads.Go(func() { s.readAllAhead(wanted) })
}

type wantedJob struct {
	job    *queue.Job
	record store.Record
}

func (s *Server) wantedAhead() []wantedJob {
	var wanted []wantedJob
	s.q.Wanted(readAhead, func(j *queue.Job) bool {
		wanted = append(wanted, wantedJob{j, recordKey(j)})
		return true
	})
	return wanted
}

// readAllAhead reads payloads until no more are wanted, or one cannot be read: then
// the grab of its job reports why.
func (s *Server) readAllAhead(wanted []wantedJob) {
	for len(wanted) > 0 {
		payloads := make([][]byte, 0, len(wanted))
		for i := range wanted {
			payload, err := s.readOnce(&wanted[i].record)
			if err != nil {
				break
			}
			payloads = append(payloads, payload)
		}
		s.mu.Lock()
		for i, payload := range payloads {
			s.q.Loaded(wanted[i].job, payload)
		}
		if len(payloads) == len(wanted) && !s.closed {
			wanted = s.wantedAhead()
		} else {
			wanted = nil
		}
		s.aheadRuns = len(wanted) > 0
		s.endTurn(nil)
	}
}
