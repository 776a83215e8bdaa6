package server_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

func ptr[T any](v T) *T { return &v }

func TestGrabKinds(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	tests := []struct {
		grab wire.Type
		want string
	}{
		{wire.GrabJob, `JOB_ASSIGN handle="*" function="f" workload=1:"x"`},
		{wire.GrabJobUniq, `JOB_ASSIGN_UNIQ handle="*" function="f" unique="u" workload=1:"x"`},
		{wire.GrabJobAll, `JOB_ASSIGN_UNIQ handle="*" function="f" unique="u" workload=1:"x"`},
	}
	for _, tt := range tests {
		t.Run(tt.grab.String(), func(t *testing.T) {
			w.send(req(tt.grab))
			w.want(`NO_JOB`)
			h := c.submit(wire.SubmitJob, "f", "u", "x")
			w.send(req(tt.grab))
			w.want(tt.want)
			w.send(req(wire.WorkComplete, h, ""))
			c.want(`WORK_COMPLETE handle="` + h + `" data=0:""`)
		})
	}
}

// order grabs everything and returns the payloads.
func (p *peer) order() string {
	p.t.Helper()
	var got []string
	for {
		p.send(req(wire.GrabJob))
		one := p.next()
		if one.Type == wire.NoJob {
			return strings.Join(got, " ")
		}
		got = append(got, string(one.Last()))
	}
}

// A worker's functions go in the reverse of the order in which it named them, as
// with gearmand: libgearman names them in reverse.
func TestTheFunctionNamedLastGoesFirst(t *testing.T) {
	for _, tt := range []struct {
		roundRobin bool
		want       string
	}{
		{false, "x3 x3 x2 x2 x1 x1"},
		{true, "x3 x2 x1 x3 x2 x1"},
	} {
		_, addr := start(t, server.Config{RoundRobin: tt.roundRobin})
		c, w := dial(t, addr), dial(t, addr)
		w.send(req(wire.CanDo, "x1"), req(wire.CanDo, "x2"), req(wire.CanDo, "x3"), req(wire.CanDo, "x1"))
		w.sync()
		for _, f := range []string{"x1", "x2", "x3", "x1", "x2", "x3"} {
			c.submit(wire.SubmitJobBG, f, "", f)
		}
		if got := w.order(); got != tt.want {
			t.Errorf("round robin %v: %s, want %s", tt.roundRobin, got, tt.want)
		}
		if got := c.list("workers"); !strings.HasSuffix(got[1], ": x3 x2 x1") {
			t.Errorf("workers: %q", got)
		}
	}
}

func TestGrabOrder(t *testing.T) {
	tests := []struct {
		name       string
		roundRobin bool
		functions  []string
		want       string
	}{
		{
			"priority across functions, then the worker's order", false,
			[]string{"a", "b"},
			"aH bH1 bH2 aN1 aN2 bN aL bL",
		},
		{"the other order", false, []string{"b", "a"}, "bH1 bH2 aH bN aN1 aN2 bL aL"},
		{"in turn", true, []string{"a", "b"}, "aH bH1 bH2 aN1 bN aN2 bL aL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, addr := start(t, server.Config{RoundRobin: tt.roundRobin})
			c := dial(t, addr)
			for _, s := range []struct {
				typ      wire.Type
				function string
				name     string
			}{
				{wire.SubmitJobLowBG, "b", "bL"},
				{wire.SubmitJobLowBG, "a", "aL"},
				{wire.SubmitJobBG, "a", "aN1"},
				{wire.SubmitJobBG, "b", "bN"},
				{wire.SubmitJobBG, "a", "aN2"},
				{wire.SubmitJobHighBG, "b", "bH1"},
				{wire.SubmitJobHighBG, "b", "bH2"},
				{wire.SubmitJobHighBG, "a", "aH"},
			} {
				c.submit(s.typ, s.function, "", s.name)
			}
			if got := worker(t, addr, tt.functions...).order(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestCanDoTwiceCountsOnce(t *testing.T) {
	_, addr := start(t, server.Config{})
	w := worker(t, addr, "f", "f", "f")
	if got := w.list("status"); len(got) != 1 || got[0] != "f\t0\t0\t1" {
		t.Errorf("status %q, want one worker", got)
	}
	w.send(req(wire.CantDo, "f"))
	if got := w.list("status"); len(got) != 1 || got[0] != "f\t0\t0\t0" {
		t.Errorf("status %q, want no worker", got)
	}
}

func TestLaterTimeoutHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{})
		w, c := dial(), dial()
		w.send(req(wire.CanDo, "f"), req(wire.CanDoTimeout, "f", "1"))
		h := c.submit(wire.SubmitJobBG, "f", "", "")
		w.grab()
		eventually(t, "the job is taken from its worker", func() bool { return c.job(h).Attempts == 1 })

		// Without a limit again, or with one that is no number of this world.
		for _, again := range [][]byte{req(wire.CanDo, "f"), req(wire.CanDoTimeout, "f", "9223372036854775807")} {
			w.send(again)
			w.grab()
			if at, ok := w.later(c, h); !ok {
				t.Errorf("the job was taken from its worker after %d attempts", at)
			}
			w.send(req(wire.CanDoTimeout, "f", "1"), req(wire.WorkFail, h))
			w.sync()
			h = c.submit(wire.SubmitJobBG, "f", "", "")
		}
	})
}

