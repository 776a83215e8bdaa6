package server_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// result asks for a job's result, which it has to have.
func (p *peer) result(handle string) (wire.Outcome, string) {
	p.t.Helper()
	one := fields[wire.Outcome](p.t.(*testing.T), p.line("result "+handle))
	data := make([]byte, one.Size)
	if _, err := io.ReadFull(p.r, data); err != nil {
		p.t.Fatal(err)
	}
	if got := p.readLine(); got != "." {
		p.t.Fatalf("behind the result: %q", got)
	}
	return one, string(data)
}

// does submits a background job and has it done with a result.
func does(c, w *peer, unique string, packets ...string) string {
	c.t.Helper()
	h := c.submit(wire.SubmitJobBG, "f", unique, "")
	w.finish(h, packets...)
	return h
}

// finish grabs a job and sends its result, all but the last as WORK_DATA.
func (p *peer) finish(h string, packets ...string) {
	p.t.Helper()
	if got := p.grab(); got != h {
		p.t.Fatalf("got job %s, want %s", got, h)
	}
	last := len(packets) - 1
	for _, data := range packets[:last] {
		p.send(req(wire.WorkData, h, data))
	}
	p.send(req(wire.WorkComplete, h, packets[last]))
	p.sync()
}

func TestResult(t *testing.T) {
	for _, cfg := range []server.Config{{}, {Store: newJournal()}} {
		cfg.KeepResults = time.Hour
		_, addr := start(t, cfg)
		w, c := worker(t, addr, "f"), dial(t, addr)
		for _, test := range []struct {
			packets []string
			want    string
		}{
			{[]string{""}, ""},
			{[]string{"whole"}, "whole"},
			{[]string{"a\x00", "b\n.\n", "", "c"}, "a\x00b\n.\nc"},
			{[]string{strings.Repeat("x", 100<<10), ""}, strings.Repeat("x", 100<<10)},
		} {
			h := does(c, w, "", test.packets...)
			one, data := c.result(h)
			if data != test.want || !one.Kept || one.State != wire.OutcomeCompleted || one.EndedMS == 0 || one.Function != "f" {
				t.Errorf("%.20q: got %.20q, %+v", test.packets, data, one)
			}
		}
		h := c.submit(wire.SubmitJobBG, "f", "", "")
		if got := c.line("result " + h); got != "ERR UNKNOWN_JOB" {
			t.Errorf("of a job that waits: %q", got)
		}
		w.fails(h, req(wire.WorkData, h, "half"), exception(h, "boom"))
		if one, data := c.result(h); data != "boom" || one.State != wire.OutcomeDead || one.Error != "boom" || one.Attempts != 1 {
			t.Errorf("of a dead job: %q, %+v", data, one)
		}
		// Nobody asked for the results of foreground jobs to be kept.
		h = c.submit(wire.SubmitJob, "f", "", "")
		w.finish(h, "a", "b")
		c.want(`WORK_DATA *`)
		c.want(`WORK_COMPLETE *`)
		if got := c.line("result " + h); got != "ERR UNKNOWN_JOB" {
			t.Errorf("of a foreground job: %q", got)
		}
	}
}

// What a worker had sent when it was lost, or failed, is no part of the
// result.
func TestResultOfTheLastAttempt(t *testing.T) {
	_, addr := start(t, server.Config{KeepResults: time.Hour, Policies: map[string]server.Policy{"f": {Retries: 5}}})
	c := dial(t, addr)
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	w := worker(t, addr, "f")
	w.fails(h, req(wire.WorkData, h, "failed "), failure(h))
	w.fails(h, req(wire.WorkData, h, "lost "))
	w.Close()
	eventually(t, "it waits again", func() bool { return c.job(h).State == wire.StateWaiting })
	worker(t, addr, "f").finish(h, "at ", "last")
	if one, data := c.result(h); data != "at last" || one.Attempts != 2 {
		t.Errorf("got %q, %+v", data, one)
	}
}

