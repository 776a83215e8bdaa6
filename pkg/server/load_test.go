package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/store/disk"
	"gm/pkg/wire"
)

// slow is a journal whose Replay stops after some records until the test lets
// it go on, or fail.
type slow struct {
	*journal
	after   int
	stopped chan struct{} // closed when it has stopped
	goOn    chan error
	late    func() []*store.Record // if not nil, more records for the end
}

func newSlow(after int, records ...*store.Record) *slow {
	return &slow{journal: newJournal(records...), after: after, stopped: make(chan struct{}), goOn: make(chan error, 1)}
}

func (s *slow) Replay(ctx context.Context, f func(*store.Record) error) error {
	records := s.all()
	for i := 0; i < len(records); i++ {
		if i == s.after {
			close(s.stopped)
			select {
			case err := <-s.goOn:
				if err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if s.late != nil {
				records = append(records, s.late()...)
			}
		}
		if err := f(records[i]); err != nil {
			return err
		}
	}
	return nil
}

// backlog returns n jobs of function f, r0 and so on.
func backlog(n int) (all []*store.Record) {
	for i := range n {
		all = append(all, &store.Record{Seq: uint64(i + 1), Function: "f", Payload: fmt.Appendf(nil, "r%d", i), Priority: 1})
	}
	return all
}

// names returns r<from> to r<to-1>.
func names(from, to int) string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("r%d", i))
	}
	return strings.Join(all, " ")
}

const (
	chunk = 1000 // records that are taken in at a time
	whole = 1500
)

func TestServingWhileLoading(t *testing.T) {
	st := newSlow(1200, backlog(whole)...)
	st.extras["policy/66"] = []byte("3")
	var log logs
	s, addr := startLoading(t, server.Config{Store: st, StoreName: "fake", Logger: log.logger(0), KeepResults: time.Hour})
	<-st.stopped
	c, w, admin := dial(t, addr), worker(t, addr, "g"), dial(t, addr)
	if got := c.stat(); !got.Loading || got.Jobs != chunk {
		t.Errorf("got %+v", got)
	}

	// Foreground jobs are served, background ones are taken and wait.
	c.send(req(wire.SubmitJob, "g", "", "fg"))
	h := c.want(`JOB_CREATED *`)[0]
	w.finish(h, "done")
	c.want(`WORK_COMPLETE *`)
	fresh := c.submit(wire.SubmitJobBG, "f", "u", "fresh")
	if got := c.submit(wire.SubmitJobBG, "f", "u", ""); got != fresh {
		t.Errorf("its unique: %s, want %s", got, fresh)
	}
	if all := st.all(); string(all[len(all)-1].Payload) != "fresh" {
		t.Error("it was acknowledged and is not stored")
	}
	if j := c.job(fresh); j.State != wire.StateWaiting {
		t.Errorf("got %+v", j)
	}

	// What would be answered wrong is not answered.
	for _, cmd := range []string{
		"job H:test:1300", "cancel job H:test:1300", "result H:test:1300", "retry job H:test:1300", "wait H:test:1 H:test:1300",
		"retry function f", "purge dead f", "purge function f", "policy function f 1",
	} {
		if got := admin.line(cmd); got != "ERR LOADING the store's jobs are still being read" {
			t.Errorf("%s: %q", cmd, got)
		}
	}
	if got := admin.line("policy function f"); got != "OK 3,1s..5m" {
		t.Errorf("policy: %q", got)
	}
	if got := admin.line("cancel job H:test:2"); got != "OK" {
		t.Errorf("cancel: %q", got)
	}
	waiter := dial(t, addr)
	waiter.send([]byte("wait H:test:1\n"))

	// What is there is handed out.
	f := worker(t, addr, "f")
	f.finish("H:test:1", "")
	waiter.readLine()
	if got, want := f.order(), names(2, chunk); got != want {
		t.Errorf("while loading: %d bytes of names, want %d", len(got), len(want))
	}
	f.send(req(wire.PreSleep))
	f.sync()
	st.goOn <- nil
	f.want(`NOOP`)
	if err := s.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := f.order(), names(chunk, whole)+" fresh"; got != want {
		t.Errorf("afterwards: %.60q..., %d bytes, want %d", got, len(got), len(want))
	}
	if c.stat().Loading {
		t.Error("it still loads")
	}
	log.wait(t, "msg=restored", "store=fake", "jobs=1500")
	if got := admin.line("job H:test:9999"); got != "ERR UNKNOWN_JOB" {
		t.Errorf("unknown: %q", got)
	}
}

