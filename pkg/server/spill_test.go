package server_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// library is a journal that gives payloads back. A test may hold the reading
// back, or make it fail.
type library struct {
	*journal
	mu    sync.Mutex
	reads int
	read  func(ctx context.Context, seq uint64) error // if not nil, called before
}

func newLibrary(records ...*store.Record) *library { return &library{journal: newJournal(records...)} }

func (l *library) ReadPayload(ctx context.Context, r *store.Record) ([]byte, error) {
	l.mu.Lock()
	l.reads++
	read := l.read
	l.mu.Unlock()
	if read != nil {
		if err := read(ctx, r.Seq); err != nil {
			return nil, err
		}
	}
	l.journal.mu.Lock()
	defer l.journal.mu.Unlock()
	one := l.records[r.Seq]
	if one == nil || one.Function != r.Function || one.Unique != r.Unique {
		return nil, store.ErrNotFound
	}
	return slices.Clone(one.Payload), nil
}

func (l *library) ReplayHeads(ctx context.Context, f func(*store.Record, int) error) error {
	return l.Replay(ctx, func(r *store.Record) error {
		size := len(r.Payload)
		r.Payload = nil
		return f(r, size)
	})
}

// set makes reads do as told from now on.
func (l *library) set(read func(ctx context.Context, seq uint64) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read = read
}

// The memory of the tests: a payload of more than three quarters of it is
// dropped when it waits, and never read ahead.
const (
	memory = 1000
	large  = 900
)

// load returns a large payload that begins with a word.
func load(word string) string { return word + strings.Repeat(".", large-len(word)) }

func TestBacklogLargerThanMemory(t *testing.T) {
	st := newLibrary()
	cfg := server.Config{Store: st, Memory: memory}
	s, addr := start(t, cfg)
	c := dial(t, addr)
	var want []string
	for i := range 300 {
		payload := fmt.Sprintf("%d%s", i, strings.Repeat(".", 97))
		h := c.submit(wire.SubmitJobBG, "f", fmt.Sprint(i), payload)
		if j := c.job(h); j.Size != len(payload) || j.Spilled != (i >= 7) {
			t.Errorf("job %d: %+v", i, j)
		}
		want = append(want, payload)
	}
	check := func(w *peer) {
		t.Helper()
		if got := w.stat(); got.HeldBytes > memory || got.MemoryBytes != memory || got.Jobs != 300 || got.Spilled < 290 {
			t.Errorf("got %+v", got)
		}
	}
	check(c)
	s.Close()

	_, addr = start(t, cfg)
	w := worker(t, addr, "f")
	check(w)
	for i, payload := range want {
		h := w.grab()
		if got := string(w.p.Last()); got != payload {
			t.Fatalf("job %d: got %q, want %q", i, got, payload)
		}
		if i == 20 {
			eventually(t, "the next are read ahead", func() bool { return w.stat().Spilled < 300-21 })
		}
		if got := w.stat().HeldBytes; got > memory {
			t.Errorf("%d bytes in memory", got)
		}
		w.send(req(wire.WorkComplete, h, ""))
	}
	w.send(req(wire.GrabJob))
	w.want(`NO_JOB`)
	if st.reads < 280 || st.reads > 600 {
		t.Errorf("%d payloads were read", st.reads)
	}
}

// The replies behind the grab of a spilled job keep their place, and other
// connections do not wait.
func TestGrabOfASpilledJob(t *testing.T) {
	st := newLibrary()
	_, addr := start(t, server.Config{Store: st, Memory: memory})
	c, w, other := dial(t, addr), worker(t, addr, "f"), worker(t, addr, "g")
	gate := make(chan struct{})
	st.set(func(ctx context.Context, _ uint64) error { <-gate; return nil })
	one := c.submit(wire.SubmitJobBG, "f", "u1", load("1"))
	two := c.submit(wire.SubmitReduceJobBG, "f", "u2", "sum", "", load("2"))
	three := c.submit(wire.SubmitJobBG, "f", "u3", "small")
	w.send(req(wire.GrabJob), req(wire.EchoReq, "a"), req(wire.GrabJobAll), req(wire.GrabJobUniq), req(wire.EchoReq, "b"))
	h := other.submit(wire.SubmitJob, "g", "", "")
	if other.grab() != h {
		t.Error("another job came")
	}
	gate <- struct{}{}
	gate <- struct{}{}
	if got := w.want(`JOB_ASSIGN *`); got[0] != one || got[2] != load("1") {
		t.Errorf("got %.60q", got)
	}
	w.want(`ECHO_RES data=1:"a"`)
	if got := w.want(`JOB_ASSIGN_ALL *`); got[0] != two || got[3] != "sum" || got[4] != load("2") {
		t.Errorf("got %.60q", got)
	}
	if got := w.want(`JOB_ASSIGN_UNIQ *`); got[0] != three || got[3] != "small" {
		t.Errorf("got %q", got)
	}
	w.want(`ECHO_RES data=1:"b"`)
	w.sync()
	st.set(nil)
}

