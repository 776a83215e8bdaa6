package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// stat asks for the server's row of stats.
func (p *peer) stat() wire.ServerStats {
	p.t.Helper()
	var v wire.ServerStats
	if err := json.Unmarshal([]byte(p.list("stats")[0]), &v); err != nil {
		p.t.Fatal(err)
	}
	return v
}

func TestJobIsCreatedWhenItIsDurable(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st, StoreName: "fake"})
	w, c, other := worker(t, addr, "f", "g"), dial(t, addr), dial(t, addr)
	w.send(req(wire.PreSleep))
	w.sync()
	c.send(req(wire.SubmitJobBG, "f", "u", "one"))
	if n := <-st.entered; n != 1 {
		t.Fatalf("batch of %d, want 1", n)
	}

	// Nobody gets the job, nobody sees it, and everything else goes on.
	w.sync()
	if got := other.list("status"); len(got) != 2 || got[1] != "f\t0\t0\t1" {
		t.Errorf("status %q", got)
	}
	h := other.submit(wire.SubmitJob, "g", "", "fg")
	w.want(`NOOP`)
	if w.grab() != h {
		t.Fatal("another job came")
	}
	w.send(req(wire.WorkComplete, h, "x"), req(wire.GrabJob), req(wire.PreSleep))
	w.want(`NO_JOB`)
	other.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)

	// The next batch gathers meanwhile.
	for i := range 5 {
		other.send(req(wire.SubmitJobBG, "f", "", strconv.Itoa(i)))
	}
	eventually(t, "five more have come", func() bool { return w.stat().Jobs == 6 })
	st.gate <- nil
	c.want(`JOB_CREATED handle="H:test:*"`)
	w.want(`NOOP`)
	if n := <-st.entered; n != 5 {
		t.Errorf("batch of %d, want 5", n)
	}
	st.gate <- nil
	for range 5 {
		other.want(`JOB_CREATED handle="H:test:*"`)
	}
	if got := w.order(); got != "one 0 1 2 3 4" {
		t.Errorf("order %s", got)
	}
}

func TestRepliesKeepTheirOrderBehindTheStore(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st, Version: "1"})
	w, c := worker(t, addr, "g"), dial(t, addr)
	c.send(req(wire.SubmitJobBG, "f", "", "a"))
	<-st.entered
	big := strings.Repeat("b", 100<<10)
	c.send(
		req(wire.EchoReq, "1"),
		req(wire.SubmitJobBG, "f", "u", "b"),
		req(wire.EchoReq, big),
		req(wire.SubmitJob, "g", "", "c"),
		req(wire.GetStatus, "H:test:1"),
		[]byte("version\n"),
		req(wire.OptionReq, "nope"),
		req(wire.SubmitJob, "f", "u", "joins b"),
	)
	other := dial(t, addr)
	eventually(t, "all requests are read", func() bool { return coalesced(t, other) == 1 })
	w.send(req(wire.PreSleep))
	w.sync()
	st.gate <- nil
	<-st.entered
	c.want(`JOB_CREATED *`)
	c.want(`ECHO_RES data=1:"1"`)
	w.send(req(wire.GrabJob), req(wire.PreSleep))
	w.want(`NO_JOB`) // the foreground job does not overtake those before it
	st.gate <- nil
	w.want(`NOOP`)
	h := w.grab()
	w.send(req(wire.WorkComplete, h, big))
	w.sync()
	b := c.want(`JOB_CREATED *`)[0]
	if got := c.next(); got.Type != wire.EchoRes || string(got.Args[0]) != big {
		t.Errorf("got %v", got)
	}
	c.want(`JOB_CREATED handle="` + h + `"`)
	c.want(`STATUS_RES handle="H:test:1" known="0" *`)
	if got := c.readLine(); got != "OK 1" {
		t.Errorf("version: %q", got)
	}
	c.wantError(wire.CodeUnknownOption)
	c.want(`JOB_CREATED handle="` + b + `"`)
	if got := c.next(); got.Type != wire.WorkComplete || string(got.Args[1]) != big {
		t.Errorf("got %v", got)
	}
	c.sync()
}

