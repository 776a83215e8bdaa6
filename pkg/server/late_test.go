package server_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// atHost returns the handle as a server of that name would give it out.
func atHost(handle, host string) string {
	return "H:" + host + handle[strings.LastIndexByte(handle, ':'):]
}

// A worker that has been at work while the server was restarted, or another one
// took the store over, ends its job: it is done, and not done again.
func TestEndOfAJobThatWaitsAgain(t *testing.T) {
	for _, host := range []string{"test", "another.example.org"} {
		for name, end := range map[string]struct {
			packets func(h string) [][]byte
			left    string // states of the jobs that are left
		}{
			"completed": {func(h string) [][]byte {
				return [][]byte{req(wire.WorkStatus, h, "1", "2"), req(wire.WorkData, h, "d"), req(wire.WorkComplete, h, "x")}
			}, ""},
			"failed":    {func(h string) [][]byte { return [][]byte{req(wire.WorkWarning, h, "w"), failure(h)} }, "dead"},
			"exception": {func(h string) [][]byte { return [][]byte{exception(h, "e"), failure(h)} }, "dead"},
		} {
			t.Run(host+" "+name, func(t *testing.T) {
				st := newJournal()
				s, addr := start(t, server.Config{Store: st})
				h := dial(t, addr).submit(wire.SubmitJobBG, "f", "u", "x")
				worker(t, addr, "f").grab()
				s.Close()

				_, addr = start(t, server.Config{Store: st})
				w, c := worker(t, addr, "f"), dial(t, addr)
				// A client that submits the same again knows it by this server's handle.
				if again := c.submit(wire.SubmitJob, "f", "u", "x"); again != h {
					t.Fatalf("got job %s, want %s", again, h)
				}
				w.send(end.packets(atHost(h, host))...)
				w.sync()
				if name == "completed" {
					c.want(`WORK_STATUS handle="` + h + `" numerator="1" denominator="2"`)
					c.want(`WORK_DATA handle="` + h + `" data=1:"d"`)
					c.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)
				}
				w.send(req(wire.GrabJob))
				w.want(`NO_JOB`)
				eventually(t, "it is stored", func() bool { return st.payloads(t) == "" })
				var left []string
				for _, j := range append(w.rows("jobs"), w.rows("jobs - dead")...) {
					left = append(left, string(j.State))
				}
				if got := strings.Join(left, " "); got != end.left {
					t.Errorf("jobs left: %q, want %q", got, end.left)
				}
			})
		}
	}
}

// rows returns the jobs that the command lists.
func (p *peer) rows(cmd string) (all []wire.Job) {
	p.t.Helper()
	for _, row := range p.list(cmd) {
		all = append(all, fields[wire.Job](p.t.(*testing.T), row))
	}
	return all
}

