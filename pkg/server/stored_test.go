package server_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// latched returns a journal whose Commits wait for the gate while hold is set.
func latched() (st *journal, hold *atomic.Bool, gate chan error) {
	st, hold, gate = newJournal(), new(atomic.Bool), make(chan error)
	st.fail = func(int) error {
		if hold.Load() {
			return <-gate
		}
		return nil
	}
	return st, hold, gate
}

// What an administrator was told is done survives a crash right after.
func TestChangesAreStoredWhenTheyAreAnswered(t *testing.T) {
	t.Parallel()
	soon := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	waiting := func(c, _ *peer) string { return c.submit(wire.SubmitJobBG, "f", "", "x") }
	delayed := func(c, _ *peer) string { return c.submit(wire.SubmitJobEpoch, "f", "", soon, "x") }
	running := func(c, w *peer) string {
		h := c.submit(wire.SubmitJobBG, "f", "", "x")
		w.grab()
		return h
	}
	failed := func(c, w *peer) string { return dies(c, w, "", "x") }
	for _, test := range []struct {
		name   string
		set    func(c, w *peer) string // returns the job
		cmd    string
		reply  string
		stored string // payloads and kinds of extras, afterwards
	}{
		{"cancel a waiting job", waiting, "cancel job HANDLE", "OK", "|"},
		{"cancel a delayed job", delayed, "cancel job HANDLE", "OK", "|"},
		{"cancel a running job", running, "cancel job HANDLE", "OK", "|"},
		{"cancel a dead job", failed, "cancel job HANDLE", "OK", "|"},
		{"purge waiting jobs", waiting, "purge function f", "OK 1", "|"},
		{"purge dead jobs", failed, "purge dead f", "OK 1", "|"},
		{"retry", failed, "retry job HANDLE", "OK", "x|dead"},
		{"policy", waiting, "policy function f 3,1s..5m", "OK", "x|policy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, result := range []error{nil, errAway} {
				st, hold, gate := latched()
				var log logs
				_, addr := start(t, server.Config{Store: st, Logger: log.logger(0)})
				c, w, admin := dial(t, addr), worker(t, addr, "f", "g"), dial(t, addr)
				h := test.set(c, w)
				if state := c.job(h).State; state == wire.StateDead {
					eventually(t, "it is dead in the store", func() bool { return st.keys() == "dead" })
				}
				hold.Store(true)
				found := make(chan string, 1)
				go func() {
					reply := admin.line(strings.Replace(test.cmd, "HANDLE", h, 1))
					killed := st.copied()
					found <- reply + "|" + killed.payloads(t) + "|" + killed.keys()
				}()
				log.wait(t, "changed", strings.Fields(test.cmd)[0])
				// Others go on meanwhile.
				fg := c.submit(wire.SubmitJob, "g", "", "")
				for w.grab() != fg {
				}
				w.send(req(wire.WorkComplete, fg, ""))
				c.want(`WORK_COMPLETE *`)
				gate <- result
				got, want := <-found, test.reply+"|"+test.stored
				hold.Store(false)
				close(gate)
				if result == nil {
					if got != want {
						t.Errorf("got %q, want %q", got, want)
					}
					continue
				}
				if !strings.HasPrefix(got, "ERR ") || !strings.Contains(got, "away") {
					t.Errorf("the store fails: %q", got)
				}
				if test.name == "retry" {
					continue
				}
				// It holds nevertheless, and is stored in the end.
				eventually(t, "it is stored", func() bool { return st.payloads(t)+"|"+st.keys() == test.stored })
			}
		})
	}
}

// A cancelled job that runs is never heard of again, whatever its end.
func TestCancelledRunningJobIsNotStoredAgain(t *testing.T) {
	st := newJournal()
	_, addr := start(t, server.Config{Store: st, KeepResults: time.Hour, Policies: map[string]server.Policy{"f": {Retries: -1}}})
	c := dial(t, addr)
	for name, end := range map[string]func(w *peer, h string){
		"completes": func(w *peer, h string) { w.send(req(wire.WorkComplete, h, "")); w.sync() },
		"fails":     func(w *peer, h string) { w.send(failure(h)); w.sync() },
		"is lost":   func(w *peer, _ string) { w.Close() },
		"raises":    func(w *peer, h string) { w.send(exception(h, "x")); w.sync() },
		"is cancelled again": func(w *peer, h string) {
			if got := w.line("cancel job " + h); got != "OK" {
				w.t.Errorf("cancel again: %q", got)
			}
			w.Close()
		},
	} {
		h := c.submit(wire.SubmitJobBG, "f", "", name)
		w := worker(t, addr, "f")
		w.grab()
		if got := c.line("cancel job " + h); got != "OK" {
			t.Errorf("cancel: %q", got)
		}
		end(w, h)
		eventually(t, name, func() bool { return len(c.list("jobs")) == 0 })
		if got := c.numDead(); got != 0 {
			t.Errorf("%s: %d dead", name, got)
		}
		eventually(t, name+": its end is stored", func() bool { return st.payloads(t) == "" })
		if one := fields[wire.Outcome](t, c.list("wait " + h)[0]); name == "fails" && one.State != wire.OutcomeFailed {
			t.Errorf("%s: %+v", name, one)
		}
	}
}

