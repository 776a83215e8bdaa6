package server_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// failer takes a job and says how it fails.
func (p *peer) fails(handle string, how ...[]byte) {
	p.t.Helper()
	if got := p.grab(); got != handle {
		p.t.Fatalf("got job %s, want %s", got, handle)
	}
	p.send(how...)
	p.sync()
}

func exception(handle, text string) []byte { return req(wire.WorkException, handle, text) }
func failure(handle string) []byte         { return req(wire.WorkFail, handle) }

// A job that fails is tried again after a wait that doubles, and those who
// wait for it hear of it once, at its end.
func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dial := startPiped(t, server.Config{Policies: map[string]server.Policy{"f": {Retries: 2, MinWait: time.Second, MaxWait: 1500 * time.Millisecond}}})
		w, c, plain := dial(), dial(), dial()
		c.send(req(wire.OptionReq, "exceptions"))
		c.want(`OPTION_RES *`)
		h := c.submit(wire.SubmitJob, "f", "u", "x")
		plain.submit(wire.SubmitJob, "f", "u", "x")
		w.send(req(wire.CanDo, "f"))
		for _, longest := range []time.Duration{time.Second, 1500 * time.Millisecond} {
			w.fails(h, exception(h, "boom"), failure(h))
			c.sync()
			plain.sync()
			began := time.Now()
			w.send(req(wire.GrabJob), req(wire.PreSleep))
			w.want(`NO_JOB`)
			w.want(`NOOP`)
			if took := time.Since(began); took < longest/2 || took > longest {
				t.Errorf("it came back after %v, want half to all of %v", took, longest)
			}
		}
		w.fails(h, exception(h, "boom"), failure(h))
		c.want(`WORK_EXCEPTION handle="` + h + `" data=4:"boom"`)
		plain.want(`WORK_FAIL handle="` + h + `"`)
		for _, p := range []*peer{w, c, plain} {
			p.sync()
		}
		if f := server.Snapshot(s)[0]; f.Retried != 2 || f.Failed != 1 || f.Policy != "2,1s..1.5s" {
			t.Errorf("got %+v", f)
		}
	})
}

