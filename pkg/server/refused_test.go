package server_test

import (
	"context"
	"errors"
	"fmt"
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

// picky is a journal that refuses every batch with an operation that it does
// not like, and reports the batches that it was given.
type picky struct {
	*journal
	caps    store.Caps
	refuses func(i int, op *store.Op) error // may panic

	mu       sync.Mutex
	most     int // operations in a batch
	largest  int // bytes in a batch of several operations
	attempts int
}

func newPicky(refuses func(i int, op *store.Op) error) *picky {
	return &picky{journal: newJournal(), refuses: refuses}
}

func (p *picky) Caps() store.Caps {
	c := p.caps
	c.Durable, c.Atomic, c.Lists = true, true, true
	return c
}

func (p *picky) Commit(ctx context.Context, ops []store.Op) error {
	size := 0
	for i := range ops {
		if ops[i].Record != nil {
			size += len(ops[i].Record.Payload)
		}
	}
	p.mu.Lock()
	p.attempts++
	p.most = max(p.most, len(ops))
	if len(ops) > 1 {
		p.largest = max(p.largest, size)
	}
	p.mu.Unlock()
	for i := range ops {
		if err := p.refuses(i, &ops[i]); err != nil {
			return err
		}
	}
	return p.journal.Commit(ctx, ops)
}

// refusals are the ways in which a store says that it does not take an
// operation.
var refusals = map[string]func(i int) error{
	"the store tells which": func(i int) error { return fmt.Errorf("commit: %w", &store.RefusedError{Index: i, Err: errBad}) },
	"it tells only that":    func(int) error { return &store.RefusedError{Index: -1, Err: errBad} },
	"an error like any":     func(int) error { return errBad },
	"a panic":               func(int) error { panic(errBad) },
}

var errBad = errors.New("bad operation")

// One submission that the store does not take is refused; those beside it, and
// the ends of jobs, are stored.
func TestBadSubmissionIsRefusedAlone(t *testing.T) {
	for name, refuse := range refusals {
		t.Run(name, func(t *testing.T) {
			st := newPicky(func(i int, op *store.Op) error {
				if op.Kind == store.Add && string(op.Record.Payload) == "bad" {
					return refuse(i)
				}
				return nil
			})
			_, addr := start(t, server.Config{Store: st})
			w, c := worker(t, addr, "f"), dial(t, addr)
			h := c.submit(wire.SubmitJobBG, "f", "", "first")
			w.grab()
			var packets [][]byte
			for i := range 12 {
				payload := fmt.Sprint("j", i)
				if i == 5 {
					payload = "bad"
				}
				packets = append(packets, req(wire.SubmitJobBG, "f", "", payload))
			}
			c.send(slices.Concat(packets...))
			w.send(req(wire.WorkComplete, h, ""))
			for i := range 12 {
				if i != 5 {
					c.want(`JOB_CREATED *`)
					continue
				}
				c.want(`ERROR code="QUEUE_ERROR" text=*bad operation*`)
			}
			if got := w.order(); got != "j0 j1 j2 j3 j4 j6 j7 j8 j9 j10 j11" {
				t.Errorf("handed out %q", got)
			}
			// Nobody is told when the end of the first job is stored.
			eventually(t, "all other jobs are stored, and only these", func() bool {
				return st.payloads(t) == "j0 j1 j2 j3 j4 j6 j7 j8 j9 j10 j11"
			})
		})
	}
}

// An operation for which nobody waits, and which the store never takes, is left
// out, with a line in the log. It does not stand before what comes later.
func TestBadOperationIsLeftOut(t *testing.T) {
	t.Parallel()
	for name, refuse := range refusals {
		for kind, bad := range map[store.Kind]func(op *store.Op) bool{
			store.Done:   func(op *store.Op) bool { return op.Kind == store.Done },
			store.Update: func(op *store.Op) bool { return op.Kind == store.Update },
			store.Put:    func(op *store.Op) bool { return op.Kind == store.Put && strings.HasPrefix(op.Key, "policy/") },
		} {
			t.Run(name+" "+kind.String(), func(t *testing.T) {
				t.Parallel()
				st := newPicky(func(i int, op *store.Op) error {
					if bad(op) {
						return refuse(i)
					}
					return nil
				})
				var log logs
				_, addr := start(t, server.Config{Store: st, StoreName: "fake", Logger: log.logger(0)})
				w, c, admin := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
				c.submit(wire.SubmitJobBG, "f", "", "x")
				w.grab()
				w.Close() // an Update
				w = worker(t, addr, "f")
				eventually(t, "it waits again", func() bool { return c.stat().Jobs == 1 && c.list("jobs")[0] != "" })
				var h string
				eventually(t, "it is grabbed", func() bool {
					w.send(req(wire.GrabJob))
					if p := w.next(); p.Type == wire.JobAssign {
						h = string(p.Args[0])
					}
					return h != ""
				})
				if kind != store.Update { // else the end makes up for it
					w.send(req(wire.WorkComplete, h, ""))
				}
				w.sync()
				if got := admin.line("policy function f 1"); (kind == store.Put) != strings.HasPrefix(got, "ERR NOT_STORED") {
					t.Errorf("policy: %q", got)
				}
				c.submit(wire.SubmitJobBG, "f", "", "next")
				log.wait(t, "level=ERROR", "left out of the store", "store=fake", "operation="+kind.String(), "bad operation")
				w.send(req(wire.GrabJob))
				w.want(`JOB_ASSIGN *`)
				c.submit(wire.SubmitJobBG, "f", "", "more")
				if got := c.stat(); got.StoreError != "" {
					t.Errorf("store error: %q", got.StoreError)
				}
			})
		}
	}
}

// A store that takes nothing at all, though it answers, has lost its tables: the
// ends of jobs are kept.
func TestEndsAreKeptForAStoreThatTakesNothing(t *testing.T) {
	var gone sync.Map
	st := newPicky(func(_ int, op *store.Op) error {
		if _, bad := gone.Load("jobs"); bad && op.Record != nil {
			return errBad
		}
		return nil
	})
	_, addr := start(t, server.Config{Store: st})
	w, c := worker(t, addr, "f"), dial(t, addr)
	const n = 20
	for i := range n {
		c.submit(wire.SubmitJobBG, "f", "", fmt.Sprint(i))
	}
	gone.Store("jobs", true)
	var ends []byte
	for range n {
		ends = append(ends, req(wire.WorkComplete, w.grab(), "")...)
	}
	w.send(ends)
	w.sync()
	c.send(req(wire.SubmitJobBG, "f", "", "late"))
	c.want(`ERROR *`)
	eventually(t, "it is tried again", func() bool { st.mu.Lock(); defer st.mu.Unlock(); return st.attempts > 60 })
	gone.Delete("jobs")
	eventually(t, "the ends are stored", func() bool { return st.payloads(t) == "" })
}

// What Caps rule out is refused before it gets to the store.
func TestLimitsOfTheStore(t *testing.T) {
	st := newPicky(func(int, *store.Op) error { return nil })
	st.caps = store.Caps{MaxPayload: 1000, MaxValue: 600, MaxKey: 200, MaxName: 300}
	st.refuses = func(i int, op *store.Op) error {
		if err := st.caps.Refusal(op); err != nil {
			t.Errorf("the store was given %v of %d bytes: %v", op.Kind, len(op.Value), err)
			return &store.RefusedError{Index: i, Err: err}
		}
		return nil
	}
	cfg := server.Config{Store: st, StoreName: "fake", KeepResults: time.Hour, Policies: map[string]server.Policy{}}
	s, addr := start(t, cfg)
	w, c := worker(t, addr, "f"), dial(t, addr)
	for _, args := range [][]string{
		{"f", "", strings.Repeat("x", 1001)},
		{strings.Repeat("f", 301), "", "x"},
	} {
		c.send(req(wire.SubmitJobBG, args...))
		c.want(`ERROR code="INVALID_ARGUMENT" text=*exceeds the limit of store fake*`)
		c.send(req(wire.SubmitJob, args...)) // is not stored
		c.want(`JOB_CREATED *`)
	}
	w.send(req(wire.WorkComplete, w.grab(), ""))
	c.want(`WORK_COMPLETE *`)

	// A result and a dead job are kept without their bytes.
	done := c.submit(wire.SubmitJobBG, "f", "", "x")
	w.finish(done, strings.Repeat("r", 2000))
	dead := dies(c, w, "", strings.Repeat("d", 900))
	c.submit(wire.SubmitJobBG, "f", "", "last")
	eventually(t, "both are kept", func() bool { return st.keys() == "dead result result" })
	if got := c.line("policy function " + strings.Repeat("n", 290) + " 1"); got != "OK" {
		t.Errorf("policy: %q", got)
	}
	s.Close()
	cfg.Store = st.copied()
	_, addr = start(t, cfg)
	c = dial(t, addr)
	if j := c.job(dead); j.State != wire.StateDead || j.Size != 900 || j.Error == "" {
		t.Errorf("dead: %+v", j)
	}
	if got := c.line("retry job " + dead); !strings.HasPrefix(got, "ERR read dead job "+dead) {
		t.Errorf("retry: %q", got)
	}
	if one := fields[wire.Outcome](t, c.list("wait " + done)[0]); one.State != wire.OutcomeCompleted || one.Kept || one.Size != 2000 {
		t.Errorf("result: %+v", one)
	}
	if got := c.line("policy function " + strings.Repeat("n", 290)); got != "OK 1,1s..5m" {
		t.Errorf("policy after a restart: %q", got)
	}
}

// Batches are bounded in bytes and in operations.
func TestBatchesAreBounded(t *testing.T) {
	st := newPicky(func(int, *store.Op) error { return nil })
	st.entered, st.gate, st.opened = make(chan int), make(chan error), make(chan struct{})
	_, addr := start(t, server.Config{Store: st})
	other := dial(t, addr)
	other.send(req(wire.SubmitJobBG, "f", "", "first"))
	<-st.entered
	large, small := dial(t, addr), []*peer{dial(t, addr), dial(t, addr), dial(t, addr)}
	const nLarge, nSmall = 40, 3900
	var wg sync.WaitGroup
	wg.Go(func() {
		for range nLarge {
			large.send(req(wire.SubmitJobBG, "f", "", strings.Repeat("x", 1<<20)))
		}
	})
	for _, c := range small {
		wg.Go(func() { c.send([]byte(strings.Repeat(string(req(wire.SubmitJobBG, "f", "", "x")), nSmall))) })
	}
	wg.Wait()
	admin := dial(t, addr)
	eventually(t, "all have come", func() bool { return admin.stat().Jobs == 1+nLarge+3*nSmall })
	st.open()
	other.want(`JOB_CREATED *`)
	for range nLarge {
		large.want(`JOB_CREATED *`)
	}
	for _, c := range small {
		for range nSmall {
			c.want(`JOB_CREATED *`)
		}
	}
	if st.most > 8200 || st.largest > 9<<20 {
		t.Errorf("batches of %d operations and %d bytes", st.most, st.largest)
	}
}

// A driver that panics while it is read does not end the server.
func TestPanicWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newLibrary()
		_, dial := startPiped(t, server.Config{Store: st, Memory: memory})
		c, w := dial(), dial()
		c.submit(wire.SubmitJobBG, "f", "", load("x"))
		w.send(req(wire.CanDo, "f"))
		st.set(func(context.Context, uint64) error { panic("read") })
		w.send(req(wire.GrabJob))
		time.Sleep(time.Second)
		st.set(nil)
		if got := w.want(`JOB_ASSIGN *`); got[2] != load("x") {
			t.Errorf("got %.60q", got)
		}
	})
}