// later lets another function's time limit pass, which was set after h's, and
// reports whether w still has h.
func (p *peer) later(c *peer, h string) (attempts int, ok bool) {
	p.t.Helper()
	p.send(req(wire.CanDoTimeout, "other", "2"))
	p.sync()
	other := c.submit(wire.SubmitJobHighBG, "other", "", "")
	if p.grab() != other {
		p.t.Fatal("another job came")
	}
	eventually(p.t, "the other job is taken", func() bool { return c.job(other).Attempts == 1 })
	p.send(req(wire.CantDo, "other"))
	p.sync()
	c.line("purge function other")
	j := c.job(h)
	return j.Attempts, j.State == wire.StateRunning
}

func TestTimeoutRequeues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{})
		slow, next, c := dial(), dial(), dial()
		slow.send(req(wire.CanDoTimeout, "f", "20"))
		next.send(req(wire.CanDo, "f"))
		slow.sync()
		next.sync()
		h := c.submit(wire.SubmitJob, "f", "", "")
		slow.grab()
		slow.send(req(wire.WorkStatus, h, "1", "2"))
		c.want(`WORK_STATUS handle="` + h + `" numerator="1" denominator="2"`)
		began := time.Now()
		next.send(req(wire.PreSleep))
		next.want(`NOOP`)
		if took := time.Since(began); took != time.Second {
			t.Errorf("20 ms are %v, want a second", took)
		}
		c.send(req(wire.GetStatus, h))
		c.want(`STATUS_RES handle="` + h + `" known="1" running="0" numerator="0" denominator="0"`)
		if next.grab() != h {
			t.Fatal("another job came")
		}
		// The slow worker hears of nothing up to the end that it sends.
		slow.send(req(wire.WorkStatus, h, "2", "2"), req(wire.WorkData, h, "late"), req(wire.WorkWarning, h, "late"),
			req(wire.WorkException, h, "late"), req(wire.WorkFail, h))
		slow.sync()
		slow.send(req(wire.WorkComplete, h, "again"))
		slow.wantError(wire.CodeJobNotFound)
		next.send(req(wire.WorkComplete, h, "done"))
		c.want(`WORK_COMPLETE handle="` + h + `" data=4:"done"`)
	})
}

func TestTimeoutFailsWhenAttemptsAreUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{JobRetries: ptr(2)})
		w, c := dial(), dial()
		w.send(req(wire.CanDoTimeout, "f", "5"))
		w.sync()
		h := c.submit(wire.SubmitJob, "f", "", "")
		for range 2 {
			w.send(req(wire.PreSleep))
			w.want(`NOOP`)
			w.grab()
		}
		c.want(`WORK_FAIL handle="` + h + `"`)
		w.sync()
		w.send(req(wire.WorkComplete, h, "too late"))
		w.sync()
	})
}

// Workers whose jobs take half a second and that mean 300 seconds by 300 do all
// of their jobs at the first try.
func TestTimeoutOfSecondsThatAreMeantIsASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{})
		w, c := dial(), dial()
		w.send(req(wire.CanDoTimeout, "f", "300"))
		for range 4 {
			h := c.submit(wire.SubmitJob, "f", "", "x")
			w.grab()
			time.Sleep(500 * time.Millisecond)
			w.send(req(wire.WorkComplete, h, "done"))
			c.want(`WORK_COMPLETE handle="` + h + `" data=4:"done"`)
		}
	})
}