// An exception is followed by a WORK_FAIL of the same worker, or not; then the
// worker may get the same job again.
func TestSameJobAgainAfterAnException(t *testing.T) {
	_, addr := start(t, server.Config{Policies: map[string]server.Policy{"f": {Retries: -1}}})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.fails(h, exception(h, "first"))
	w.fails(h, exception(h, "second"), failure(h))
	w.fails(h, req(wire.WorkComplete, h, "done"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=4:"done"`)
}

func TestPolicyCommand(t *testing.T) {
	st := newJournal()
	s, addr := start(t, server.Config{Store: st, Policies: map[string]server.Policy{"configured": {Retries: 1}, "both": {Retries: 1}}})
	c := dial(t, addr)
	for _, step := range []struct{ cmd, want string }{
		{"policy function f", "ERR function not found"},
		{"policy function configured", "OK 1"},
		{"policy function f 3", "OK"},
		{"policy function f", "OK 3,1s..5m"},
		{"policy function f 7,250ms..1h30m", "OK"},
		{"policy function f", "OK 7,250ms..1h30m"},
		{"policy function f 0,2s", "OK"},
		{"policy function f", "OK 0,2s..2s"},
		{"policy function f x", `ERR policy "x": no number of retries; it is RETRIES or RETRIES,MIN..MAX, as in 3,1s..5m`},
		{"policy function f 1,5m..1s", `ERR policy "1,5m..1s": no range of waits; it is RETRIES or RETRIES,MIN..MAX, as in 3,1s..5m`},
		{"policy function f -2", `ERR policy "-2": no number of retries; it is RETRIES or RETRIES,MIN..MAX, as in 3,1s..5m`},
		{"policy function none -", "OK"},
		{"policy function none", "OK -"},
		{"policy function both -", "OK"},
		{"policy function", "ERR Incomplete+arguments+for+policy"},
	} {
		if got := c.line(step.cmd); got != step.want && !strings.HasPrefix(got, "ERR") || strings.HasPrefix(got, "ERR") != strings.HasPrefix(step.want, "ERR") {
			t.Errorf("%s: got %q, want %q", step.cmd, got, step.want)
		} else if strings.HasPrefix(step.want, "ERR policy") && got != step.want {
			t.Errorf("%s: got %q, want %q", step.cmd, got, step.want)
		}
	}
	s.Close()
	st.extras["policy/zz"], st.extras["policy/66aa"], st.extras["what/is/this"] = []byte("1"), []byte("?"), nil

	var log logs
	s, addr = start(t, server.Config{
		Store: st, Policies: map[string]server.Policy{"both": {Retries: 1}, "f": {Retries: 1}}, Logger: log.logger(0),
	})
	if err := s.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	c = dial(t, addr)
	for cmd, want := range map[string]string{
		"policy function f": "OK 0,2s..2s", "policy function both": "OK -", "policy function none": "OK -",
	} {
		if got := c.line(cmd); got != want {
			t.Errorf("%s after a restart: got %q, want %q", cmd, got, want)
		}
	}
	log.wait(t, "left out", "policy/zz")
	log.wait(t, "left out", `policy \"?\"`)
	log.wait(t, "left out", "what/is/this")
}

// The wait and the attempts of a job that failed survive a restart, and a job
// without attempts left becomes a dead one.
func TestAttemptsAreStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newJournal()
		cfg := server.Config{Store: st, Policies: map[string]server.Policy{"f": {Retries: 2, MinWait: time.Hour, MaxWait: time.Hour}}}
		s, dial := startPiped(t, cfg)
		if err := s.Restored(t.Context()); err != nil { // before that, no worker gets the job
			t.Fatal(err)
		}
		w, c := dial(), dial()
		h := c.submit(wire.SubmitJobBG, "f", "u", "x")
		w.send(req(wire.CanDo, "f"))
		w.fails(h, failure(h))
		s.Close()
		r := st.all()[0]
		if wait := r.RunAt - time.Now().UnixMilli(); tried(r) != "1 failures, 0 losses" || wait < 1_800_000 || wait > 3_600_000 {
			t.Errorf("stored %+v, to run in %d ms", r, wait)
		}

		s, dial = startPiped(t, cfg)
		w, c = dial(), dial()
		if err := s.Restored(t.Context()); err != nil {
			t.Fatal(err)
		}
		if j := c.job(h); j.State != wire.StateDelayed || j.Attempts != 1 || j.RunAtMS != r.RunAt {
			t.Errorf("after a restart: %+v", j)
		}
		w.send(req(wire.CanDo, "f"), req(wire.PreSleep))
		for range 2 {
			w.want(`NOOP`)
			w.fails(h, exception(h, "no luck"))
			w.send(req(wire.PreSleep))
			if c.job(h).State == wire.StateDead {
				break
			}
		}
		if j := c.job(h); j.State != wire.StateDead || j.Attempts != 3 || j.Error != "no luck" || j.Reason != "failed" {
			t.Errorf("at the end: %+v", j)
		}
		synctest.Wait()
		if st.payloads(t) != "" || st.keys() != "dead" {
			t.Errorf("stored %q and %q", st.payloads(t), st.keys())
		}
	})
}

// A job that kills each worker that takes it ends in the dead list, and the
// others flow.
func TestPoison(t *testing.T) {
	st := newJournal()
	_, addr := start(t, server.Config{Store: st, JobRetries: ptr(4)})
	c := dial(t, addr)
	poison := c.submit(wire.SubmitJobBG, "f", "", "poison")
	for range 20 {
		c.submit(wire.SubmitJobBG, "f", "", "good")
	}
	killed, done := 0, 0
	for done < 20 || c.job(poison).State != wire.StateDead {
		w := worker(t, addr, "f")
		for range 3 {
			w.send(req(wire.GrabJob))
			one := w.next()
			if one.Type == wire.NoJob {
				break
			}
			if string(one.Last()) == "poison" {
				killed++
				w.Close()
				eventually(t, "the loss is noticed", func() bool { return c.job(poison).State != wire.StateRunning })
				break
			}
			w.send(req(wire.WorkComplete, string(one.Args[0]), ""))
			done++
		}
	}
	if killed != 4 {
		t.Errorf("%d workers died, want 4", killed)
	}
	j := c.job(poison)
	if j.Attempts != 4 || j.Reason != "retries exhausted" || j.Error != "worker lost" {
		t.Errorf("got %+v", j)
	}
	eventually(t, "it is dead in the store", func() bool { return st.keys() == "dead" && st.payloads(t) == "" })
}

