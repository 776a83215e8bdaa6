package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/store/disk"
	"gm/pkg/wire"
)

var errAway = errors.New("away")

// dies submits a background job, has it fail, and returns its handle.
func dies(c, w *peer, unique, payload string, how ...string) string {
	h := c.submit(wire.SubmitJobBG, "f", unique, payload)
	text := "broken"
	if len(how) > 0 {
		text = how[0]
	}
	w.fails(h, exception(h, text))
	return h
}

// dead returns the dead jobs in the answer to jobs.
func (p *peer) dead() string {
	p.t.Helper()
	var all []string
	for _, row := range p.list("jobs f dead") {
		j := fields[wire.Job](p.t.(*testing.T), row)
		all = append(all, fmt.Sprintf("%s %q %d", j.Handle[len("H:test:"):], j.Error, j.Size))
	}
	return strings.Join(all, "; ")
}

func (p *peer) numDead() int { return len(p.list("jobs f dead")) }

func TestDeadList(t *testing.T) {
	for _, cfg := range []server.Config{{}, {Store: newJournal()}} {
		_, addr := start(t, cfg)
		w, c := worker(t, addr, "f"), dial(t, addr)
		for _, test := range []struct {
			name string
			how  func(h string) [][]byte
			want string
		}{
			{"no word", func(h string) [][]byte { return [][]byte{failure(h)} }, "failed"},
			{"a warning before", func(h string) [][]byte {
				return [][]byte{req(wire.WorkWarning, h, "one"), req(wire.WorkWarning, h, "disk on fire\xff"), failure(h)}
			}, "disk on fire?"},
			{"an exception", func(h string) [][]byte { return [][]byte{exception(h, "stack"), failure(h)} }, "stack"},
		} {
			before := time.Now().UnixMilli()
			h := c.submit(wire.SubmitJobHighBG, "f", test.name, "load")
			w.fails(h, test.how(h)...)
			j := c.job(h)
			if j.State != wire.StateDead || j.Error != test.want || j.Reason != "failed" || j.Attempts != 1 || j.Size != 4 ||
				j.DiedMS < before || j.Priority != "high" || j.Unique != test.name || !j.Background {
				t.Errorf("%s: %+v", test.name, j)
			}
		}
		// A foreground job does not become a dead one: its client got the failure.
		h := c.submit(wire.SubmitJob, "f", "", "")
		w.fails(h, failure(h))
		c.want(`WORK_FAIL handle="` + h + `"`)
		if got := c.line("job " + h); got != "ERR UNKNOWN_JOB" {
			t.Errorf("a foreground job: %s", got)
		}
		if n := len(c.list("jobs - dead")); n != 3 {
			t.Errorf("%d dead, want 3", n)
		}
		if n := len(c.list("jobs f dead 2")); n != 2 {
			t.Errorf("%d of 2 rows", n)
		}
		if n := len(c.list("jobs other dead")) + len(c.list("jobs f waiting")) + len(c.list("jobs")); n != 0 {
			t.Errorf("%d rows of others", n)
		}
		if got := c.line("drop function f"); got != wire.ReplyFunctionInUse[:len(wire.ReplyFunctionInUse)-2] {
			t.Errorf("drop function: %q", got)
		}
		if got := c.line("purge dead f"); got != "OK 3" {
			t.Errorf("purge dead: %q", got)
		}
		for _, cmd := range []string{"retry job " + h, "retry job x"} {
			if got := c.line(cmd); got != "ERR UNKNOWN_JOB" {
				t.Errorf("%s: %q", cmd, got)
			}
		}
		for _, cmd := range []string{"purge dead f", "retry function f", "retry function none"} {
			if got := c.line(cmd); got != "OK 0" {
				t.Errorf("%s: %q", cmd, got)
			}
		}
	}
}

func TestRetryInMemory(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := dies(c, w, "u", "x")
	w.send(req(wire.PreSleep))
	w.sync()
	if got := c.line("retry job " + h); got != "OK" {
		t.Errorf("retry: %q", got)
	}
	w.want(`NOOP`)
	if j := c.job(h); j.State != wire.StateWaiting || j.Attempts != 0 || j.Unique != "u" {
		t.Errorf("got %+v", j)
	}
	if w.grab() != h {
		t.Error("another job came")
	}
	dies(c, w, "", "y")
	dies(c, w, "", "z")
	if got := c.line("retry function f"); got != "OK 2" {
		t.Errorf("retry function: %q", got)
	}
	if got := w.order(); got != "y z" {
		t.Errorf("order %q", got)
	}
	// A job that is over its function's limit stays dead.
	h = dies(c, w, "", "d")
	c.line("maxqueue f 2")
	if got := c.line("retry job " + h); got != "ERR job queue is full" || c.numDead() != 1 {
		t.Errorf("over the limit: %q, %d dead", got, c.numDead())
	}
}