// A payload that is lost ends its job, and says so, and the next one comes.
func TestPayloadIsLost(t *testing.T) {
	for name, lost := range map[string]error{
		"not there": store.ErrNotFound,
		"corrupt":   fmt.Errorf("read: %w", &store.CorruptError{Where: "page 7", Why: "checksum does not match"}),
	} {
		t.Run(name, func(t *testing.T) {
			st := newLibrary()
			s, addr := start(t, server.Config{Store: st, Memory: memory})
			c, w, fg := dial(t, addr), worker(t, addr, "f"), dial(t, addr)
			h := c.submit(wire.SubmitJobBG, "f", "u", load("lost"))
			fg.submit(wire.SubmitJob, "f", "u", "")
			next := c.submit(wire.SubmitJobBG, "f", "", "next")
			st.set(func(context.Context, uint64) error { return lost })
			w.send(req(wire.GrabJob))
			w.want(`NO_JOB`)
			fg.want(`WORK_FAIL handle="` + h + `"`)
			if w.grab() != next {
				t.Error("another job came")
			}
			for range 2 {
				if j := c.job(h); j.State != wire.StateDead || j.Error != "read payload: "+lost.Error() || j.Size != large || !j.Spilled {
					t.Errorf("got %+v", j)
				}
				if got := c.line("retry job " + h); got != "ERR read dead job "+h+": its payload was lost" {
					t.Errorf("retry: %q", got)
				}
				s.Close()
				s, addr = start(t, server.Config{Store: st, Memory: memory})
				c = dial(t, addr)
			}
		})
	}
}

// A store that is away while a grab waits is asked again for some seconds;
// then the job goes back, and was not tried.
func TestStoreIsAwayWhileAGrabWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newLibrary()
		_, dial := startPiped(t, server.Config{Store: st, Memory: memory, JobRetries: ptr(0)})
		c, w := dial(), dial()
		h := c.submit(wire.SubmitJobBG, "f", "", load("x"))
		w.send(req(wire.CanDo, "f"))
		st.set(func(context.Context, uint64) error { return errAway })
		for range 3 {
			began := time.Now()
			w.send(req(wire.GrabJob))
			w.want(`NO_JOB`)
			if took := time.Since(began); took < 5*time.Second || took > 30*time.Second {
				t.Errorf("NO_JOB after %v", took)
			}
			if j := c.job(h); j.State != wire.StateWaiting || j.Attempts != 0 {
				t.Errorf("got %+v", j)
			}
		}
		w.send(req(wire.GrabJob))
		time.Sleep(time.Second)
		st.set(nil)
		if got := w.want(`JOB_ASSIGN *`); got[2] != load("x") {
			t.Errorf("got %.60q", got)
		}
	})
}