func TestResultsAreBounded(t *testing.T) {
	st := newJournal()
	_, addr := start(t, server.Config{Store: st, KeepResults: time.Hour, ResultsMemory: 4000})
	w, c := worker(t, addr, "f"), dial(t, addr)
	small := does(c, w, "", "small")
	for name, packets := range map[string][]string{
		"in one":            {strings.Repeat("x", 2001)},
		"in parts":          {strings.Repeat("x", 1000), strings.Repeat("x", 1001), ""},
		"a small part last": {strings.Repeat("x", 1500), strings.Repeat("x", 1000), "y", "z"},
		"in the last":       {strings.Repeat("x", 1500), strings.Repeat("x", 600)},
	} {
		h, size := does(c, w, "", packets...), len(strings.Join(packets, ""))
		one := fields[wire.Outcome](t, c.list("wait " + h)[0])
		if one.Kept || one.Size != size || one.State != wire.OutcomeCompleted {
			t.Errorf("%s: %+v, want size %d and nothing kept", name, one, size)
		}
		if one, data := c.result(h); data != "" || one.Kept {
			t.Errorf("%s: result %q, %+v", name, data, one)
		}
	}
	if _, data := c.result(small); data != "small" {
		t.Errorf("what fits: %q", data)
	}
	// The oldest make room for the younger, and for what running jobs send.
	a := does(c, w, "", strings.Repeat("a", 1500))
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	w.send(req(wire.WorkData, h, strings.Repeat("b", 1900)))
	w.sync()
	if got := c.line("result " + small); got != "ERR UNKNOWN_JOB" {
		t.Errorf("the oldest: %q", got)
	}
	if _, data := c.result(a); len(data) != 1500 {
		t.Errorf("%d bytes of the result before", len(data))
	}
	other := worker(t, addr, "f")
	h2 := c.submit(wire.SubmitJobBG, "f", "", "")
	other.grab()
	other.send(req(wire.WorkData, h2, strings.Repeat("c", 1600)))
	other.sync()
	if got := c.line("result " + a); got != "ERR UNKNOWN_JOB" {
		t.Errorf("the oldest: %q", got)
	}
	w.send(req(wire.WorkComplete, h, ""))
	w.sync()
	if _, data := c.result(h); data != strings.Repeat("b", 1900) {
		t.Errorf("%d bytes of the running job's", len(data))
	}
	eventually(t, "the store forgets as well", func() bool { return st.keys() == "result" })
}

func TestResultsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newJournal()
		cfg := server.Config{Store: st, KeepResults: time.Hour, DeadMax: ptr(10)}
		s, dial := startPiped(t, cfg)
		w, c := dial(), dial()
		w.send(req(wire.CanDo, "f"))
		h := dies(c, w, "", "x")
		time.Sleep(40 * time.Minute)
		// The same job ends once more.
		if got := c.line("retry job " + h); got != "OK" {
			t.Fatal(got)
		}
		if got := c.line("result " + h); got != "ERR UNKNOWN_JOB" {
			t.Errorf("of a job that is retried: %q", got)
		}
		w.finish(h, "good")
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		if one, data := c.result(h); data != "good" || one.State != wire.OutcomeCompleted {
			t.Errorf("got %q, %+v", data, one)
		}
		if got := st.keys(); got != "result" {
			t.Errorf("stored %q", got)
		}
		s.Close()
		s, dial = startPiped(t, cfg)
		if err := s.Restored(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = dial()
		if one, data := c.result(h); data != "good" || one.State != wire.OutcomeCompleted || !one.Kept {
			t.Errorf("after a restart: %q, %+v", data, one)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got := c.line("result " + h); got != "ERR UNKNOWN_JOB" || st.keys() != "" {
			t.Errorf("after an hour: %q, stored %q", got, st.keys())
		}
		s.Close()
	})
}

// A server that is to keep less than the last one forgets the rest.
func TestResultsOfAServerThatKeptMore(t *testing.T) {
	st := newJournal()
	s, addr := start(t, server.Config{Store: st, KeepResults: time.Hour})
	w, c := worker(t, addr, "f"), dial(t, addr)
	old := does(c, w, "", strings.Repeat("x", 900))
	began := time.Now().UnixMilli()
	eventually(t, "the clock goes on", func() bool { return time.Now().UnixMilli() > began })
	young := does(c, w, "", strings.Repeat("y", 900))
	s.Close()
	for _, step := range []struct {
		cfg  server.Config
		keys string
	}{{server.Config{KeepResults: time.Hour, ResultsMemory: 2000}, "result"}, {server.Config{}, ""}} {
		step.cfg.Store = st
		s, addr := start(t, step.cfg)
		c := dial(t, addr)
		if got := c.line("result " + old); got != "ERR UNKNOWN_JOB" {
			t.Errorf("the older one: %q", got)
		}
		if step.keys != "" {
			if _, data := c.result(young); len(data) != 900 {
				t.Errorf("the younger one: %q", data)
			}
		}
		eventually(t, "the store forgets", func() bool { return st.keys() == step.keys })
		s.Close()
	}
}