// Death is one batch, a retry is answered when its job is in the store.
func TestDeadLetterAndItsRetryInTheStore(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	w, c, admin := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	c.send(req(wire.SubmitJobBG, "f", "u", "x"))
	<-st.entered
	st.gate <- nil
	h := c.want(`JOB_CREATED *`)[0]
	w.fails(h, exception(h, "no"))
	if n := <-st.entered; n != 2 {
		t.Errorf("death is a batch of %d, want its end and what is kept", n)
	}
	st.gate <- nil

	// The store fails: the job is dead as before.
	admin.send([]byte("retry job " + h + "\nversion\n"))
	if n := <-st.entered; n != 1 {
		t.Errorf("batch of %d, want the job alone", n)
	}
	if got := w.order(); got != "" {
		t.Errorf("handed out %q before it is durable", got)
	}
	st.gate <- errAway
	if got := admin.readLine(); got != "ERR NOT_STORED away" {
		t.Errorf("retry: %q", got)
	}
	admin.readLine()
	if admin.job(h).State != wire.StateDead || st.keys() != "dead" || st.payloads(t) != "" {
		t.Errorf("got %+v, stored %q %q", admin.job(h), st.keys(), st.payloads(t))
	}

	// It works. A server killed at any point finds a job, or a dead one.
	admin.send([]byte("retry function f\n"))
	<-st.entered
	dies := st.copied()
	st.gate <- nil
	if got := admin.readLine(); got != "OK 1" {
		t.Errorf("retry: %q", got)
	}
	<-st.entered
	both := st.copied()
	st.gate <- nil
	if got := w.order(); got != "x" {
		t.Errorf("handed out %q", got)
	}
	eventually(t, "the dead one is gone", func() bool { return st.keys() == "" })
	if got := both.keys() + " " + both.payloads(t); got != "dead x" {
		t.Errorf("between the batches: %q, nothing was tested", got)
	}
	for at, want := range map[*journal]wire.JobState{dies: wire.StateDead, both: wire.StateWaiting} {
		_, addr := start(t, server.Config{Store: at})
		c := dial(t, addr)
		if j := c.job(h); j.State != want {
			t.Errorf("killed: got %s, want %s", j.State, want)
		}
		wantKeys := map[wire.JobState]string{wire.StateDead: "dead", wire.StateWaiting: ""}[want]
		eventually(t, "the store agrees", func() bool { return at.keys() == wantKeys })
	}
}

// A dead job whose unique is taken becomes the job that has it; if that does
// not get into the store it is dead again.
func TestRetryJoins(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	w, c, admin := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	c.send(req(wire.SubmitJobBG, "f", "u", "old"))
	<-st.entered
	st.gate <- nil
	h := c.want(`JOB_CREATED *`)[0]
	w.fails(h, failure(h))
	<-st.entered
	st.gate <- nil
	for _, result := range []error{errAway, nil} {
		c.send(req(wire.SubmitJobBG, "f", "u", "new"))
		<-st.entered
		admin.send([]byte("retry job " + h + "\n"))
		eventually(t, "they join", func() bool { return len(w.list("jobs f dead")) == 0 })
		st.gate <- result
		if result != nil {
			c.wantError(wire.CodeQueueError)
			if got := admin.readLine(); got != "ERR NOT_STORED away" {
				t.Errorf("retry: %q", got)
			}
			if w.dead() == "" || st.keys() != "dead" {
				t.Errorf("dead %q, stored %q", w.dead(), st.keys())
			}
			continue
		}
		c.want(`JOB_CREATED *`)
		if got := admin.readLine(); got != "OK" {
			t.Errorf("retry: %q", got)
		}
		<-st.entered
		st.gate <- nil
	}
	eventually(t, "the dead one is gone", func() bool { return st.keys() == "" })
	if got := w.order(); got != "new" {
		t.Errorf("handed out %q", got)
	}
}

func TestDeadListIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newJournal()
		_, dial := startPiped(t, server.Config{Store: st, DeadMax: ptr(2), DeadAge: time.Hour})
		w, c := dial(), dial()
		w.send(req(wire.CanDo, "f"))
		first := dies(c, w, "", "1")
		time.Sleep(time.Minute)
		dies(c, w, "", "22")
		time.Sleep(time.Minute)
		dies(c, w, "", "333")
		synctest.Wait()
		if got := c.line("job " + first); got != "ERR UNKNOWN_JOB" || c.numDead() != 2 || st.keys() != "dead dead" {
			t.Errorf("the oldest: %q, %d dead, stored %q", got, c.numDead(), st.keys())
		}
		time.Sleep(time.Hour - time.Minute)
		synctest.Wait()
		if c.numDead() != 1 || st.keys() != "dead" {
			t.Errorf("after an hour: %s, stored %q", c.dead(), st.keys())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if c.numDead() != 0 || st.keys() != "" {
			t.Errorf("at last: %s, stored %q", c.dead(), st.keys())
		}
	})
	_, addr := start(t, server.Config{DeadMax: ptr(0)})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := dies(c, w, "", "")
	if got := c.line("job " + h); got != "ERR UNKNOWN_JOB" {
		t.Errorf("without a dead list: %q", got)
	}
}