// A job that came and went while the store was read is not brought back by
// it, whatever the store has seen of it; nor is one that is still there.
func TestJobsOfThisRunAreNotRestored(t *testing.T) {
	st := newSlow(1200, backlog(whole)...)
	s, addr := startLoading(t, server.Config{Store: st})
	<-st.stopped
	c, w := dial(t, addr), worker(t, addr, "f")
	for range chunk {
		w.send(req(wire.WorkComplete, w.grab(), ""))
	}
	c.submit(wire.SubmitJobBG, "f", "", "waits")
	urgent := c.submit(wire.SubmitJob, "f", "u", "urgent")
	if got := c.submit(wire.SubmitJobBG, "f", "u", ""); got != urgent {
		t.Fatal("they are two")
	}
	seen := st.copied()
	w.finish(urgent, "")
	c.want(`WORK_COMPLETE *`)
	eventually(t, "its end is stored", func() bool { return !strings.Contains(st.payloads(t), "urgent") })
	st.late = func() []*store.Record {
		all := seen.all()
		var late []*store.Record
		for _, r := range all {
			if r.Seq > whole {
				late = append(late, r)
			}
		}
		// Another server's jobs, that get their numbers as they are read.
		first := store.FirstSeq(time.Now().Add(time.Second))
		return append(late,
			&store.Record{Seq: first + 1, Function: "f", Payload: []byte("foreign1"), Priority: 1},
			&store.Record{Seq: first + 2, Function: "f", Payload: []byte("foreign2"), Priority: 1})
	}
	st.goOn <- nil
	if err := s.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.order(), names(chunk, whole)+" foreign1 foreign2 waits"; got != want {
		t.Errorf("got ...%q, want ...%q", got[max(0, len(got)-60):], want[len(want)-60:])
	}
}

func TestReplayFails(t *testing.T) {
	st := newSlow(1200, backlog(whole)...)
	var log logs
	s, addr := startLoading(t, server.Config{Store: st, StoreName: "fake", Logger: log.logger(0)})
	<-st.stopped
	st.goOn <- errors.New("page 7 is gone")
	if err := s.Restored(t.Context()); err == nil || !strings.Contains(err.Error(), "replay: page 7 is gone") {
		t.Errorf("Restored: %v", err)
	}
	log.wait(t, "level=ERROR", "can't be read to its end", "jobs=1000", "page 7 is gone")
	c, w := dial(t, addr), worker(t, addr, "f")
	c.submit(wire.SubmitJobBG, "f", "", "fresh")
	if got, want := w.order(), names(0, chunk)+" fresh"; got != want || c.stat().Loading {
		t.Errorf("%d bytes of names, want %d; loading %v", len(got), len(want), c.stat().Loading)
	}
	s.Close()
	// The rest comes with the next start.
	next := st.copied()
	_, addr = start(t, server.Config{Store: next})
	if got := dial(t, addr).stat().Jobs; got != whole+1 {
		t.Errorf("%d jobs after a restart, want %d", got, whole+1)
	}
}

func TestCloseWhileLoading(t *testing.T) {
	for name, stop := range map[string]func(*server.Server) error{
		"close":    (*server.Server).Close,
		"shutdown": func(s *server.Server) error { return s.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			st := newSlow(1200, backlog(whole)...)
			var log logs
			s, addr := startLoading(t, server.Config{Store: st, Logger: log.logger(0)})
			<-st.stopped
			dial(t, addr).submit(wire.SubmitJobBG, "f", "", "fresh")
			if err := stop(s); err != nil {
				t.Fatal(err)
			}
			if err := s.Restored(t.Context()); err == nil {
				t.Error("Restored: no error")
			}
			log.wait(t, "left to the next start", "jobs=1000")
			if got := len(st.all()); got != whole+1 || !st.closed {
				t.Errorf("%d jobs are stored, closed %v", got, st.closed)
			}
		})
	}
}

