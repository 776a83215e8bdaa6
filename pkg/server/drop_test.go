package server_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// A function is dropped with the jobs that wait, also in pages, and they do not
// come back with the store.
func TestDropTakesWaitingJobsWithIt(t *testing.T) {
	const jobs = 2500
	st := newJournal()
	_, addr := start(t, server.Config{Store: st})
	c, admin := dial(t, addr), dial(t, addr)
	for range jobs - 2 {
		c.send(req(wire.SubmitJobBG, "f", "", "x"))
	}
	for range jobs - 2 {
		c.want(`JOB_CREATED *`)
	}
	c.submit(wire.SubmitJobEpoch, "f", "", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10), "later")
	other := c.submit(wire.SubmitJobBG, "g", "", "other")
	h := c.submit(wire.SubmitJob, "f", "", "waited for")
	if got, want := admin.line("drop function f"), fmt.Sprintf("OK %d", jobs); got != want {
		t.Errorf("drop: %q, want %q", got, want)
	}
	c.want(`WORK_FAIL handle="` + h + `"`)
	if got := st.payloads(t); got != "other" {
		t.Errorf("the store keeps %q, want other", got)
	}
	if rows := admin.list("status"); len(rows) != 1 || rows[0] != "g\t1\t0\t0" {
		t.Errorf("status: %q", rows)
	}
	if got := worker(t, addr, "f", "g").grab(); got != other {
		t.Errorf("job %s is left, want %s", got, other)
	}
}

// What is at work is not dropped, nor what waits beside it.
func TestDropRefusesWhatIsAtWork(t *testing.T) {
	_, addr := start(t, server.Config{})
	c, w := dial(t, addr), worker(t, addr, "f")
	drop := func() string { return c.line("drop function f") }
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	const inUse = "ERR there are still connected workers or executing clients"
	if got := drop(); got != inUse {
		t.Errorf("with a worker: %q", got)
	}
	w.send(req(wire.CantDo, "f"))
	w.sync()
	if got := drop(); got != inUse || c.job(h).State != wire.StateRunning || len(c.list("jobs f")) != 2 {
		t.Errorf("with a running job: %q", got)
	}
	w.send(req(wire.WorkComplete, h, ""))
	w.sync()
	if got := drop(); got != "OK 1" {
		t.Errorf("with a waiting job: %q", got)
	}
	if got := drop(); got != "ERR function not found" {
		t.Errorf("again: %q", got)
	}
}
