package server_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// asksOncePrefix sends the option once with a prefix, which the server must accept.
func (p *peer) asksOncePrefix(prefix string) *peer {
	p.t.Helper()
	p.send(req(wire.OptionReq, "once:"+prefix))
	p.want(`OPTION_RES option="once:*"`)
	return p
}

// TestOncePrefixKeepsOutcomes asks a server that keeps no results to recognize the jobs
// with some uniques.
func TestOncePrefixKeepsOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{Store: newJournal()})
		w := dial()
		w.send(req(wire.CanDo, "f"))
		early := does(dial(), w, "a:0", "done")
		c, plain := dial().asksOncePrefix("a:"), dial()
		if got := does(c, w, "a:0", "done"); got == early {
			t.Error("the server kept the outcome of a job before it was asked to")
		}
		own, foreign, other := does(c, w, "a:1", "done"), does(plain, w, "a:2", "done"), does(c, w, "b:1", "done")
		for unique, h := range map[string]string{"a:1": own, "a:2": foreign} {
			if got := c.submit(wire.SubmitJobBG, "f", unique, "x"); got != h {
				t.Errorf("unique %s: got job %s, want %s, which has ended", unique, got, h)
			}
		}
		if got := c.submit(wire.SubmitJobBG, "f", "b:1", "x"); got == other {
			t.Error("a unique without the prefix got the job that has ended")
		}
		if got := plain.submit(wire.SubmitJobBG, "f", "a:1", "x"); got == own {
			t.Error("a connection without the option got the job that has ended")
		}
		time.Sleep(10 * time.Minute)
		if got := c.submit(wire.SubmitJobBG, "f", "a:2", "x"); got == foreign {
			t.Error("after ten minutes: the submission got the old job")
		}
	})
}

// TestOncePrefixKeepsNoData expects no result of a job whose outcome alone is kept.
func TestOncePrefixKeepsNoData(t *testing.T) {
	_, addr := start(t, server.Config{Store: newJournal()})
	c, w := dial(t, addr).asksOncePrefix("a:"), worker(t, addr, "f")
	h := does(c, w, "a:1", "the result")
	outcome := c.line("result " + h)
	if !strings.Contains(outcome, `"state":"completed"`) || strings.Contains(outcome, `"kept":true`) {
		t.Errorf("result: %s, want the outcome completed and no result", outcome)
	}
	if got := c.line("version"); !strings.HasPrefix(got, ".") && !strings.HasPrefix(got, "OK") {
		t.Errorf("the line after the outcome: %s, want no bytes of a result", got)
	}
}

// TestOncePrefixOverARestart has the next server recognize a job that ended before the
// restart, and one that ends after it although no connection has asked again.
func TestOncePrefixOverARestart(t *testing.T) {
	st := newJournal()
	s, addr := start(t, server.Config{Store: st})
	c, w := dial(t, addr).asksOncePrefix("a:"), worker(t, addr, "f")
	ended := does(c, w, "a:1", "done")
	waits := c.submit(wire.SubmitJobBG, "f", "a:2", "x")
	s.Close()

	_, addr = start(t, server.Config{Store: st})
	w = worker(t, addr, "f")
	w.finish(waits, "done")
	c = dial(t, addr).asksOncePrefix("a:")
	for unique, h := range map[string]string{"a:1": ended, "a:2": waits} {
		if got := c.submit(wire.SubmitJobBG, "f", unique, "x"); got != h {
			t.Errorf("unique %s: got job %s, want %s, which has ended", unique, got, h)
		}
	}
}

// TestOncePrefixesAreFew asks for more prefixes than a server keeps, and lets the others
// become old.
func TestOncePrefixesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newJournal()
		s, dial := startPiped(t, server.Config{Store: st})
		for i := range 65 {
			dial().asksOncePrefix(fmt.Sprintf("%03d:", i))
			time.Sleep(time.Second)
		}
		c, w := dial(), dial()
		w.send(req(wire.CanDo, "f"))
		c.asksOncePrefix("001:")
		dropped, kept := does(c, w, "000:", "done"), does(c, w, "064:", "done")
		if got := dial().asksOncePrefix("064:").submit(wire.SubmitJobBG, "f", "064:", "x"); got != kept {
			t.Errorf("the last prefix: got job %s, want %s", got, kept)
		}
		if got := dial().asksOncePrefix("000:").submit(wire.SubmitJobBG, "f", "000:", "x"); got == dropped {
			t.Error("the server still had the first prefix")
		}
		s.Close()
		if n := numOnce(st); n != 64 {
			t.Errorf("%d prefixes are stored, want 64", n)
		}
		time.Sleep(31 * 24 * time.Hour)
		s, _ = startPiped(t, server.Config{Store: st})
		synctest.Wait()
		s.Close()
		if n := numOnce(st); n != 0 {
			t.Errorf("%d prefixes are stored after a month, want none", n)
		}
	})
}

// TestResultsEndWithTheirOption starts a server without results on the store of one
// that kept them.
func TestResultsEndWithTheirOption(t *testing.T) {
	st := newJournal()
	s, addr := start(t, server.Config{Store: st, KeepResults: time.Hour})
	c, w := dial(t, addr), worker(t, addr, "f")
	h := does(c, w, "u", "the result")
	s.Close()
	s, addr = start(t, server.Config{Store: st})
	if got := dial(t, addr).line("result " + h); got != "ERR UNKNOWN_JOB" {
		t.Errorf("result: %s, want none", got)
	}
	s.Close()
	if _, ok := st.extras["result/"+h]; ok {
		t.Error("the result is still in the store")
	}
}

// numOnce returns the number of stored prefixes.
func numOnce(j *journal) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for key := range j.extras {
		if strings.HasPrefix(key, "once/") {
			n++
		}
	}
	return n
}