// A long start says how far it is.
func TestLoadingIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newSlow(1200, backlog(3*chunk)...)
		var log logs
		s, _ := startPiped(t, server.Config{Store: st, StoreName: "fake", Logger: log.logger(0)})
		<-st.stopped
		time.Sleep(7 * time.Second)
		st.goOn <- nil
		if err := s.Restored(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !log.has([]string{"msg=restoring", "store=fake", "jobs=2000"}) || !log.has([]string{"msg=restored", "jobs=3000", "took=7s"}) {
			t.Errorf("logged:\n%s", &log)
		}
		if n := strings.Count(log.String(), "msg=restoring"); n != 1 {
			t.Errorf("%d lines of progress", n)
		}
	})
}

// plain is a store that does not know its highest number.
type plain struct{ store.Store }

// Jobs that were accepted at a time that is still to come are all there, and
// the numbers go on behind them.
func TestClockSetBack(t *testing.T) {
	ahead := store.FirstSeq(time.Now().Add(24 * time.Hour))
	for name, hide := range map[string]bool{"the store knows its highest number": false, "it does not": true} {
		t.Run(name, func(t *testing.T) {
			journal := newJournal(
				&store.Record{Seq: 5, Function: "f", Payload: []byte("old"), Priority: 1},
				&store.Record{Seq: ahead + 1, Function: "f", Payload: []byte("a"), Priority: 1},
				&store.Record{Seq: ahead + 2, Function: "f", Payload: []byte("b"), Priority: 1})
			var st store.Store = journal
			if hide {
				st = plain{journal}
			}
			s, addr := startLoading(t, server.Config{Store: st})
			if err := s.Restored(t.Context()); err != nil {
				t.Fatal(err)
			}
			c, w := dial(t, addr), worker(t, addr, "f")
			if got, want := c.submit(wire.SubmitJobBG, "f", "", "new"), fmt.Sprintf("H:test:%d", ahead+3); got != want {
				t.Errorf("the next is %s, want %s", got, want)
			}
			if got := w.order(); got != "old a b new" {
				t.Errorf("order %q", got)
			}
		})
	}
}

func TestNumberFails(t *testing.T) {
	_, err := server.New(server.Config{Store: numberless{newJournal()}, StoreName: "fake"})
	if err == nil || err.Error() != "read fake: away" {
		t.Errorf("New: %v", err)
	}
}

type numberless struct{ *journal }

func (numberless) LastSeq(context.Context) (uint64, error) { return 0, errAway }

// The same with a store on disk: jobs come while it is read.
func TestServingWhileADiskIsRead(t *testing.T) {
	open := func() store.Store {
		st, err := disk.Open(t.Context(), disk.Config{Dir: t.TempDir(), Sync: disk.SyncNever})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := open()
	var ops []store.Op
	for _, r := range backlog(6000) {
		ops = append(ops, store.Op{Kind: store.Add, Record: r})
	}
	for part := range slices.Chunk(ops, 1000) {
		if err := st.Commit(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	s, addr := startLoading(t, server.Config{Store: st, Memory: 50_000})
	c, w := dial(t, addr), worker(t, addr, "f")
	early := 0
	for i := range 500 {
		c.submit(wire.SubmitJobBG, "f", "", fmt.Sprintf("fresh%d", i))
		if c.stat().Loading {
			early++
		}
	}
	if err := s.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d jobs came while it was read", early)
	got := strings.Fields(w.order())
	if len(got) != 6500 {
		t.Fatalf("%d jobs came out", len(got))
	}
	if !slices.Equal(got[:6000], strings.Fields(names(0, 6000))) {
		t.Error("the restored ones are not in order, or not first")
	}
}
