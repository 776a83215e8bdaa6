package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// narrow is a journal with room for one job. Room that the ends of a batch make is
// for the next batch.
type narrow struct{ *journal }

func (n narrow) Commit(ctx context.Context, ops []store.Op) error {
	isAdd := func(op store.Op) bool { return op.Kind == store.Add }
	if slices.ContainsFunc(ops, isAdd) && len(n.all()) > 0 {
		return fmt.Errorf("commit: %w", store.ErrFull)
	}
	return n.journal.Commit(ctx, ops)
}

// The end of a job makes room in a full store for the submission that is in the
// same batch, and for no other.
func TestFullStoreTakesEndsAlone(t *testing.T) {
	st := narrow{newJournal()}
	_, addr := start(t, server.Config{Store: st})
	p := worker(t, addr, "f")
	p.send(req(wire.SubmitJobBG, "f", "", "a"))
	h := p.want(`JOB_CREATED *`)[0]
	p.grab()
	p.send(req(wire.WorkComplete, h, ""), req(wire.SubmitJobBG, "f", "", "b"))
	p.want(`JOB_CREATED *`)
	p.send(req(wire.SubmitJobBG, "f", "", "c"))
	p.want(`ERROR *`)
	if got := st.payloads(t); got != "b" {
		t.Errorf("in the store: %s, want b", got)
	}
}

// roomForNone is a journal that is full: it takes a Put only while it has no
// job.
type roomForNone struct{ *journal }

func (r roomForNone) Commit(ctx context.Context, ops []store.Op) error {
	isPut := func(op store.Op) bool { return op.Kind == store.Put }
	if slices.ContainsFunc(ops, isPut) && len(r.all()) > 0 {
		return fmt.Errorf("commit: %w", store.ErrFull)
	}
	return narrow(r).Commit(ctx, ops)
}

// extra reports whether the journal has something under key.
func (r roomForNone) extra(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.extras[key] != nil
}

// The end of a job makes room in a full store for its result, and then for
// other jobs.
func TestFullStoreTakesEndsBeforeResults(t *testing.T) {
	st := roomForNone{newJournal()}
	_, addr := start(t, server.Config{Store: st, KeepResults: time.Minute})
	p := worker(t, addr, "f")
	for _, payload := range []string{"a", "b", "c"} {
		p.send(req(wire.SubmitJobBG, "f", "", payload))
		h := p.want(`JOB_CREATED *`)[0]
		p.grab()
		p.send(req(wire.WorkComplete, h, "result"))
		p.sync()
		eventually(t, "the end is stored", func() bool { return st.payloads(t) == "" })
		eventually(t, "the result is stored", func() bool { return st.extra("result/" + h) })
	}
}

// roomForTwo is a journal with room for some results at a time, at first for
// none and then for two.
type roomForTwo struct {
	*journal
	room *atomic.Int32
}

func (r roomForTwo) Commit(ctx context.Context, ops []store.Op) error {
	puts := int32(0)
	for _, op := range ops {
		if op.Kind == store.Put && strings.HasPrefix(op.Key, "result/") {
			puts++
		}
	}
	if puts > r.room.Load() {
		return fmt.Errorf("commit: %w", store.ErrFull)
	}
	return r.journal.Commit(ctx, ops)
}

// Results that do not fit at a time are stored a few at a time.
func TestFullStoreTakesResultsByAndBy(t *testing.T) {
	t.Parallel()
	st := roomForTwo{newJournal(), new(atomic.Int32)}
	_, addr := start(t, server.Config{Store: st, KeepResults: time.Minute})
	p := worker(t, addr, "f")
	const jobs = 9
	for range jobs {
		p.send(req(wire.SubmitJobBG, "f", "", "x"))
	}
	for range jobs {
		p.want(`JOB_CREATED *`)
	}
	for range jobs {
		h := p.grab()
		p.send(req(wire.WorkComplete, h, "result"))
	}
	p.sync()
	eventually(t, "the ends are stored", func() bool { return st.payloads(t) == "" })
	if got := st.keys(); got != "" {
		t.Errorf("in the store: %s, want no result", got)
	}
	st.room.Store(2)
	eventually(t, "the results are stored", func() bool {
		return strings.Count(st.keys(), "result") == jobs
	})
}