// So does one whose connection was lost, while the job waits for its turn or for
// a retry; but not one that can't do the function, and not of a job that another
// worker has.
func TestEndOfAJobWhoseConnectionWasLost(t *testing.T) {
	_, addr := start(t, server.Config{Policies: map[string]server.Policy{"f": {Retries: -1, MinWait: time.Hour, MaxWait: time.Hour}}})
	c := dial(t, addr)
	first, later := worker(t, addr, "f"), worker(t, addr, "f")
	h := c.submit(wire.SubmitJob, "f", "", "x")
	first.grab()
	first.Close()
	eventually(t, "the loss is noticed", func() bool { return c.job(h).State == wire.StateWaiting })
	stranger := worker(t, addr, "g")
	stranger.send(req(wire.WorkComplete, h, "not mine"))
	stranger.wantError(wire.CodeJobNotFound)
	later.send(req(wire.WorkComplete, h, "done"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=4:"done"`)

	h = c.submit(wire.SubmitJob, "f", "", "y")
	later.grab()
	later.send(failure(h))
	later.sync()
	if state := c.job(h).State; state != wire.StateDelayed {
		t.Fatalf("the job that failed is %v", state)
	}
	later.send(req(wire.WorkComplete, h, "after all"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=9:"after all"`)

	h = c.submit(wire.SubmitJob, "f", "", "z")
	later.grab()
	other := worker(t, addr, "f")
	other.send(req(wire.WorkComplete, h, "stolen"))
	other.wantError(wire.CodeJobNotFound)
	later.send(req(wire.WorkComplete, h, "mine"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=4:"mine"`)
}

// A worker that comes back while the store is being read is not told that its job
// is unknown: its connection waits until the job has been read.
func TestEndOfAJobThatIsStillToBeRead(t *testing.T) {
	st := newSlow(2, backlog(5)...)
	_, addr := startLoading(t, server.Config{Store: st})
	<-st.stopped
	w, c := worker(t, addr, "f"), dial(t, addr)
	for range 3 { // they would take any job that comes
		eager := worker(t, addr, "f")
		eager.send(req(wire.PreSleep), req(wire.GrabJob))
	}
	all := backlog(5)
	seq := func(r *store.Record) string { return "H:before:" + strconv.FormatUint(r.Seq, 10) }
	w.send(req(wire.WorkComplete, seq(all[4]), "done"), req(wire.WorkComplete, "H:before:999999999", "never"), req(wire.EchoReq, "behind"))
	c.sync()
	st.goOn <- nil
	w.wantError(wire.CodeJobNotFound)
	w.want(`ECHO_RES data=6:"behind"`)
	eventually(t, "the others are there", func() bool { return len(c.rows("jobs")) == 4 })
	for _, j := range c.rows("jobs") {
		if strings.HasSuffix(j.Handle, ":"+strconv.FormatUint(all[4].Seq, 10)) {
			t.Errorf("%s is there, though it was done", j.Handle)
		}
	}
	eventually(t, "it is done in the store", func() bool {
		return !slices.ContainsFunc(st.all(), func(r *store.Record) bool { return r.Seq == all[4].Seq })
	})
}

// Every question about a job takes its handle with any host.
func TestHandleOfAnotherHost(t *testing.T) {
	st := newJournal()
	_, addr := start(t, server.Config{Store: st, KeepResults: time.Hour, DeadAge: time.Hour})
	c, w := dial(t, addr), worker(t, addr, "f")
	submit := func() (h, other string) {
		h = c.submit(wire.SubmitJobBG, "f", "", "x")
		return h, atHost(h, "before")
	}
	h, other := submit()
	c.send(req(wire.GetStatus, other))
	c.want(`STATUS_RES handle="` + other + `" known="1" running="0" numerator="0" denominator="0"`)
	if j := fields[wire.Job](t, c.list("job " + other)[0]); j.Handle != h {
		t.Errorf("job: %+v", j)
	}
	w.grab()
	w.send(req(wire.WorkComplete, other, "result"))
	w.sync()
	if o := fields[wire.Outcome](t, c.list("wait " + other)[0]); o.State != wire.OutcomeCompleted || o.Handle != other {
		t.Errorf("wait: %+v", o)
	}
	if o, data := c.result(other); o.State != wire.OutcomeCompleted || data != "result" {
		t.Errorf("result: %+v, %q", o, data)
	}

	_, other = submit()
	waits := dial(t, addr)
	waits.send([]byte("wait " + other + "\n"))
	if got := c.line("cancel job " + other); got != "OK" {
		t.Errorf("cancel: %q", got)
	}
	if o := fields[wire.Outcome](t, waits.readLine()); o.State != wire.OutcomeCancelled || o.Handle != other {
		t.Errorf("wait for a cancelled job: %+v", o)
	}

	h, other = submit()
	w.fails(h, failure(other))
	if got := c.line("retry job " + other); got != "OK" {
		t.Errorf("retry: %q", got)
	}
	if w.grab() != h {
		t.Error("another job came")
	}
}
