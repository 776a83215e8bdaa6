package server_test

import (
	"cmp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// asksOnce sends the option once, which the server must accept.
func (p *peer) asksOnce() *peer {
	p.t.Helper()
	p.send(req(wire.OptionReq, "once"))
	p.want(`OPTION_RES option="once"`)
	return p
}

// bg is a background submission.
func bg(function, unique, payload string) []byte {
	return req(wire.SubmitJobBG, function, unique, payload)
}

// TestOnce submits a job, ends it in many ways, and submits again.
func TestOnce(t *testing.T) {
	completes := func(_, w *peer, h string) { w.finish(h, "done") }
	fails := func(_, w *peer, h string) { w.fails(h, failure(h)) }
	cancels := func(c *peer, h string) {
		if got := c.line("cancel job " + h); got != "OK" {
			c.t.Errorf("cancel: %q", got)
		}
	}
	for _, test := range []struct {
		name   string
		cfg    server.Config
		option string // empty is once
		first  []byte // the submission; nil is that of bg("f", "u", "x")
		end    func(c, w *peer, h string)
		again  []byte // nil is the same submission
		plain  bool   // the second submission comes from a connection without the option
		repeat bool   // the second submission gets the first job
	}{
		{name: "completed", end: completes, repeat: true},
		{name: "dead", end: fails, repeat: true},
		{name: "dead by an exception", end: func(_, w *peer, h string) { w.fails(h, exception(h, "boom")) }, repeat: true},
		{name: "failed and not kept as dead", cfg: server.Config{DeadMax: ptr(0)}, end: fails, repeat: true},
		{
			name: "lost its only worker", cfg: server.Config{JobRetries: ptr(0)}, repeat: true,
			end: func(c, w *peer, h string) {
				w.grab()
				w.Close()
				eventually(c.t, "the job is dead", func() bool { return c.numDead() == 1 })
			},
		},
		{
			name: "dead and purged", repeat: true,
			end: func(c, w *peer, h string) {
				w.fails(h, failure(h))
				if got := c.line("purge dead f"); got != "OK 1" {
					c.t.Errorf("purge: %q", got)
				}
			},
		},
		{
			name: "dead and retried", repeat: true,
			end: func(c, w *peer, h string) {
				w.fails(h, failure(h))
				if got := c.line("retry job " + h); got != "OK" {
					c.t.Errorf("retry: %q", got)
				}
				w.finish(h, "done")
			},
		},
		{
			name: "dead, retried and cancelled",
			end: func(c, w *peer, h string) {
				w.fails(h, failure(h))
				c.line("retry job " + h)
				cancels(c, h)
			},
		},
		{name: "cancelled while it waits", end: func(c, _ *peer, h string) { cancels(c, h) }},
		{name: "purged", end: func(c, _ *peer, _ string) { c.line("purge function f") }},
		{
			name: "cancelled while it runs, and completed", repeat: true,
			end: func(c, w *peer, h string) {
				w.grab()
				cancels(c, h)
				w.send(req(wire.WorkComplete, h, ""))
				w.sync()
			},
		},
		{
			name: "cancelled while it runs, and failed",
			end: func(c, w *peer, h string) {
				w.grab()
				cancels(c, h)
				w.send(failure(h))
				w.sync()
			},
		},
		{
			name: "cancelled while it runs, and lost",
			end: func(c, w *peer, h string) {
				w.grab()
				cancels(c, h)
				w.Close()
				eventually(c.t, "the job has ended", func() bool { return len(c.list("jobs")) == 0 })
			},
		},
		{name: "another function", end: completes, again: bg("g", "u", "x")},
		{name: "another unique", end: completes, again: bg("f", "v", "x")},
		{name: "another payload", end: completes, again: bg("f", "u", "y"), repeat: true},
		{name: "names that join to the same text", first: bg("f", "gu", "x"), end: completes, again: bg("fg", "u", "x")},
		{name: "without a unique", first: bg("f", "", "x"), end: completes},
		{name: "the payload as unique", first: bg("f", "-", "x"), end: completes, repeat: true},
		{name: "the payload as unique, another payload", first: bg("f", "-", "x"), end: completes, again: bg("f", "-", "y")},
		{name: "the payload as unique, no payload", first: bg("f", "-", ""), end: completes},
		{name: "the payload as unique, and as a name", first: bg("f", "-", "x"), end: completes, again: bg("f", "x", "x")},
		{name: "a long unique", first: bg("f", strings.Repeat("u", 255), "x"), end: completes, repeat: true},
		{name: "high priority", end: completes, again: req(wire.SubmitJobHighBG, "f", "u", "x"), repeat: true},
		{name: "low priority", end: completes, again: req(wire.SubmitJobLowBG, "f", "u", "x"), repeat: true},
		{name: "delayed", end: completes, again: req(wire.SubmitJobEpoch, "f", "u", "9999999999", "x"), repeat: true},
		{name: "first delayed", first: req(wire.SubmitJobEpoch, "f", "u", "1", "x"), end: completes, again: bg("f", "u", "x"), repeat: true},
		{name: "reduced", end: completes, again: req(wire.SubmitReduceJobBG, "f", "u", "r", "", "x"), repeat: true},
		{name: "foreground", end: completes, again: req(wire.SubmitJob, "f", "u", "x")},
		{
			name: "after a foreground job", first: req(wire.SubmitJob, "f", "u", "x"), again: bg("f", "u", "x"),
			end: func(c, w *peer, h string) {
				w.finish(h, "done")
				c.want(`WORK_COMPLETE *`)
			},
		},
		{name: "with a prefix", option: "once:a:", first: bg("f", "a:u", "x"), end: completes, repeat: true},
		{name: "with another prefix", option: "once:a:", first: bg("f", "b:u", "x"), end: completes},
		{name: "with an empty prefix", option: "once:", end: completes, repeat: true},
		{name: "with a prefix that is too long", option: "once:" + strings.Repeat("u", 300), first: bg("f", strings.Repeat("u", 255), "x"), end: completes},
		{name: "with a prefix, the payload as unique", option: "once:x", first: bg("f", "-", "x"), end: completes},
		{name: "a connection without the option", end: completes, plain: true},
		{
			name: "a full queue", repeat: true,
			end: func(c, w *peer, h string) {
				w.finish(h, "done")
				c.submit(wire.SubmitJobBG, "f", "other", "x")
				if got := c.line("maxqueue f 1"); got != "OK" {
					c.t.Errorf("maxqueue: %q", got)
				}
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, st := range []store.Store{nil, newJournal()} {
				cfg := test.cfg
				cfg.Store, cfg.KeepResults = st, time.Hour
				s, addr := start(t, cfg)
				c, w := dial(t, addr), worker(t, addr, "f")
				option := cmp.Or(test.option, "once")
				c.send(req(wire.OptionReq, option))
				c.want(`OPTION_RES option="once*`)
				if test.first == nil {
					test.first = bg("f", "u", "x")
				}
				if test.again == nil {
					test.again = test.first
				}
				c.send(test.first)
				h := c.want(`JOB_CREATED *`)[0]
				test.end(c, w, h)
				before := len(c.list("jobs"))
				if test.plain {
					c = dial(t, addr)
				}
				c.send(test.again)
				again := c.want(`JOB_CREATED *`)[0]
				want := before
				if !test.repeat {
					want++
				}
				if got := len(c.list("jobs")); (again == h) != test.repeat || got != want {
					t.Errorf("store %T: got job %s after %s, and %d jobs; want the same job: %v, %d jobs", st, again, h, got, test.repeat, want)
				}
				s.Close()
			}
		})
	}
}

// TestOnceJoinsBeforeItRepeats submits the unique of a job that has ended and of one
// that waits.
func TestOnceJoinsBeforeItRepeats(t *testing.T) {
	s, addr := start(t, server.Config{KeepResults: time.Hour})
	c, w, plain := dial(t, addr).asksOnce(), worker(t, addr, "f"), dial(t, addr)
	ended := does(plain, w, "u", "done")
	second := plain.submit(wire.SubmitJobBG, "f", "u", "x")
	if got := c.submit(wire.SubmitJobBG, "f", "u", "x"); got != second || second == ended {
		t.Errorf("got job %s, want %s, which waits", got, second)
	}
	w.finish(second, "done")
	if got := c.submit(wire.SubmitJobBG, "f", "u", "x"); got != second {
		t.Errorf("got job %s, want the latest, %s", got, second)
	}
	if f := server.Snapshot(s)[0]; f.Submitted != 2 || f.Coalesced != 2 {
		t.Errorf("%d submitted and %d coalesced, want 2 each", f.Submitted, f.Coalesced)
	}
}

// TestOnceIsRefused asks servers that keep no results.
func TestOnceIsRefused(t *testing.T) {
	_, addr := start(t, server.Config{})
	c, w := dial(t, addr), worker(t, addr, "f")
	c.send(req(wire.OptionReq, "once"))
	c.wantError(wire.CodeUnknownOption)
	h := does(c, w, "u", "done")
	if c.submit(wire.SubmitJobBG, "f", "u", "x") == h {
		t.Error("a submission was answered with a job that has ended")
	}
	c.send(req(wire.OptionReq, "once:"))
	c.wantError(wire.CodeUnknownOption)
	_, addr = start(t, server.Config{KeepResults: time.Hour})
	c = dial(t, addr)
	c.send(req(wire.OptionReq, "ONCE"))
	c.want(`OPTION_RES option="ONCE"`)
}

// TestOnceForgets expects a new job when the outcome of the last one is not kept any
// more.
func TestOnceForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{Store: newJournal(), KeepResults: time.Hour, ResultsMemory: 4000})
		c, w := dial().asksOnce(), dial()
		w.send(req(wire.CanDo, "f"))
		h := does(c, w, "u", "done")
		time.Sleep(time.Hour - time.Millisecond)
		if got := c.submit(wire.SubmitJobBG, "f", "u", "x"); got != h {
			t.Errorf("just before the hour: got job %s, want %s", got, h)
		}
		time.Sleep(time.Millisecond)
		second := does(c, w, "u", "done")
		if second == h {
			t.Error("after the hour: the submission got the old job")
		}
		for _, unique := range []string{"a", "b", "c", "d"} { // these drop the result before
			does(c, w, unique, strings.Repeat("x", 1000))
		}
		if got := c.submit(wire.SubmitJobBG, "f", "u", "x"); got == second {
			t.Error("the submission got a job whose outcome was dropped")
		}
		s := c.line("result " + second)
		if s != "ERR UNKNOWN_JOB" {
			t.Errorf("the dropped result: %q", s)
		}
	})
}