// roomForNotes is a journal without room for results that are longer than a note.
type roomForNotes struct{ *journal }

func (r roomForNotes) Commit(ctx context.Context, ops []store.Op) error {
	for _, op := range ops {
		if op.Kind == store.Put && strings.HasPrefix(op.Key, "result/") && len(op.Value) > 1000 {
			return fmt.Errorf("commit: %w", store.ErrFull)
		}
	}
	return r.journal.Commit(ctx, ops)
}

// Results for which a full store has no room keep no submission out of it, however
// many they are, and are replaced by notes after a while.
func TestFullStoreTakesNotesOfResults(t *testing.T) {
	for name, size := range map[string]int{"one batch": 2000, "more than a batch": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := roomForNotes{newJournal()}
				var log logs
				_, dial := startPiped(t, server.Config{Store: st, KeepResults: time.Hour, Logger: log.logger(0)})
				p := dial()
				p.send(req(wire.CanDo, "f"))
				const jobs = 20
				for range jobs {
					h := p.submit(wire.SubmitJobBG, "f", "", "x")
					p.grab()
					p.send(req(wire.WorkComplete, h, strings.Repeat("r", size)))
				}
				for i := range 10 {
					p.submit(wire.SubmitJobBG, "later", "", fmt.Sprint(i))
				}
				if got := st.keys(); got != "" {
					t.Errorf("in the store: %s, want no result", got)
				}
				time.Sleep(30 * time.Second) // of the bubble
				if n := strings.Count(st.keys(), "result"); n != jobs {
					t.Errorf("%d notes of results are stored, want %d", n, jobs)
				}
				p.submit(wire.SubmitJobBG, "later", "", "last")
				if n := strings.Count(log.String(), "without their bytes"); n == 0 || n > 4 {
					t.Errorf("the notes are logged %d times", n)
				}
			})
		})
	}
}

// A job that dies in a full store stays in it until its entry in the list of
// dead jobs is stored as well.
func TestFullStoreKeepsJobUntilDeadEntry(t *testing.T) {
	st := roomForNone{newJournal()}
	_, addr := start(t, server.Config{Store: st})
	p := worker(t, addr, "f")
	p.send(req(wire.SubmitJobBG, "f", "", "a"))
	h := p.want(`JOB_CREATED *`)[0]
	p.grab()
	p.send(req(wire.WorkFail, h))
	p.send(req(wire.SubmitJobBG, "f", "", "b"))
	p.want(`ERROR *`)
	if got := st.payloads(t); got != "a" {
		t.Errorf("in the store: %q, want a", got)
	}
}

// crammed is a library that has room for nothing new until a test gives it some.
type crammed struct {
	*library
	room atomic.Bool
}

func (c *crammed) Commit(ctx context.Context, ops []store.Op) error {
	needsRoom := func(op store.Op) bool { return op.Kind == store.Add || op.Kind == store.Put }
	if !c.room.Load() && slices.ContainsFunc(ops, needsRoom) {
		return fmt.Errorf("commit: %w", store.ErrFull)
	}
	return c.library.Commit(ctx, ops)
}