// Dead jobs survive a restart in their order, and so do their ends.
func TestDeadListSurvives(t *testing.T) {
	kept := newJournal()
	dir := t.TempDir()
	for name, open := range map[string]func() store.Store{
		"journal": func() store.Store { return kept },
		"disk": func() store.Store {
			st, err := disk.Open(t.Context(), disk.Config{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			return st
		},
	} {
		t.Run(name, func(t *testing.T) {
			restart := func(s *server.Server) (*server.Server, *peer, *peer) {
				if s != nil {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
				s, addr := start(t, server.Config{Store: open()})
				return s, worker(t, addr, "f"), dial(t, addr)
			}
			s, w, c := restart(nil)
			var hs []string
			for _, payload := range []string{"a\x00\n", "bb", "ccc", "dddd", "eeeee"} {
				hs = append(hs, dies(c, w, fmt.Sprintf("u%q", payload), payload, "line one\nof "+payload))
			}
			want, row := c.dead(), c.job(hs[0])
			s, _, c = restart(s)
			if got := c.dead(); got != want {
				t.Errorf("after a restart\n got %s\nwant %s", got, want)
			}
			again := c.job(hs[0])
			if row.AgeMS, again.AgeMS = 0, 0; again != row {
				t.Errorf("got  %+v\nwant %+v", again, row)
			}
			for _, cmd := range []string{"retry job " + hs[0], "cancel job " + hs[1]} {
				if got := c.line(cmd); got != "OK" {
					t.Errorf("%s: %q", cmd, got)
				}
			}
			s, w, c = restart(s)
			if w.grab() != hs[0] || string(w.p.Last()) != "a\x00\n" || c.numDead() != 3 {
				t.Errorf("payload %q, dead %s", w.p.Last(), c.dead())
			}
			if got := c.line("retry function f"); got != "OK 3" {
				t.Errorf("retry function: %q", got)
			}
			s, w, c = restart(s)
			if got := w.order(); got != "a\x00\n ccc dddd eeeee" || c.numDead() != 0 {
				t.Errorf("order %q, dead %s", got, c.dead())
			}
			s.Close()
		})
	}
}

// A dead job has one outcome: for a connection that waits when it dies, for one that
// asks later, and for one that asks the next server.
func TestOutcomeOfADeadJob(t *testing.T) {
	lose := func(w *peer, _ string) { w.Close() }
	for name, die := range map[string]func(w *peer, h string){
		"failed":               func(w *peer, h string) { w.send(failure(h)) },
		"exception":            func(w *peer, h string) { w.send(exception(h, "boom")) },
		"exception, not UTF-8": func(w *peer, h string) { w.send(exception(h, "b\xffm")) },
		"long exception":       func(w *peer, h string) { w.send(exception(h, strings.Repeat("x", 5000))) },
		"worker lost":          lose,
	} {
		t.Run(name, func(t *testing.T) {
			for _, keep := range []time.Duration{0, time.Hour} {
				cfg := server.Config{Store: newJournal(), JobRetries: ptr(1), KeepResults: keep}
				s, addr := start(t, cfg)
				c, early, w := dial(t, addr), dial(t, addr), worker(t, addr, "f")
				h := c.submit(wire.SubmitJobBG, "f", "u", "payload")
				early.send([]byte("wait " + h + "\n"))
				early.sync()
				w.grab()
				die(w, h)
				want := early.readLine()
				if o := fields[wire.Outcome](t, want); o.Attempts != 1 {
					t.Errorf("outcome %s", want)
				}
				late := c.list("wait " + h)[0]
				s.Close()
				_, addr = start(t, cfg)
				next := dial(t, addr).list("wait " + h)[0]
				if late != want || next != want {
					t.Errorf("keep %v: got outcomes\nwhen it died  %s\nlater         %s\nnext server   %s", keep, want, late, next)
				}
			}
		})
	}
}

// The end of a job is told when it is stored, also to a connection that asks after
// the end: a server that is killed now has the job again.
func TestOutcomeIsToldWhenItIsStored(t *testing.T) {
	for _, keep := range []time.Duration{0, time.Hour} {
		for name, end := range map[wire.OutcomeState]func(h string) []byte{
			wire.OutcomeDead:      failure,
			wire.OutcomeCompleted: func(h string) []byte { return req(wire.WorkComplete, h, "") },
		} {
			if keep == 0 && name == wire.OutcomeCompleted {
				continue // nobody knows of it any more
			}
			t.Run(fmt.Sprintf("%s, results kept %v", name, keep), func(t *testing.T) {
				st := gated()
				_, addr := start(t, server.Config{Store: st, KeepResults: keep})
				c, late, w := dial(t, addr), dial(t, addr), worker(t, addr, "f")
				c.send(req(wire.SubmitJobBG, "f", "", "x"))
				<-st.entered
				st.gate <- nil
				h := c.want(`JOB_CREATED *`)[0]
				w.grab()
				w.send(end(h))
				<-st.entered // the commit of the end
				late.send([]byte("wait " + h + "\n"))
				late.sync() // there is no outcome yet
				st.open()
				if o := fields[wire.Outcome](t, late.readLine()); o.State != name || o.Handle != h {
					t.Errorf("got %+v", o)
				}
				late.readLine()
				late.sync()
			})
		}
	}
}