// TestOnceOverARestart has the next server on the store recognize the jobs, and wait
// until it has read them.
func TestOnceOverARestart(t *testing.T) {
	st := newJournal(backlog(2)...)
	cfg := server.Config{Store: st, KeepResults: time.Hour}
	s, addr := start(t, cfg)
	c, w, plain := dial(t, addr).asksOnce(), worker(t, addr, "g"), dial(t, addr)
	do := func(p *peer, unique string) string {
		h := p.submit(wire.SubmitJobBG, "g", unique, "x")
		w.finish(h, "done")
		return h
	}
	do(plain, "twice")
	began := time.Now().UnixMilli()
	eventually(t, "the clock goes on", func() bool { return time.Now().UnixMilli() > began })
	bytes := strings.Repeat("\xff", 100)
	want := map[string]string{
		"twice": do(plain, "twice"), "u": do(c, "u"), "-": do(c, "-"), bytes: do(c, bytes),
		"dead": c.submit(wire.SubmitJobBG, "g", "dead", "x"),
	}
	w.fails(want["dead"], failure(want["dead"]))
	s.Close()

	reading := &slow{journal: st, after: 1, stopped: make(chan struct{}), goOn: make(chan error, 1)}
	cfg.Store = reading
	s, addr = startLoading(t, cfg)
	<-reading.stopped
	c = dial(t, addr).asksOnce()
	c.send(bg("g", "u", "x"))
	eventually(t, "the submission waits for the store", func() bool { return s.NumUnread() == 1 })
	reading.goOn <- nil
	if got := c.want(`JOB_CREATED *`)[0]; got != want["u"] {
		t.Errorf("while the store was read: got job %s, want %s", got, want["u"])
	}
	for unique, h := range want {
		if got := c.submit(wire.SubmitJobBG, "g", unique, "x"); got != h {
			t.Errorf("%.10q: got job %s, want %s", unique, got, h)
		}
	}
}

// smallValues is a journal with a limit for values.
type smallValues struct{ *journal }

func (smallValues) Caps() store.Caps {
	return store.Caps{Durable: true, Atomic: true, Lists: true, MaxValue: 1000}
}

// TestOnceWithAShortenedResult has the store keep an outcome without the bytes of the
// result.
func TestOnceWithAShortenedResult(t *testing.T) {
	cfg := server.Config{Store: smallValues{newJournal()}, KeepResults: time.Hour}
	s, addr := start(t, cfg)
	c, w := dial(t, addr).asksOnce(), worker(t, addr, "f")
	h := does(c, w, "u", strings.Repeat("x", 2000))
	s.Close()
	if got := len(cfg.Store.(smallValues).extras["result/"+h]); got == 0 || got > 1000 {
		t.Fatalf("stored %d bytes of the result", got)
	}
	_, addr = start(t, cfg)
	c = dial(t, addr).asksOnce()
	if got := c.submit(wire.SubmitJobBG, "f", "u", "x"); got != h {
		t.Errorf("got job %s, want %s", got, h)
	}
}