func TestFailingStore(t *testing.T) {
	st := gated()
	var log logs
	_, addr := start(t, server.Config{Store: st, StoreName: "fake", Logger: log.logger(0)})
	w, a, b, late := worker(t, addr, "f"), dial(t, addr), dial(t, addr), dial(t, addr)
	w.send(req(wire.PreSleep))
	w.sync()
	refused := `ERROR code="QUEUE_ERROR" text=9:"disk full"`

	a.send(req(wire.SubmitJobBG, "f", "", "0"))
	<-st.entered
	// Into the next batch: a job, who joins it there, and a stranger.
	a.send(req(wire.SubmitJobBG, "f", "u", "1"), req(wire.SubmitJob, "f", "u", "1"))
	eventually(t, "a waits", func() bool { return waits(t, late) == 1 })
	b.send(req(wire.SubmitJob, "f", "u", "1"), req(wire.SubmitJobBG, "f", "", "2"))
	eventually(t, "they wait", func() bool { return waits(t, late) == 2 })
	st.gate <- nil
	a.want(`JOB_CREATED *`)
	w.want(`NOOP`)
	if n := <-st.entered; n != 2 {
		t.Fatalf("batch of %d, want 2", n)
	}
	// While that batch is under way somebody joins too.
	late.send(req(wire.SubmitJobBG, "f", "u", "1"), req(wire.EchoReq, "behind"))
	eventually(t, "it waits", func() bool { return coalesced(t, w) == 3 })
	st.gate <- errors.New("disk full")
	a.want(refused)
	a.want(refused)
	b.want(refused)
	b.want(refused)
	log.wait(t, "level=ERROR", "store fails", "store=fake", "disk full")
	// Its own batch has nothing to commit; the one before decides.
	late.want(refused)
	late.want(`ECHO_RES data=6:"behind"`)
	if got := w.order(); got != "0" {
		t.Errorf("handed out %q, want only what is durable", got)
	}
	// The unique is free again.
	late.send(req(wire.SubmitJobBG, "f", "u", "3"))
	<-st.entered
	st.gate <- nil
	late.want(`JOB_CREATED *`)
	log.wait(t, "level=INFO", "store works again")
	if got := st.payloads(t); got != "0 3" {
		t.Errorf("stored %q, want 0 3", got)
	}
	for _, p := range []*peer{a, b} {
		p.sync()
	}
}

// waits returns how many results all connections wait for.
func waits(t *testing.T, p *peer) (n int) {
	t.Helper()
	for _, row := range p.list("sessions") {
		n += fields[wire.Session](t, row).Waits
	}
	return n
}

func coalesced(t *testing.T, p *peer) (n int) {
	t.Helper()
	for _, row := range p.list("stats")[1:] {
		n += int(fields[wire.FunctionStats](t, row).Coalesced)
	}
	return n
}

func TestDonesOfAFailedBatchAreRetried(t *testing.T) {
	t.Parallel()
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	w, c := worker(t, addr, "f"), dial(t, addr)
	c.send(req(wire.SubmitJobBG, "f", "", "a"))
	<-st.entered
	st.gate <- nil
	h := c.want(`JOB_CREATED *`)[0]
	w.grab()
	w.send(req(wire.WorkComplete, h, ""))
	const failures = 4
	began := time.Now()
	for range failures {
		if n := <-st.entered; n != 1 {
			t.Fatalf("batch of %d, want the Done", n)
		}
		st.gate <- errors.New("away")
	}
	if took := time.Since(began); took < (failures-1)*50*time.Millisecond {
		t.Errorf("%d tries in %v: a busy loop", failures, took)
	}
	<-st.entered
	st.gate <- nil
	eventually(t, "the Done is in the store", func() bool { return st.payloads(t) == "" })
}