// A worker that waits for a payload that the store does not return gets foreground
// jobs of any function meanwhile; they need no store. The job waits again at the
// head of its queue without an attempt, and is handed out with its payload later.
func TestForegroundWhilePayloadsCannotBeRead(t *testing.T) {
	for name, fails := range map[string]func(ctx context.Context) error{
		"refused": func(context.Context) error { return errAway },
		"hangs":   func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newLibrary()
				_, dial := startPiped(t, server.Config{Store: st, Memory: memory, JobRetries: ptr(1)})
				c, fg, w := dial(), dial(), dial()
				h := c.submit(wire.SubmitJobBG, "f", "", load("x"))
				st.set(func(ctx context.Context, _ uint64) error { return fails(ctx) })
				w.send(req(wire.CanDo, "f"), req(wire.CanDo, "g"))
				for _, function := range []string{"g", "f", "g"} {
					w.send(req(wire.GrabJobUniq))
					time.Sleep(3 * time.Second) // the grab waits for the payload
					began := time.Now()
					one := fg.submit(wire.SubmitJob, function, "u", "now")
					if got := w.want(`JOB_ASSIGN_UNIQ *`); got[0] != one || got[1] != function || got[2] != "u" || got[3] != "now" {
						t.Fatalf("got %.60q, want %s", got, one)
					}
					if took := time.Since(began); took > time.Second {
						t.Errorf("%s came after %v", one, took)
					}
					if j := c.job(h); j.State != wire.StateWaiting || j.Attempts != 0 || !j.Spilled {
						t.Errorf("got %+v", j)
					}
					w.send(req(wire.WorkComplete, one, "done"))
					fg.want(`WORK_COMPLETE *`)
				}
				st.set(nil)
				for w.send(req(wire.GrabJob)); w.next().Type != wire.JobAssign; w.send(req(wire.GrabJob)) {
				}
				if got := string(w.p.Args[2]); got != load("x") || string(w.p.Args[0]) != h {
					t.Errorf("got %.60q", got)
				}
			})
		})
	}
}

// A payload that the store is slow to bring is not read again when its job has gone
// back for a foreground job.
func TestSlowPayloadIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newLibrary()
		_, dial := startPiped(t, server.Config{Store: st, Memory: memory})
		c, fg, w := dial(), dial(), dial()
		h := c.submit(wire.SubmitJobBG, "f", "", load("x"))
		st.set(func(context.Context, uint64) error { time.Sleep(5 * time.Second); return nil })
		w.send(req(wire.CanDo, "f"), req(wire.CanDo, "g"), req(wire.GrabJob))
		synctest.Wait()
		one := fg.submit(wire.SubmitJob, "g", "", "")
		if got := w.want(`JOB_ASSIGN *`); got[0] != one {
			t.Errorf("got %.60q, want %s", got, one)
		}
		w.send(req(wire.WorkComplete, one, ""))
		if w.grab() != h || string(w.p.Last()) != load("x") {
			t.Errorf("got %.60q", w.p.Last())
		}
		if st.reads != 1 {
			t.Errorf("read %d times", st.reads)
		}
	})
}

// Reading ahead goes on after a store has hung.
func TestReadAheadAfterAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newLibrary()
		_, dial := startPiped(t, server.Config{Store: st, Memory: memory})
		c, w := dial(), dial()
		for range 30 {
			c.submit(wire.SubmitJobBG, "f", "", strings.Repeat("x", 100))
		}
		st.set(func(ctx context.Context, _ uint64) error { <-ctx.Done(); return ctx.Err() })
		w.send(req(wire.CanDo, "f"))
		grab := func() {
			for w.send(req(wire.GrabJob)); w.next().Type != wire.JobAssign; w.send(req(wire.GrabJob)) {
			}
			w.send(req(wire.WorkComplete, string(w.p.Args[0]), ""))
		}
		for range 7 { // those in memory
			grab()
		}
		w.send(req(wire.GrabJob))
		w.want(`NO_JOB`) // after the hang
		st.set(nil)
		grab()
		grab()
		synctest.Wait()
		if got := c.stat().Spilled; got > 30-9-3 {
			t.Errorf("%d payloads are left in the store, want some read ahead", got)
		}
	})
}