// A server that can't store for long keeps no more than it has to.
func TestUpdatesForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	st := newJournal(&store.Record{Seq: 7, Function: "f", Payload: []byte("x")})
	st.entered, st.gate, st.opened = make(chan int), make(chan error), make(chan struct{})
	_, addr := start(t, server.Config{Store: st, Policies: map[string]server.Policy{"f": {Retries: -1}}})
	w := worker(t, addr, "f")
	var one []byte
	for range 1000 {
		one = append(append(one, req(wire.GrabJob)...), failure("H:test:7")...)
	}
	fail := func() {
		w.send(one)
		for range 1000 {
			w.want(`JOB_ASSIGN *`)
		}
	}
	for range 10 {
		fail()
	}
	most := 0
	for range 4 {
		most = max(most, <-st.entered)
		st.gate <- errAway
	}
	if n := <-st.entered; n > 1 {
		t.Errorf("%d operations for one job, after batches of %d", n, most)
	}
	st.gate <- nil
	eventually(t, "the last word is stored", func() bool { return tried(st.all()[0]) == "10000 failures, 0 losses" })
}

func tried(r *store.Record) string {
	failures, losses := r.Tried()
	return fmt.Sprintf("%d failures, %d losses", failures, losses)
}

// Failures and lost workers are counted apart, each against its own limit, and
// over a restart.
func TestFailuresAndLossesAreCountedApart(t *testing.T) {
	st := newJournal()
	cfg := server.Config{Store: st, JobRetries: ptr(3), Policies: map[string]server.Policy{"f": {Retries: -1}}}
	s, addr := start(t, cfg)
	c := dial(t, addr)
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	w := worker(t, addr, "f")
	for range 11 {
		w.grab()
		w.send(failure(h))
	}
	w.sync()
	lose := func(addr string) {
		t.Helper()
		w := worker(t, addr, "f")
		w.grab()
		w.Close()
		c := dial(t, addr)
		eventually(t, "the loss is noticed", func() bool { return c.job(h).State != wire.StateRunning })
	}
	lose(addr)
	if j := c.job(h); j.State != wire.StateWaiting || j.Attempts != 12 {
		t.Errorf("after 11 failures and a lost worker: %+v", j)
	}
	s.Close()
	if got := tried(st.all()[0]); got != "11 failures, 1 losses" {
		t.Errorf("the store has %s", got)
	}
	_, addr = start(t, cfg)
	c = dial(t, addr)
	lose(addr)
	if j := c.job(h); j.State != wire.StateWaiting || j.Attempts != 13 {
		t.Errorf("after another lost worker: %+v", j)
	}
	lose(addr)
	if j := c.job(h); j.State != wire.StateDead || j.Attempts != 14 || j.Reason != "retries exhausted" {
		t.Errorf("after three lost workers: %+v", j)
	}
}

// With Exceptions a client gets them that has never asked for them.
func TestExceptionsForAllClients(t *testing.T) {
	for _, all := range []bool{false, true} {
		_, addr := start(t, server.Config{Exceptions: all})
		w, c := worker(t, addr, "f"), dial(t, addr)
		h := c.submit(wire.SubmitJob, "f", "", "")
		w.fails(h, exception(h, "boom"), failure(h))
		if all {
			c.want(`WORK_EXCEPTION handle="` + h + `" data=4:"boom"`)
		} else {
			c.want(`WORK_FAIL handle="` + h + `"`)
		}
		c.sync()
		w.sync()
	}
}
