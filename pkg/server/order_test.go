package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// Jobs of one connection become ready in the order in which it sent them: a
// foreground job does not overtake background ones that are on their way to the
// store, whatever becomes of these.
func TestForegroundJobStaysBehindBackgroundOnes(t *testing.T) {
	for name, result := range map[string]error{"stored": nil, "refused": errAway} {
		t.Run(name, func(t *testing.T) {
			st := gated()
			_, addr := start(t, server.Config{Store: st})
			c, other, w := dial(t, addr), dial(t, addr), worker(t, addr, "f")
			c.send(req(wire.SubmitJobBG, "f", "", "bg1"))
			<-st.entered
			c.send(
				req(wire.SubmitJobLowBG, "f", "", "low"), req(wire.SubmitJob, "f", "", "fg"),
				req(wire.SubmitJobHighBG, "f", "", "high"), req(wire.SubmitJobHigh, "f", "u", "fghigh"),
				req(wire.EchoReq, "all"),
			)
			// Others are not kept back, and join what is.
			first := other.submit(wire.SubmitJob, "f", "", "other")
			if w.grab() != first {
				t.Error("another job came")
			}
			w.send(req(wire.WorkComplete, first, ""))
			other.want(`WORK_COMPLETE *`)
			eventually(t, "all have come", func() bool { return other.stat().Jobs == 5 })
			joined := other.submit(wire.SubmitJob, "f", "u", "")
			if got := w.order(); got != "" {
				t.Errorf("handed out %q", got)
			}
			st.gate <- result
			<-st.entered
			st.gate <- result
			want := "fghigh fg"
			if result == nil {
				want = "high fghigh bg1 fg low"
			}
			for _, what := range strings.Fields("bg1 low fg high fghigh") {
				if result != nil && !strings.HasPrefix(what, "fg") {
					c.wantError(wire.CodeQueueError)
				} else if got := c.want(`JOB_CREATED *`)[0]; what == "fghigh" && got != joined {
					t.Errorf("the unique is %s and %s", got, joined)
				}
			}
			c.want(`ECHO_RES *`)
			if got := w.order(); got != want {
				t.Errorf("order %q, want %q", got, want)
			}
			st.open()
			// With nothing on its way, a foreground job goes on at once.
			now := c.submit(wire.SubmitJob, "f", "", "now")
			if w.grab() != now {
				t.Error("another job came")
			}
		})
	}
}

// A foreground job that was kept back is cancelled, left by its client, and
// becomes a background one, as any other.
func TestForegroundJobThatIsKeptBack(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	c, other, w := dial(t, addr), dial(t, addr), worker(t, addr, "f")
	c.send(
		req(wire.SubmitJobBG, "f", "", "bg"), req(wire.SubmitJob, "f", "cancelled", "cancelled"),
		req(wire.SubmitJob, "f", "promoted", "promoted"),
	)
	if n := <-st.entered; n != 1 {
		t.Fatalf("batch of %d, want 1", n)
	}
	eventually(t, "all have come", func() bool { return other.stat().Jobs == 3 })
	other.send(req(wire.SubmitJobBG, "f", "promoted", ""))
	eventually(t, "it is joined", func() bool { return coalesced(t, w) == 1 })
	rows := w.list("jobs")
	if got := w.line("cancel job " + fields[wire.Job](t, rows[1]).Handle); got != "OK" {
		t.Errorf("cancel: %q", got)
	}
	st.gate <- nil
	c.want(`JOB_CREATED *`)
	cancelled := c.want(`JOB_CREATED *`)[0]
	c.want(`JOB_CREATED *`)
	c.want(`WORK_FAIL handle="` + cancelled + `"`)
	<-st.entered
	st.gate <- nil
	other.want(`JOB_CREATED *`)
	if got := w.order(); got != "bg promoted" {
		t.Errorf("order %q", got)
	}
	if got := st.payloads(t); got != "bg promoted" {
		t.Errorf("stored %q", got)
	}
	st.open()
}