func TestTimeoutsAreReadLikeGearmand(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "abc": 0, "0x10": 0, "\x01\xff": 0, "1": time.Second, "999": time.Second, " +7": time.Second, "1e9": time.Second,
		"1.5": time.Second, "1500": 1500 * time.Millisecond, "2000abc": 2 * time.Second, "99999999999999999999": 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			_, dial := startPiped(t, server.Config{})
			w, next, c := dial(), dial(), dial()
			w.send(req(wire.CanDoTimeout, "f", text))
			w.sync()
			h := c.submit(wire.SubmitJob, "f", "", "")
			w.grab()
			const never = 24 * time.Hour
			wait := want
			if want == 0 {
				wait = never
			}
			next.send(req(wire.CanDo, "f"))
			next.sync()
			time.Sleep(wait - time.Millisecond)
			next.send(req(wire.GrabJob))
			next.want(`NO_JOB`)
			if want == 0 {
				return
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if next.grab() != h {
				t.Errorf("timeout %q: another job came", text)
			}
		})
	}
}

func TestAFunctionHasAName(t *testing.T) {
	_, addr := start(t, server.Config{})
	w := dial(t, addr)
	for _, packet := range [][]byte{req(wire.CanDo, ""), req(wire.CanDoTimeout, "", "5")} {
		w.send(packet)
		w.wantError(wire.CodeInvalidFunction)
	}
	w.sync()
}

func TestLostAbilityLeavesTheRunningJob(t *testing.T) {
	for name, packet := range map[string][]byte{
		"CANT_DO":         req(wire.CantDo, "f"),
		"RESET_ABILITIES": req(wire.ResetAbilities),
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := start(t, server.Config{})
			w, c := worker(t, addr, "f"), dial(t, addr)
			h := c.submit(wire.SubmitJob, "f", "", "")
			w.grab()
			c.submit(wire.SubmitJobBG, "f", "", "")
			w.send(packet, req(wire.GrabJob), req(wire.WorkComplete, h, "x"))
			w.want(`NO_JOB`)
			c.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)
			w.sync()
		})
	}
}