func TestWait(t *testing.T) {
	for name, cfg := range map[string]server.Config{
		"memory": {}, "keeps results": {KeepResults: time.Hour}, "store": {Store: newJournal(), KeepResults: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.DeadMax = ptr(10)
			_, addr := start(t, cfg)
			w, c, fg, admin := worker(t, addr, "f"), dial(t, addr), dial(t, addr), dial(t, addr)
			dead := dies(c, w, "", "")
			runs := c.submit(wire.SubmitJobBG, "f", "", "runs")
			w.grab()
			waits := c.submit(wire.SubmitJobBG, "f", "", "waits")
			later := c.submit(wire.SubmitJobEpoch, "f", "", "9999999999", "later")
			foreground := fg.submit(wire.SubmitJob, "f", "", "fg")
			abandoned := fg.submit(wire.SubmitJob, "g", "", "left alone")

			a, gone := dial(t, addr), dial(t, addr)
			gone.send([]byte("wait " + runs + " " + waits + "\n"))
			a.send([]byte(strings.Join([]string{"wait", runs, "nonsense", waits, dead, later, foreground, abandoned, runs}, " ") + "\n"))
			tell := func(handle string, state wire.OutcomeState, text string) {
				t.Helper()
				row := fields[wire.Outcome](t, a.readLine())
				if row.Handle != handle || row.State != state || row.Error != text {
					t.Errorf("got %+v, want %s %s %q", row, handle, state, text)
				}
			}
			tell("nonsense", wire.OutcomeUnknown, "")
			tell(dead, wire.OutcomeDead, "broken")
			gone.Close()
			eventually(t, "it is gone", func() bool { return len(admin.list("sessions")) == 5 })

			w.send(req(wire.WorkData, runs, "x"), req(wire.WorkComplete, runs, "y"))
			tell(runs, wire.OutcomeCompleted, "")
			tell(runs, wire.OutcomeCompleted, "")
			if got := admin.line("cancel job " + later); got != "OK" {
				t.Error(got)
			}
			tell(later, wire.OutcomeCancelled, "")
			if w.grab() != waits {
				t.Error("another job came")
			}
			w.send(failure(waits))
			tell(waits, wire.OutcomeDead, "failed")
			if w.grab() != foreground {
				t.Error("another job came")
			}
			w.send(exception(foreground, "boom"))
			tell(foreground, wire.OutcomeException, "boom")
			fg.Close()
			tell(abandoned, wire.OutcomeCancelled, "")
			if got := a.readLine(); got != "." {
				t.Errorf("at the end: %q", got)
			}
			a.line("version") // and it may go on
		})
	}
}

// One wait at a time; it is told of an end that is stored.
func TestWaitForTheStore(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	w, c, a := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	c.send(req(wire.SubmitJobBG, "f", "", "x"))
	<-st.entered
	h := fields[wire.Job](t, a.list("jobs")[0]).Handle
	a.send([]byte("wait " + h + "\nwait " + h + "\n"))
	if got := a.readLine(); got != "ERR BUSY the last wait has not ended" {
		t.Errorf("the second wait: %q", got)
	}
	st.gate <- errAway
	c.wantError(wire.CodeQueueError)
	if got := fields[wire.Outcome](t, a.readLine()); got.Handle != h || got.State != wire.OutcomeUnknown {
		t.Errorf("a job that did not get into the store: %+v", got)
	}
	a.readLine()

	c.send(req(wire.SubmitJobBG, "f", "", "x"))
	<-st.entered
	st.gate <- nil
	h = c.want(`JOB_CREATED *`)[0]
	w.grab()
	a.send([]byte("wait " + h + "\n"))
	a.sync()
	w.send(req(wire.WorkComplete, h, ""))
	<-st.entered
	found := make(chan string, 1)
	go func() {
		row := a.readLine()
		found <- st.copied().payloads(t) + row
	}()
	w.sync()
	st.gate <- nil
	if got := <-found; !strings.HasPrefix(got, "{") {
		t.Errorf("told before the end is stored: %q", got)
	}
}