// A job whose worker leaves, or is too slow, while its payload is read goes
// to another grab, once.
func TestSpilledJobIsTakenAway(t *testing.T) {
	st := newLibrary()
	_, addr := start(t, server.Config{Store: st, Memory: memory, JobRetries: ptr(0)})
	c, leaver := dial(t, addr), worker(t, addr, "f")
	gate := make(chan struct{})
	st.set(func(context.Context, uint64) error { <-gate; return nil })
	h := c.submit(wire.SubmitJobBG, "f", "", load("x"))
	leaver.send(req(wire.GrabJob))
	leaver.Conn.(*net.TCPConn).SetLinger(0) //nolint:errcheck // a reset, as of a machine that died
	eventually(t, "it is grabbed", func() bool { return c.job(h).State == wire.StateRunning })
	leaver.Close()
	eventually(t, "it waits again", func() bool { return c.job(h).State == wire.StateWaiting })

	slow := dial(t, addr)
	slow.send(req(wire.CanDoTimeout, "f", "50"), req(wire.GrabJob))
	eventually(t, "it is grabbed", func() bool { return c.job(h).State == wire.StateRunning })
	eventually(t, "it waits again", func() bool { return c.job(h).State == wire.StateWaiting })
	slow.send(req(wire.CanDo, "f"), req(wire.GrabJob))
	eventually(t, "it is grabbed again", func() bool { return c.job(h).State == wire.StateRunning })
	if j := c.job(h); j.Attempts != 0 {
		t.Errorf("got %+v", j)
	}
	slow.want(`NO_JOB`) // as soon as it was taken away
	gate <- struct{}{}
	if got := slow.want(`JOB_ASSIGN *`); got[0] != h || got[2] != load("x") {
		t.Errorf("got %.60q", got)
	}
	slow.send(req(wire.WorkComplete, h, ""))
	slow.sync()
	eventually(t, "it is done", func() bool { return st.payloads(t) == "" })
}

// A running job that is cancelled while its payload is read is not handed out
// by mistake, and ends.
func TestSpilledJobIsCancelled(t *testing.T) {
	st := newLibrary()
	_, addr := start(t, server.Config{Store: st, Memory: memory})
	c, w := dial(t, addr), worker(t, addr, "f")
	gate := make(chan struct{})
	st.set(func(context.Context, uint64) error { <-gate; return nil })
	h := c.submit(wire.SubmitJobBG, "f", "", load("x"))
	w.send(req(wire.GrabJob))
	eventually(t, "it is grabbed", func() bool { return c.job(h).State == wire.StateRunning })
	if got := c.line("cancel job " + h); got != "OK" {
		t.Errorf("cancel: %q", got)
	}
	gate <- struct{}{}
	w.want(`NO_JOB`)
	if got := c.line("job " + h); got != "ERR UNKNOWN_JOB" || c.numDead() != 0 {
		t.Errorf("job: %q, %d dead", got, c.numDead())
	}
}

// A dead job's payload that does not fit into memory is read when it is
// retried.
func TestRetryOfASpilledJob(t *testing.T) {
	st := newLibrary()
	s, addr := start(t, server.Config{Store: st, Memory: memory})
	c, w := dial(t, addr), worker(t, addr, "f")
	var hs []string
	for _, word := range []string{"a", "b", "c"} {
		hs = append(hs, dies(c, w, word, load(word)))
		eventually(t, "it is spilled", func() bool { return c.job(hs[len(hs)-1]).Spilled })
	}
	s.Close()
	_, addr = start(t, server.Config{Store: st, Memory: memory})
	c, w = dial(t, addr), worker(t, addr, "f")
	if j := c.job(hs[1]); !j.Spilled || j.Size != large || c.stat().HeldBytes > memory {
		t.Errorf("got %+v, %d bytes in memory", j, c.stat().HeldBytes)
	}
	if got := c.line("retry job " + hs[1]); got != "OK" {
		t.Errorf("retry: %q", got)
	}
	if w.grab() != hs[1] || string(w.p.Last()) != load("b") {
		t.Errorf("got %.60q", w.p.Last())
	}
	if got := c.line("retry function f"); got != "OK 2" {
		t.Errorf("retry function: %q", got)
	}
	if got := w.order(); got != load("a")+" "+load("c") {
		t.Errorf("order %.60q", got)
	}
	eventually(t, "the store agrees", func() bool { return st.keys() == "" })
}

// Without a store that gives payloads back, jobs over the bound are refused.
func TestMemoryIsFull(t *testing.T) {
	for name, cfg := range map[string]server.Config{"memory": {}, "a store that only plays back": {Store: newJournal()}} {
		t.Run(name, func(t *testing.T) {
			cfg.Memory = memory
			_, addr := start(t, cfg)
			c, w := dial(t, addr), worker(t, addr, "f")
			h := c.submit(wire.SubmitJobBG, "f", "", load("x"))
			for _, typ := range []wire.Type{wire.SubmitJobBG, wire.SubmitJob} {
				c.send(req(typ, "f", "", load("y")))
				c.want(`ERROR code="QUEUE_ERROR" text=17:"Job queue is full"`)
			}
			c.submit(wire.SubmitJob, "f", "", "small")
			if w.grab() != h {
				t.Error("another job came")
			}
			c.submit(wire.SubmitJobBG, "f", "", load("y"))
		})
	}
}