// Dead jobs that a full store does not take stay in memory. When they hold a
// quarter of it, jobs whose payloads are in the store are withheld, until the
// store has room.
func TestFullStoreBoundsDeadJobsInBytes(t *testing.T) {
	const jobs, size = 100, memory / 10
	var records []*store.Record
	for i := range uint64(jobs) {
		records = append(records, &store.Record{Seq: i + 1, Function: "f", Payload: []byte(strings.Repeat("x", size))})
	}
	st := &crammed{library: newLibrary(records...)}
	var log logs
	s, addr := start(t, server.Config{Store: st, Memory: memory, Logger: log.logger(0)})
	w := worker(t, addr, "f")
	// failAll fails jobs until the worker gets no more.
	failAll := func() (failed int) {
		for {
			w.send(req(wire.GrabJob))
			p := w.next()
			if p.Type == wire.NoJob {
				return failed
			}
			w.send(req(wire.WorkFail, string(p.Args[0])))
			if held := w.stat().HeldBytes; held > memory {
				t.Fatalf("%d bytes are held after %d failed jobs, more than %d", held, failed, memory)
			}
			if failed++; failed > jobs {
				t.Fatalf("%d jobs failed, want at most %d", failed, jobs)
			}
		}
	}
	failed := failAll()
	if failed == 0 || failed > memory/size {
		t.Errorf("%d jobs failed in a full store, want 1 to %d", failed, memory/size)
	}
	if n := len(st.all()); n != jobs {
		t.Errorf("%d jobs are in the store, want %d: the others are lost", n, jobs)
	}
	w.send(req(wire.PreSleep))
	w.sync()
	c := dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "foreground")
	w.want(`NOOP`)
	w.grab()
	w.send(req(wire.WorkComplete, h, "done"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=4:"done"`)
	if n := failAll(); n != 0 {
		t.Errorf("%d more jobs failed in a full store", n)
	}
	w.send(req(wire.PreSleep))
	w.sync()

	st.room.Store(true)
	for failed < jobs {
		w.want(`NOOP`)
		failed += failAll()
		w.send(req(wire.PreSleep))
	}
	eventually(t, "all jobs are dead", func() bool { return len(st.all()) == 0 && c.numDead() == jobs })
	if n := strings.Count(st.keys(), "dead"); n != jobs {
		t.Errorf("%d dead jobs are in the store, want %d", n, jobs)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"spilled jobs are withheld", "spilled jobs are handed out again"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("%q is not logged", line)
		}
	}
}

// A full store that gets room for one dead job at a time takes all of them, and jobs
// that were withheld meanwhile are handed out again.
func TestDeadJobsAreStoredOneByOne(t *testing.T) {
	t.Parallel()
	const jobs, size = 12, memory / 10
	var records []*store.Record
	for i := range uint64(jobs) {
		records = append(records, &store.Record{Seq: i + 1, Function: "f", Payload: []byte(strings.Repeat("x", size))})
	}
	st := &tight{library: newLibrary(records...)}
	_, addr := start(t, server.Config{Store: st, Memory: memory})
	w, c := worker(t, addr, "f"), dial(t, addr)
	withheld := false
	for failed := 0; failed < jobs; {
		w.send(req(wire.GrabJob))
		if p := w.next(); p.Type != wire.NoJob {
			w.send(req(wire.WorkFail, string(p.Args[0])))
			failed++
			continue
		}
		withheld = true
		st.room.Store(true)
		w.send(req(wire.PreSleep))
		w.want(`NOOP`)
	}
	if !withheld {
		t.Error("no job was withheld while dead jobs waited for room")
	}
	eventually(t, "all jobs are dead", func() bool { return len(st.all()) == 0 && c.numDead() == jobs })
	if n := strings.Count(st.keys(), "dead"); n != jobs {
		t.Errorf("%d dead jobs are in the store, want %d", n, jobs)
	}
}

// tight is a store without room for any extra, and later for one in each batch.
type tight struct {
	*library
	room atomic.Bool
}

func (s *tight) Commit(ctx context.Context, ops []store.Op) error {
	puts := 0
	for i := range ops {
		if ops[i].Kind == store.Put {
			puts++
		}
	}
	if puts > 1 || puts > 0 && !s.room.Load() {
		return fmt.Errorf("commit: %w", store.ErrFull)
	}
	return s.library.Commit(ctx, ops)
}

// A store that is full takes the ends of jobs and refuses new ones, again and
// again: the log is told once.
func TestFullStoreIsLoggedOnce(t *testing.T) {
	t.Parallel()
	st := narrow{newJournal()}
	var log logs
	_, addr := start(t, server.Config{Store: st, Logger: log.logger(0)})
	p := worker(t, addr, "f")
	for range 20 {
		p.send(req(wire.SubmitJobBG, "f", "", "a"))
		h := p.want(`JOB_CREATED *`)[0]
		p.send(req(wire.SubmitJobBG, "f", "", "b"))
		p.want(`ERROR *`)
		p.grab()
		p.send(req(wire.WorkComplete, h, ""))
		p.sync()
		eventually(t, "the end is stored", func() bool { return st.payloads(t) == "" })
	}
	for _, line := range []string{"store fails", "store works again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%q is logged %d times, want once", line, n)
		}
	}
}