// A job is assigned once, though the read of its payload for an earlier grab is
// still under way when it is taken away and comes by another way.
func TestSpilledJobIsAssignedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newLibrary()
		_, dial := startPiped(t, server.Config{Store: st, Memory: memory})
		c, w := dial(), dial()
		gate := make(chan struct{})
		reads := 0
		st.set(func(context.Context, uint64) error {
			if reads++; reads == 1 {
				<-gate
			}
			return nil
		})
		h := c.submit(wire.SubmitJobBG, "f", "", load("x"))
		w.send(req(wire.CanDoTimeout, "f", "1000"), req(wire.GrabJob))
		w.want(`NO_JOB`) // after a second: the job is taken away
		w.send(req(wire.CanDo, "f"), req(wire.GrabJob), req(wire.EchoReq, "1"))
		synctest.Wait()
		close(gate)
		if got := w.want(`JOB_ASSIGN *`); got[0] != h || got[2] != load("x") {
			t.Errorf("got %.60q", got)
		}
		w.want(`ECHO_RES *`)
		w.sync() // and nothing else
		w.send(req(wire.GrabJob))
		w.want(`NO_JOB`)
	})
}

// The time limit of a spilled job begins when its worker gets it, and not while
// its payload is read.
func TestTimeLimitOfASpilledJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newLibrary()
		_, dial := startPiped(t, server.Config{Store: st, Memory: memory})
		c, w := dial(), dial()
		h := c.submit(wire.SubmitJobBG, "f", "", load("x"))
		st.set(func(context.Context, uint64) error { time.Sleep(8 * time.Second); return nil })
		w.send(req(wire.CanDoTimeout, "f", "10000"), req(wire.GrabJob))
		w.want(`JOB_ASSIGN *`)
		time.Sleep(9 * time.Second)
		if j := c.job(h); j.State != wire.StateRunning {
			t.Errorf("after 9s of 10s: %+v", j)
		}
		time.Sleep(2 * time.Second)
		if j := c.job(h); j.State != wire.StateWaiting || j.Attempts != 1 {
			t.Errorf("after 11s of 10s: %+v", j)
		}
	})
}

// A store that never answers a read does not keep the grab, nor the end of the
// worker's connection, for ever.
func TestPayloadThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &deaf{library: newLibrary(), release: make(chan struct{})}
		_, dial := startPiped(t, server.Config{Store: st, Memory: memory})
		c, w := dial(), dial()
		h := c.submit(wire.SubmitJobBG, "f", "", load("x"))
		st.hangs = "payload"
		w.send(req(wire.CanDo, "f"))
		for range 3 {
			began := time.Now()
			w.send(req(wire.GrabJob))
			w.want(`NO_JOB`)
			if took := time.Since(began); took < 5*time.Second || took > 15*time.Second {
				t.Errorf("NO_JOB after %v", took)
			}
			if j := c.job(h); j.State != wire.StateWaiting || j.Attempts != 0 {
				t.Errorf("got %+v", j)
			}
		}
		w.send(req(wire.GrabJob))
		synctest.Wait()
		close(st.release)
		if got := w.want(`JOB_ASSIGN *`); got[2] != load("x") {
			t.Errorf("got %.60q", got)
		}
	})
}