// A foreground job that a background submission joins goes on at once, but is
// kept from then on.
func TestPromotedJob(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	w, c, b, late := worker(t, addr, "f"), dial(t, addr), dial(t, addr), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "u", "x")
	b.send(req(wire.SubmitJobBG, "f", "u", "x"))
	<-st.entered
	// A foreground submission has nothing to wait for.
	if got := late.submit(wire.SubmitJob, "f", "u", "x"); got != h {
		t.Fatalf("got job %s, want %s", got, h)
	}
	if w.grab() != h {
		t.Fatal("another job came")
	}
	st.gate <- nil
	b.want(`JOB_CREATED handle="` + h + `"`)
	if got := st.payloads(t); got != "x" {
		t.Errorf("stored %q, want x", got)
	}
	w.send(req(wire.WorkComplete, h, "y"))
	c.want(`WORK_COMPLETE *`)
	late.want(`WORK_COMPLETE *`)
	<-st.entered
	st.gate <- nil
	eventually(t, "the Done is in the store", func() bool { return st.payloads(t) == "" })
}

func TestPromotionThatFails(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	w, c, b := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "u", "x")
	b.send(req(wire.SubmitJobBG, "f", "u", "x"))
	<-st.entered
	st.gate <- errors.New("away")
	b.wantError(wire.CodeQueueError)
	if j := b.job(h); j.Background {
		t.Errorf("still a background job: %+v", j)
	}
	w.grab()
	w.send(req(wire.WorkComplete, h, "y"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=1:"y"`)
	b.sync()
}

// A job that ends before its Add is durable is added and done, in this order.
func TestDoneNeverOvertakesAdd(t *testing.T) {
	for name, result := range map[string]error{"the batch is kept": nil, "the batch fails": errors.New("away")} {
		t.Run(name, func(t *testing.T) {
			st := gated()
			_, addr := start(t, server.Config{Store: st})
			w, c, b := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
			c.send(req(wire.SubmitJobBG, "g", "", "other"))
			<-st.entered
			h := b.submit(wire.SubmitJob, "f", "u", "x")
			b.send(req(wire.SubmitJobBG, "f", "u", "x"))
			w.grab()
			eventually(t, "it is joined", func() bool { return coalesced(t, w) == 1 })
			w.send(req(wire.WorkComplete, h, "y"))
			w.sync()
			st.gate <- nil
			c.want(`JOB_CREATED *`)
			if n := <-st.entered; n != 2 {
				t.Fatalf("batch of %d, want Add and Done", n)
			}
			st.gate <- result
			if result == nil {
				b.want(`JOB_CREATED handle="` + h + `"`)
			} else {
				b.wantError(wire.CodeQueueError)
				<-st.entered // the Done, again; of nothing
				st.gate <- nil
			}
			b.want(`WORK_COMPLETE handle="` + h + `" data=1:"y"`)
			st.mu.Lock()
			early := len(st.early)
			st.mu.Unlock()
			if result == nil && early > 0 {
				t.Error("Done before Add")
			}
		})
	}
}

func TestCancelWhileTheStoreIsBusy(t *testing.T) {
	st := gated()
	var log logs
	_, addr := start(t, server.Config{Store: st, Logger: log.logger(0)})
	w, c, admin := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	c.send(req(wire.SubmitJobBG, "f", "", "x"))
	<-st.entered
	rows := admin.list("show jobs")
	h, _, _ := strings.Cut(rows[0], "\t")
	admin.send([]byte("cancel job " + h + "\n"))
	log.wait(t, "changed", "cancel job")
	st.gate <- nil
	c.want(`JOB_CREATED handle="` + h + `"`)
	<-st.entered
	st.gate <- nil
	if got := admin.readLine(); got != "OK" {
		t.Errorf("cancel: %q", got)
	}
	if got := w.order(); got != "" {
		t.Errorf("handed out %q", got)
	}
	eventually(t, "it is gone from the store", func() bool { return st.payloads(t) == "" })
}

// A connection that waits for the store is not read on for ever.
func TestManySubmissionsWaitForTheStore(t *testing.T) {
	const n = 30000
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	c, other := dial(t, addr), dial(t, addr)
	var wg sync.WaitGroup
	wg.Go(func() {
		one := req(wire.SubmitJobBG, "f", "", strings.Repeat("x", 100))
		if _, err := c.Write(bytes.Repeat(one, n)); err != nil {
			t.Errorf("write: %v", err)
		}
	})
	<-st.entered
	eventually(t, "thousands wait", func() bool { return other.stat().Jobs >= 4096 })
	for range 100 {
		if got := other.stat().Jobs; got > 6000 {
			t.Fatalf("%d submissions wait for the store", got)
		}
	}
	st.open()
	for range n {
		c.want(`JOB_CREATED *`)
	}
	wg.Wait()
	c.sync()
}

// A result that comes while its client waits for the store is kept behind the
// answer, up to a mark; then its worker waits too.
func TestResultsBehindTheStoreAreBounded(t *testing.T) {
	t.Parallel()
	st := gated()
	_, addr := start(t, server.Config{Store: st, MaxPayload: 1 << 20, MaxOutbox: 4 << 20})
	w, c, admin := worker(t, addr, "g"), dial(t, addr), dial(t, addr)
	h := c.submit(wire.SubmitJob, "g", "", "")
	w.grab()
	c.send(req(wire.SubmitJobBG, "f", "", ""))
	<-st.entered
	const pieces = 40
	piece := strings.Repeat("d", 1<<20)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range pieces {
			w.Write(req(wire.WorkData, h, piece))
		}
		w.Write(req(wire.WorkComplete, h, ""))
	})
	owed := func() (most int) {
		for _, row := range admin.list("sessions") {
			var one wire.Session
			if err := json.Unmarshal([]byte(row), &one); err != nil {
				t.Fatal(err)
			}
			most = max(most, one.OwedBytes)
		}
		return most
	}
	eventually(t, "much is kept for the client", func() bool { return owed() > 2<<20 })
	for range 100 {
		if n := owed(); n > 4<<20 {
			t.Fatalf("%d bytes wait behind the store", n)
		}
	}
	st.open()
	c.want(`JOB_CREATED *`)
	for range pieces {
		if p := c.next(); p.Type != wire.WorkData || len(p.Args[1]) != len(piece) {
			t.Fatalf("got %v", p)
		}
	}
	c.want(`WORK_COMPLETE *`)
	wg.Wait()
}

// A worker that vanishes loses its jobs at once, even if it waits for the
// store itself.
func TestWorkerVanishesWhileTheStoreIsBusy(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	w, next, c := worker(t, addr, "f"), worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	next.send(req(wire.PreSleep))
	next.sync()
	w.send(req(wire.SubmitJobBG, "g", "", ""))
	<-st.entered
	w.Conn.(*net.TCPConn).SetLinger(0) //nolint:errcheck // a reset, as of a machine that died
	w.Close()
	next.want(`NOOP`)
	if next.grab() != h {
		t.Error("another job came")
	}
}

func TestRestart(t *testing.T) {
	st := newJournal()
	s, addr := start(t, server.Config{Store: st, StoreName: "fake"})
	c, w := dial(t, addr), worker(t, addr, "f")
	c.submit(wire.SubmitJobBG, "f", "", "n1")
	c.submit(wire.SubmitJobLowBG, "f", "ul", "l1")
	ran := c.submit(wire.SubmitJobHighBG, "f", "", "ran")
	w.grab()
	w.send(req(wire.WorkComplete, ran, ""))
	runs := c.submit(wire.SubmitJobHighBG, "f", "", "runs")
	w.grab()
	c.submit(wire.SubmitJob, "f", "", "foreground")
	c.submit(wire.SubmitJobBG, "f", "", "n2")
	c.submit(wire.SubmitJobHighBG, "f", "uh", "h1")
	reduce := c.submit(wire.SubmitReduceJobBG, "r", "", "sum", "", "red")
	at := time.Now().Unix() + 1000
	later := c.submit(wire.SubmitJobEpoch, "f", "ue", strconv.FormatInt(at, 10), "later")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !st.closed {
		t.Error("the store is open")
	}

	var log logs
	_, addr = start(t, server.Config{Store: st, StoreName: "fake", Logger: log.logger(0)})
	log.wait(t, "msg=restored", "store=fake", "jobs=7")
	c, w = dial(t, addr), worker(t, addr, "f")
	if j := c.job(later); j.State != wire.StateDelayed || j.RunAtMS != at*1000 || j.Unique != "ue" {
		t.Errorf("delayed job: %+v", j)
	}
	if j := c.job(reduce); j.Reducer != "sum" || !j.Background {
		t.Errorf("reduce job: %+v", j)
	}
	if got := c.submit(wire.SubmitJobEpoch, "f", "ue", "0", "x"); got != later {
		t.Errorf("unique ue: got job %s, want %s", got, later)
	}
	if got := c.submit(wire.SubmitJobBG, "f", "", "new"); got <= later {
		t.Errorf("new job %s after %s", got, later)
	}
	if got := w.grab(); got != runs {
		t.Errorf("got job %s, want %s that ran when the server ended", got, runs)
	}
	if got, want := w.order(), "h1 n1 n2 new l1"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

// TestRestartKeepsAttempts: it is lost for the last time, and in the dead list.
func TestRestartKeepsAttempts(t *testing.T) {
	st := newJournal(&store.Record{Seq: 7, Function: "f", Payload: []byte("x"), Attempts: 2, Accepted: 1000})
	_, addr := start(t, server.Config{Store: st, JobRetries: ptr(2)})
	c := dial(t, addr)
	if j := c.job("H:test:7"); j.Attempts != 2 || j.AgeMS < 1000 {
		t.Errorf("got %+v", j)
	}
	w := worker(t, addr, "f")
	w.grab()
	w.Close()
	eventually(t, "its retries are used up, and the store knows", func() bool { return st.payloads(t) == "" })
}

func TestReplayLeavesOut(t *testing.T) {
	bad := newJournal(&store.Record{Seq: 1, Function: "f", Priority: 9}, &store.Record{Seq: 2, Function: "f"})
	var log logs
	s, _ := start(t, server.Config{Store: bad, StoreName: "fake", Logger: log.logger(0)})
	log.wait(t, "left out", "restore job 1")
	if got := server.Snapshot(s)[0].High; got != 1 {
		t.Errorf("%d jobs wait, want the other one", got)
	}
}

func TestCloseCommitsWhatGathered(t *testing.T) {
	for name, result := range map[string]error{"kept": nil, "failed": errors.New("disk full")} {
		t.Run(name, func(t *testing.T) {
			st := gated()
			s, addr := start(t, server.Config{Store: st})
			a, b := dial(t, addr), dial(t, addr)
			a.send(req(wire.SubmitJobBG, "f", "", "a"))
			<-st.entered
			b.send(req(wire.SubmitJobBG, "f", "", "b"))
			admin := dial(t, addr)
			eventually(t, "both are there", func() bool { return admin.stat().Jobs == 2 })
			closed := make(chan error, 1)
			go func() { closed <- s.Close() }()
			st.gate <- result
			<-st.entered
			st.gate <- result
			for _, p := range []*peer{a, b} {
				if result == nil {
					p.want(`JOB_CREATED *`)
				} else {
					p.wantError(wire.CodeQueueError)
				}
				p.wantEnd()
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
			if got, want := st.payloads(t), "a b"; result == nil && got != want {
				t.Errorf("stored %q, want %q", got, want)
			}
		})
	}
}
