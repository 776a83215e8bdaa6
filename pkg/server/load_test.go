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
	once    sync.Once
	late    func() []*store.Record // if not nil, more records for the end
}

func newSlow(after int, records ...*store.Record) *slow {
	return &slow{journal: newJournal(records...), after: after, stopped: make(chan struct{}), goOn: make(chan error, 1)}
}

func (s *slow) Replay(ctx context.Context, f func(*store.Record) error) error {
	records := s.all()
	for i := 0; i < len(records); i++ {
		if i == s.after {
			s.once.Do(func() { close(s.stopped) })
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
	fresh := c.submit(wire.SubmitJobBG, "f", "", "fresh")
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
	urgent := c.submit(wire.SubmitJobBG, "g", "", "urgent")
	seen := st.copied()
	if got := c.line("cancel job " + urgent); got != "OK" {
		t.Errorf("cancel: %q", got)
	}
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

// An error of reading does not end it: it is logged and shown, and the store is
// read on from where it was, until all is there. What has ended meanwhile does
// not come back.
func TestReplayFails(t *testing.T) {
	t.Parallel()
	st := newSlow(1200, backlog(whole)...)
	var log logs
	s, addr := startLoading(t, server.Config{Store: st, StoreName: "fake", Logger: log.logger(0)})
	<-st.stopped
	c, w := dial(t, addr), worker(t, addr, "f")
	// The end of r0 is known to the server, and the store brings it once more.
	seen := st.copied()
	w.finish("H:test:1", "")
	eventually(t, "its end is stored", func() bool { return len(st.all()) == whole-1 })
	st.mu.Lock()
	st.records[1] = seen.records[1]
	st.mu.Unlock()
	st.goOn <- errors.New("page 7 is gone")
	log.wait(t, "level=ERROR", "cannot read the store to its end", "store=fake", "jobs=1200", "page 7 is gone")
	if got := c.stat(); !got.Loading || got.StoreError != "replay: page 7 is gone" || got.Jobs != 1199 {
		t.Errorf("got %+v", got)
	}
	fresh := c.submit(wire.SubmitJobBG, "f", "", "fresh")
	st.goOn <- errors.New("page 8 is gone")
	eventually(t, "it is tried again", func() bool { return strings.Contains(c.stat().StoreError, "page 8") })
	if log.has([]string{"msg=restored"}) {
		t.Error("a part is said to be all")
	}
	st.goOn <- nil
	if err := s.Restored(t.Context()); err != nil {
		t.Errorf("Restored: %v", err)
	}
	log.wait(t, "msg=restored", "jobs=1500")
	if got := c.stat(); got.Loading || got.StoreError != "" {
		t.Errorf("got %+v", got)
	}
	if got, want := w.order(), names(1, whole)+" fresh"; got != want {
		t.Errorf("%d bytes of names, want %d", len(got), len(want))
	}
	if j := c.job(fresh); j.State != wire.StateRunning {
		t.Errorf("got %+v", j)
	}
}

// So it is with what is kept beside the jobs, and with panics.
func TestExtrasFail(t *testing.T) {
	t.Parallel()
	st := &failingExtras{journal: newJournal(backlog(3)...)}
	st.extras["policy/66"] = []byte("3")
	st.extras["function/67"] = []byte(`{"paused":true}`)
	st.errs = []error{errAway, errAway, errors.New("panic"), errAway}
	s, addr := startLoading(t, server.Config{Store: st, KeepResults: time.Hour})
	if err := s.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := dial(t, addr)
	if got := c.line("policy function f"); got != "OK 3,1s..5m" {
		t.Errorf("policy: %q", got)
	}
	for _, f := range server.Snapshot(s) {
		if f.Paused != (f.Function == "g") {
			t.Errorf("got %+v", f)
		}
	}
	if got := worker(t, addr, "f").order(); got != names(0, 3) {
		t.Errorf("order %q", got)
	}
}

// failingExtras is a journal whose Extras fail behind the first entry, as often as
// there are errors.
type failingExtras struct {
	*journal
	errs []error
}

func (f *failingExtras) Extras(ctx context.Context, prefix string, do func(string, []byte) error) error {
	return f.journal.Extras(ctx, prefix, func(key string, value []byte) error {
		if len(f.errs) > 0 && key > "policy/" {
			err := f.errs[0]
			f.errs = f.errs[1:]
			if err.Error() == "panic" {
				panic("extras")
			}
			return err
		}
		return do(key, value)
	})
}

// withUniques gives each record a unique: u0 and so on.
func withUniques(records []*store.Record) []*store.Record {
	for i, r := range records {
		r.Unique = fmt.Sprint("u", i)
	}
	return records
}

// A submission whose unique may be that of a job that is not read yet waits, and
// joins it. It is answered as soon as that is known.
func TestUniquesWhileLoading(t *testing.T) {
	for _, typ := range []wire.Type{wire.SubmitJobBG, wire.SubmitJob} {
		records := withUniques(backlog(4 * chunk))
		records[1500].Unique = "-"
		st := newSlow(1200, records...)
		s, addr := startLoading(t, server.Config{Store: st})
		<-st.stopped
		known, early, late, unknown, payload, other := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
		if got := known.submit(typ, "f", "u7", ""); got != "H:test:8" {
			t.Errorf("a job that is read: got %s", got)
		}
		early.send(req(typ, "f", "u1300", ""), req(typ, "f", "", "behind"), req(wire.EchoReq, "behind"))
		late.send(req(typ, "f", "u3900", ""))
		unknown.send(req(typ, "f", "none", "first"))
		payload.send(req(typ, "f", "-", "r1500"))
		retries := []*peer{dial(t, addr), dial(t, addr), dial(t, addr)}
		for _, p := range retries {
			p.send(req(typ, "f", "none", "again"))
		}
		other.submit(typ, "f", "", "needs not wait")
		other.sync()
		if got := other.stat().Jobs; got != chunk+1 {
			t.Errorf("%d jobs, want %d", got, chunk+1)
		}
		st.goOn <- nil
		if got := early.want(`JOB_CREATED *`)[0]; got != "H:test:1301" {
			t.Errorf("got %s", got)
		}
		early.want(`JOB_CREATED *`)
		early.want(`ECHO_RES *`)
		if got := late.want(`JOB_CREATED *`)[0]; got != "H:test:3901" {
			t.Errorf("got %s", got)
		}
		if got := payload.want(`JOB_CREATED *`)[0]; got != "H:test:1501" {
			t.Errorf("unique -: got %s", got)
		}
		one := unknown.want(`JOB_CREATED *`)[0]
		for _, p := range retries {
			if got := p.want(`JOB_CREATED *`)[0]; got != one {
				t.Errorf("%s and %s have one unique", got, one)
			}
		}
		if err := s.Restored(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := other.stat().Jobs; got != 4*chunk+3 {
			t.Errorf("%d jobs, want %d", got, 4*chunk+3)
		}
	}
}

// A submission with the unique "-" joins a job with its payload, also one whose
// payload memory had no room for at the start.
func TestUniqueByPayloadOfSpilledJobs(t *testing.T) {
	records := backlog(2500)
	for _, r := range records {
		r.Unique, r.Payload = "-", append(r.Payload, strings.Repeat(".", 100)...)
	}
	st := newLibrary(records...)
	s, addr := startLoading(t, server.Config{Store: st, Memory: 20_000})
	c, w := dial(t, addr), worker(t, addr, "f")
	for i := range records {
		c.send(req(wire.SubmitJobBG, "f", "-", string(records[i].Payload)))
	}
	for i := range records {
		if got, want := c.want(`JOB_CREATED *`)[0], fmt.Sprint("H:test:", i+1); got != want {
			t.Fatalf("job %d: got %s, want %s", i, got, want)
		}
	}
	if err := s.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.stat(); got.Jobs != len(records) || got.Spilled < len(records)/2 {
		t.Errorf("got %+v", got)
	}
	if got := strings.Fields(w.order()); len(got) != len(records) {
		t.Errorf("%d jobs came out", len(got))
	}
}

// What is asked about a job that may not be read yet is answered when that is
// known, and never with a part of the truth.
func TestQuestionsWhileLoading(t *testing.T) {
	st := newSlow(1200, withUniques(backlog(4*chunk))...)
	s, addr := startLoading(t, server.Config{Store: st})
	<-st.stopped
	status := func(p *peer) string { return p.want(`STATUS_RES *`)[1] }
	c, w := dial(t, addr), worker(t, addr, "f")
	for h, want := range map[string]string{"H:test:7": "1", "nonsense": "0"} {
		c.send(req(wire.GetStatus, h))
		if got := status(c); got != want {
			t.Errorf("%s: known %s, want %s", h, got, want)
		}
	}
	// One that has ended in this run is known to be gone.
	w.finish("H:test:1", "")
	c.send(req(wire.GetStatus, "H:test:1"))
	if got := status(c); got != "0" {
		t.Errorf("an ended job: known %s", got)
	}

	there, gone, unique := dial(t, addr), dial(t, addr), dial(t, addr)
	there.send(req(wire.GetStatus, "H:test:3000"), req(wire.EchoReq, "behind"))
	gone.send(req(wire.GetStatus, "H:test:9000"))
	unique.send(req(wire.GetStatusUnique, "u2500"))
	lists := make(map[string]*peer)
	for _, cmd := range []string{"status", "prioritystatus", "show jobs", "show unique jobs", "jobs - - 0"} {
		lists[cmd] = dial(t, addr)
		lists[cmd].send([]byte(cmd + "\nversion\n"))
	}
	// Workers go on meanwhile.
	for range 10 {
		w.send(req(wire.WorkComplete, w.grab(), ""))
	}
	w.sync()
	st.goOn <- nil
	if got := status(there); got != "1" {
		t.Errorf("a job that is read later: known %s", got)
	}
	there.want(`ECHO_RES *`)
	if got := status(gone); got != "0" {
		t.Errorf("a job that is not there: known %s", got)
	}
	if got := unique.want(`STATUS_RES_UNIQUE *`)[1]; got != "1" {
		t.Errorf("a unique: known %s", got)
	}
	const left = 4*chunk - 11
	for cmd, p := range lists {
		n := 0
		for row := p.readLine(); row != "."; row = p.readLine() {
			switch cmd {
			case "status":
				if row != fmt.Sprintf("f\t%d\t0\t1", left) {
					t.Errorf("status: %q", row)
				}
			case "prioritystatus":
				if row != fmt.Sprintf("f\t0\t%d\t0\t1", left) {
					t.Errorf("prioritystatus: %q", row)
				}
			default:
				n++
			}
		}
		if n != left && !strings.HasSuffix(cmd, "status") {
			t.Errorf("%s: %d rows, want %d", cmd, n, left)
		}
		if got := p.readLine(); !strings.HasPrefix(got, "OK") {
			t.Errorf("behind %s: %q", cmd, got)
		}
	}
	if err := s.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// If nothing is read for a while, what waits for it is refused.
func TestWaitForTheStoreIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newSlow(1200, withUniques(backlog(whole))...)
		s, dial := startPiped(t, server.Config{Store: st, StoreTimeout: 3 * time.Second})
		<-st.stopped
		refused := `ERROR code="QUEUE_ERROR" text=*still being read*`
		began := time.Now()
		c, asks, lists := dial(), dial(), dial()
		c.send(req(wire.SubmitJobBG, "f", "u1300", ""))
		asks.send(req(wire.GetStatus, "H:test:1300"))
		lists.send([]byte("status\n"))
		c.want(refused)
		asks.want(refused)
		if got := lists.readLine(); !strings.HasPrefix(got, "ERR LOADING") {
			t.Errorf("status: %q", got)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("refused after %v", took)
		}
		c.send(req(wire.SubmitJobBG, "f", "u1300", ""))
		c.want(refused)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the next is refused after %v", took)
		}
		c.submit(wire.SubmitJobBG, "f", "", "needs not wait")
		st.goOn <- nil
		if err := s.Restored(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.submit(wire.SubmitJobBG, "f", "u1300", ""); got != "H:test:1301" {
			t.Errorf("got %s", got)
		}
	})
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
		st, err := disk.Open(t.Context(), disk.Config{Dir: t.TempDir(), Sync: store.SyncNever})
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