// A backlog leaves room for foreground jobs.
func TestForegroundBesideABacklog(t *testing.T) {
	_, addr := start(t, server.Config{Store: newLibrary(), Memory: memory})
	c, w := dial(t, addr), worker(t, addr, "g")
	for range 50 {
		c.submit(wire.SubmitJobBG, "f", "", strings.Repeat("x", 100))
	}
	h := c.submit(wire.SubmitJob, "g", "", strings.Repeat("y", 200))
	w.finish(h, "done")
	c.want(`WORK_COMPLETE *`)
}

// The store's dead jobs are read in one pass when many are retried, and not once
// for each.
func TestRetryOfManySpilledJobs(t *testing.T) {
	st := &counting{library: newLibrary()}
	s, addr := start(t, server.Config{Store: st, Memory: memory})
	c, w := dial(t, addr), worker(t, addr, "f")
	const n = 3000
	var want []string
	for i := range n {
		payload := fmt.Sprintf("%d%s", i, strings.Repeat(".", 300))
		want = append(want, payload)
		c.send(req(wire.SubmitJobBG, "f", "", payload))
		h := c.want(`JOB_CREATED *`)[0]
		if w.grab() != h {
			t.Fatal("another job came")
		}
		w.send(failure(h))
		w.sync() // as in TestSingleExtrasAreNotSearchedFor
	}
	w.sync()
	eventually(t, "all are dead in the store", func() bool { return st.payloads(t) == "" })
	s.Close()
	_, addr = start(t, server.Config{Store: st, Memory: memory})
	c, w = dial(t, addr), worker(t, addr, "f")
	before := st.count()
	if got := c.line("retry function f"); got != fmt.Sprintf("OK %d", n) {
		t.Errorf("retry: %q", got)
	}
	if seen := st.count() - before; seen > 3*n {
		t.Errorf("%d extras were read for %d jobs", seen, n)
	}
	got := strings.Fields(w.order())
	slices.Sort(got) // those with payloads in memory come first
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d jobs came out", len(got))
	}
}

// A single dead job and the highest number are found in the store without a search
// through all that it keeps.
func TestSingleExtrasAreNotSearchedFor(t *testing.T) {
	st := &counting{library: newLibrary()}
	s, addr := start(t, server.Config{Store: st, Memory: memory})
	c, w := dial(t, addr), worker(t, addr, "f")
	const n = 100
	var handles []string
	for range n {
		c.send(req(wire.SubmitJobBG, "f", "", strings.Repeat(".", 10_000)))
		h := c.want(`JOB_CREATED *`)[0]
		w.send(req(wire.GrabJob))
		for w.next().Type == wire.NoJob { // withheld until the store has the earlier dead jobs
			w.send(req(wire.PreSleep))
			w.want(`NOOP`)
			w.send(req(wire.GrabJob))
		}
		if got := &w.p; got.Type != wire.JobAssign || string(got.Args[0]) != h {
			t.Fatalf("got %v, want job %s", got, h)
		}
		w.send(failure(h))
		w.sync() // the dead job is stored before the next job: until then that one would be withheld
		handles = append(handles, h)
	}
	w.sync()
	eventually(t, "all are dead in the store", func() bool { return st.payloads(t) == "" })
	s.Close()
	before := st.count()
	_, addr = start(t, server.Config{Store: st, Memory: memory})
	c = dial(t, addr)
	eventually(t, "the dead jobs are read", func() bool { return c.line("retry job "+handles[0]) == "OK" })
	if seen := st.count() - before; seen > n+1 {
		t.Errorf("%d extras were read for one start, want %d dead jobs and the number", seen, n)
	}
}

// counting counts the extras that it reads.
type counting struct {
	*library
	extras int
}

func (s *counting) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extras
}

func (s *counting) Extras(ctx context.Context, prefix string, f func(string, []byte) error) error {
	// As a store without an index: it reads all.
	return s.library.journal.Extras(ctx, "", func(key string, value []byte) error {
		s.mu.Lock()
		s.extras++
		s.mu.Unlock()
		if !strings.HasPrefix(key, prefix) {
			return nil
		}
		return f(key, value)
	})
}