func TestForeignHandles(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, thief, c := worker(t, addr, "f"), worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	waiting := c.submit(wire.SubmitJob, "g", "", "")
	w.grab()
	for _, handle := range []string{h, waiting, "H:test:1", "H:other:1", "", "x"} {
		for _, packet := range [][]byte{
			req(wire.WorkData, handle, "x"),
			req(wire.WorkWarning, handle, "x"),
			req(wire.WorkStatus, handle, "1", "1"),
			req(wire.WorkComplete, handle, "x"),
			req(wire.WorkFail, handle),
			req(wire.WorkException, handle, "x"),
		} {
			thief.send(packet)
			thief.wantError(wire.CodeJobNotFound)
		}
	}
	thief.sync() // it stays
	c.sync()
	w.send(req(wire.WorkComplete, h, "x"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)
	w.send(req(wire.WorkComplete, h, "x")) // twice
	w.wantError(wire.CodeJobNotFound)
}

func TestException(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c, wants := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	wants.send(req(wire.OptionReq, "exceptions"))
	wants.want(`OPTION_RES option="exceptions"`)

	for _, after := range [][]byte{nil, req(wire.WorkFail, "HANDLE"), req(wire.WorkComplete, "HANDLE", "x")} {
		h := c.submit(wire.SubmitJob, "f", "u", "")
		if got := wants.submit(wire.SubmitJob, "f", "u", ""); got != h {
			t.Fatalf("got job %s, want %s", got, h)
		}
		w.grab()
		w.send(req(wire.WorkException, h, "boom"))
		c.want(`WORK_FAIL handle="` + h + `"`)
		wants.want(`WORK_EXCEPTION handle="` + h + `" data=4:"boom"`)
		if after != nil {
			var p wire.Packet
			if _, err := wire.Decode(after, wire.Limits{}, &p); err != nil {
				t.Fatal(err)
			}
			p.Args[0] = []byte(h)
			w.send(p.Append(nil))
			w.sync() // swallowed
			w.send(p.Append(nil))
			w.wantError(wire.CodeJobNotFound) // once
		}
		c.sync()
		wants.sync()
	}
}

func TestUnknownOption(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	p.send(req(wire.OptionReq, "exception"))
	p.wantError(wire.CodeUnknownOption)
	p.sync()
}

func TestAllYoursIsIgnored(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	p.send(req(wire.AllYours))
	p.sync()
}

func TestWorkerVanishes(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, next, c := worker(t, addr, "f"), worker(t, addr, "f"), dial(t, addr)
	first := c.submit(wire.SubmitJob, "f", "", "")
	second := c.submit(wire.SubmitJobBG, "f", "", "")
	third := c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	w.grab()
	w.send(req(wire.WorkStatus, first, "5", "10"))
	c.want(`WORK_STATUS handle="` + first + `" numerator="5" denominator="10"`)
	w.Close()
	eventually(t, "its jobs are back", func() bool { return c.job(second).Attempts == 1 })
	c.send(req(wire.GetStatus, first))
	c.want(`STATUS_RES handle="` + first + `" known="1" running="0" numerator="0" denominator="0"`)
	for _, want := range []string{first, second, third} { // at the head, in their order
		if got := next.grab(); got != want {
			t.Errorf("got job %s, want %s", got, want)
		}
	}
	next.send(req(wire.WorkComplete, first, "x"))
	c.want(`WORK_COMPLETE handle="` + first + `" data=1:"x"`)
}

func TestWorkerVanishesTooOften(t *testing.T) {
	for _, tt := range []struct {
		name    string
		retries *int
		runs    int
	}{
		{"none is one attempt", ptr(0), 1},
		{"one", ptr(1), 1},
		{"three", ptr(3), 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log logs
			_, addr := start(t, server.Config{JobRetries: tt.retries, Logger: log.logger(0)})
			c := dial(t, addr)
			h := c.submit(wire.SubmitJob, "f", "", "")
			for range tt.runs {
				w := worker(t, addr, "f")
				w.send(req(wire.PreSleep))
				w.want(`NOOP`)
				w.grab()
				w.Close()
			}
			c.want(`WORK_FAIL handle="` + h + `"`)
			c.send(req(wire.GetStatus, h))
			c.want(`STATUS_RES handle="` + h + `" known="0" running="0" numerator="0" denominator="0"`)
			log.wait(t, "level=WARN", "msg=ended", h, "retries exhausted")
		})
	}
}

func TestRetriesForEver(t *testing.T) {
	_, addr := start(t, server.Config{JobRetries: ptr(-1)})
	c := dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	for range 30 {
		w := worker(t, addr, "f")
		w.send(req(wire.PreSleep))
		w.want(`NOOP`)
		w.grab()
		w.Close()
	}
	eventually(t, "it waits again", func() bool { return c.job(h).Attempts == 30 })
	c.sync()
}

func TestLastClientLeaves(t *testing.T) {
	tests := []struct {
		name       string
		run        bool
		background bool // somebody submitted it so too
		want       string
	}{
		{"waiting", false, false, "f\t0\t0\t1"},
		{"waiting, background too", false, true, "f\t1\t0\t1"},
		{"running", true, false, "f\t1\t1\t1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, addr := start(t, server.Config{})
			w, c, other := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
			h := c.submit(wire.SubmitJob, "f", "u", "")
			if tt.background {
				other.submit(wire.SubmitJobBG, "f", "u", "")
			}
			if tt.run {
				w.grab()
			}
			c.Close()
			eventually(t, "the client is gone", func() bool { return len(other.list("workers")) == 2 })
			eventually(t, "status is "+tt.want, func() bool { return other.list("status")[0] == tt.want })
			if tt.run {
				w.send(req(wire.WorkData, h, "x"), req(wire.WorkComplete, h, "x"))
				w.sync() // no ERROR: the result is thrown away
			}
		})
	}
}

func TestOnlyOneOfTwoClientsLeaves(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c, stays := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "u", "")
	stays.submit(wire.SubmitJob, "f", "u", "")
	c.Close()
	eventually(t, "the client is gone", func() bool { return len(stays.list("workers")) == 2 })
	w.grab()
	w.send(req(wire.WorkComplete, h, "x"))
	stays.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)
}