// Numbers that were given out do not come again when the clock is behind at the
// next start, though the store has no job any more.
func TestNumbersWhenTheClockIsBehind(t *testing.T) {
	st := newJournal()
	seen := make(map[string]bool)
	clock := time.Now()
	for i := range 4 {
		synctest.Test(t, func(t *testing.T) {
			// Each bubble begins at the same moment, in the year 2000: its clock is
			// behind that of the bubble before.
			s, dial := startPiped(t, server.Config{Store: plain{st}})
			if time.Now().After(clock) {
				t.Fatal("the clock is not behind")
			}
			c, w := dial(), dial()
			w.send(req(wire.CanDo, "f"))
			for n := range 50 {
				for _, typ := range []wire.Type{wire.SubmitJobBG, wire.SubmitJob} {
					h := c.submit(typ, "f", "", fmt.Sprint(n))
					if seen[h] {
						t.Fatalf("start %d: %s was given out before", i, h)
					}
					seen[h] = true
					if w.grab() != h {
						t.Fatal("another job came")
					}
					w.send(req(wire.WorkComplete, h, ""))
				}
				c.want(`WORK_COMPLETE *`)
			}
			time.Sleep(time.Hour) // the clock of this run is ahead of the next one's
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if len(st.all()) != 0 {
		t.Error("jobs are left")
	}
}

// What an administrator sets for a function survives a crash right after the
// answer, and so does taking it back.
func TestSettingsSurviveACrash(t *testing.T) {
	long := strings.Repeat("long", 200)
	for _, f := range []string{"f", long, "b\xff\x01"} {
		t.Run(fmt.Sprintf("%.5q", f), func(t *testing.T) {
			st := newJournal()
			for _, step := range []struct {
				commands []string
				kept     int    // extras
				row      string // of status; empty if the function is not known
				limits   [3]int
				paused   bool
			}{
				{[]string{"create function F"}, 1, "F\t0\t0\t0", [3]int{}, false},
				{[]string{"pause function F"}, 1, "F\t0\t0\t0", [3]int{}, true},
				{[]string{"maxqueue F 7 8 9"}, 1, "F\t0\t0\t0", [3]int{7, 8, 9}, true},
				{[]string{"maxqueue F 5", "policy function F 1"}, 2, "F\t0\t0\t0", [3]int{5, 5, 5}, true},
				{[]string{"resume function F"}, 2, "F\t0\t0\t0", [3]int{5, 5, 5}, false},
				{[]string{"maxqueue F"}, 2, "F\t0\t0\t0", [3]int{}, false},
				{[]string{"drop function F"}, 0, "", [3]int{}, false},
				{[]string{"maxqueue F 3", "maxqueue F 0"}, 0, "", [3]int{}, false},
				{[]string{"maxqueue F 3", "pause function F", "drop function F"}, 0, "", [3]int{}, false},
			} {
				s, addr := start(t, server.Config{Store: st})
				admin := dial(t, addr)
				for _, cmd := range step.commands {
					if got := admin.line(strings.Replace(cmd, "F", f, 1)); got != "OK" {
						t.Fatalf("%s: %q", cmd, got)
					}
				}
				killed := st.copied()
				s.Close()
				st = killed
				if n := len(strings.Fields(st.keys())); n != step.kept {
					t.Errorf("%v: %d extras, want %d", step.commands, n, step.kept)
				}
				next, _ := start(t, server.Config{Store: st.copied()})
				var got string
				for _, row := range server.Snapshot(next) {
					if row.Function == f {
						got = "known"
						if row.Paused != step.paused || row.MaxQueue != step.limits {
							t.Errorf("%v: got %+v", step.commands, row)
						}
					}
				}
				if (got != "") != (step.row != "") {
					t.Errorf("%v: function is known: %v", step.commands, got != "")
				}
				next.Close()
			}
		})
	}
}

// What could not be stored holds, and says so; it is stored later.
func TestSettingsThatAreNotStored(t *testing.T) {
	t.Parallel()
	for _, cmd := range []string{"create function f", "pause function f", "maxqueue f 3"} {
		st, hold, gate := latched()
		_, addr := start(t, server.Config{Store: st})
		worker(t, addr, "f").sync()
		admin := dial(t, addr)
		hold.Store(true)
		admin.send([]byte(cmd + "\n"))
		gate <- errAway
		if got := admin.readLine(); got != "ERR NOT_STORED away" {
			t.Errorf("%s: %q", cmd, got)
		}
		hold.Store(false)
		close(gate)
		eventually(t, "it is stored", func() bool { return st.keys() == "function" })
	}
}