// A job that was cancelled on its way to the store is not in it when that is
// answered, or was never there.
func TestCancelOfAJobThatIsNotStored(t *testing.T) {
	st := gated()
	var log logs
	_, addr := start(t, server.Config{Store: st, Logger: log.logger(0)})
	c, admin := dial(t, addr), dial(t, addr)
	c.send(req(wire.SubmitJobBG, "f", "", "x"))
	<-st.entered
	h := fields[wire.Job](t, admin.list("jobs")[0]).Handle
	admin.send([]byte("cancel job " + h + "\n"))
	log.wait(t, "changed", "cancel")
	st.gate <- errAway
	c.wantError(wire.CodeQueueError)
	if got := admin.readLine(); got != "ERR NOT_STORED away" {
		t.Errorf("cancel: %q", got)
	}
	if got := admin.line("job " + h); got != "ERR UNKNOWN_JOB" {
		t.Errorf("job: %q", got)
	}
}

// A Commit that hangs is an error after a while; what needs no store goes on.
func TestStoreTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := gated()
		_, dial := startPiped(t, server.Config{Store: st, StoreTimeout: 3 * time.Second})
		c, w := dial(), dial()
		began := time.Now()
		c.send(req(wire.SubmitJobBG, "f", "u", "x"))
		<-st.entered
		w.send(req(wire.CanDo, "f"))
		h := w.submit(wire.SubmitJob, "f", "", "fg")
		if w.grab() != h {
			t.Error("another job came")
		}
		w.send(req(wire.WorkComplete, h, "done"))
		w.want(`WORK_COMPLETE *`)
		if took := time.Since(began); took != 0 {
			t.Errorf("a foreground job took %v", took)
		}
		c.want(`ERROR code="QUEUE_ERROR" text=*deadline exceeded*`)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("refused after %v", took)
		}
		c.send(req(wire.SubmitJobBG, "f", "u", "x"))
		<-st.entered
		st.gate <- nil
		c.want(`JOB_CREATED *`)
		st.open()
	})
}

// Who sends faster than the store takes is not read.
func TestPendingIsBounded(t *testing.T) {
	st := gated()
	s, addr := start(t, server.Config{Store: st})
	s.SetMaxPending(1 << 20)
	c, other := dial(t, addr), dial(t, addr)
	const n = 200
	big := req(wire.SubmitJobBG, "f", "", strings.Repeat("x", 100<<10))
	sent := make(chan error, 1)
	go func() {
		for range n {
			if _, err := c.Write(big); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	<-st.entered
	eventually(t, "much waits", func() bool { return other.stat().Jobs > 10 })
	for range 100 {
		if got := other.stat().Jobs; got > 20 {
			t.Fatalf("%d jobs of 100 KiB are on their way to the store", got)
		}
	}
	st.open()
	for range n {
		c.want(`JOB_CREATED *`)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// A store that does not even notice that its time is over, as a disk that does
// not answer, holds nobody up. What it keeps after all was refused, and goes.
func TestStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, result := range []error{nil, errAway} {
			st, hold, gate := latched()
			s, dial := startPiped(t, server.Config{Store: st, StoreName: "fake", StoreTimeout: 3 * time.Second})
			c, later, admin, w := dial(), dial(), dial(), dial()
			w.send(req(wire.CanDo, "f"))
			dead := dies(c, w, "dead", "dead")
			kept := c.submit(wire.SubmitJobBG, "f", "kept", "kept")
			if w.grab() != kept {
				t.Error("another job came")
			}
			synctest.Wait()
			hold.Store(true)
			c.send(req(wire.SubmitJobBG, "f", "u", "late"))
			synctest.Wait()
			began := time.Now()
			later.send(req(wire.SubmitJobBG, "f", "", "later"), req(wire.SubmitJobBG, "f", "u", "joins"))
			admin.send([]byte("retry job " + dead + "\n"))
			synctest.Wait()
			w.send(req(wire.WorkComplete, kept, ""))
			refused := `ERROR code="QUEUE_ERROR" text=*"store fake has not answered for 3s"`
			c.want(refused)
			later.want(refused)
			later.want(refused)
			if got := admin.readLine(); got != "ERR NOT_STORED store fake has not answered for 3s" {
				t.Errorf("retry: %q", got)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("refused after %v", took)
			}

			// Until it is back others are refused at once, and what needs no
			// store is done.
			began = time.Now()
			c.send(req(wire.SubmitJobBG, "f", "u", "next"))
			c.want(refused)
			for cmd, want := range map[string]string{
				"policy function g 1": "ERR NOT_STORED store fake has not answered for 3s",
				"retry job " + dead:   "ERR NOT_STORED store fake has not answered for 3s",
				"retry function f":    "ERR NOT_STORED store fake has not answered for 3s",
			} {
				if got := admin.line(cmd); got != want {
					t.Errorf("%s: %q", cmd, got)
				}
			}
			if got := admin.stat(); got.StoreError == "" || got.Jobs != 0 {
				t.Errorf("got %+v", got)
			}
			h := c.submit(wire.SubmitJob, "f", "u", "")
			w.finish(h, "x")
			c.want(`WORK_COMPLETE *`)
			if took := time.Since(began); took > 0 {
				t.Errorf("that took %v", took)
			}

			hold.Store(false)
			gate <- result
			close(gate)
			c.send(req(wire.EchoReq, "x"))
			c.want(`ECHO_RES *`)
			time.Sleep(time.Second)
			synctest.Wait()
			if got := st.payloads(t) + "|" + st.keys(); got != "|dead policy" {
				t.Errorf("stored %q", got)
			}
			h = c.submit(wire.SubmitJobBG, "f", "u", "again")
			if got := st.payloads(t); got != "again" || admin.stat().StoreError != "" {
				t.Errorf("stored %q", got)
			}
			w.finish(h, "")
			s.Close()
		}
	})
}
