package server_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// shutdown starts Shutdown and returns when the server drains.
func shutdown(t *testing.T, ctx context.Context, s *server.Server, observer *peer) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	eventually(t, "it drains", func() bool { return observer.stat().Draining })
	return done
}

func TestDrainLetsRunningJobsEnd(t *testing.T) {
	for _, st := range []*journal{nil, newJournal()} {
		cfg := server.Config{}
		if st != nil {
			cfg.Store = st
		}
		s, addr := start(t, cfg)
		w, c := worker(t, addr, "f"), dial(t, addr)
		h := c.submit(wire.SubmitJob, "f", "", "")
		w.grab()
		done := shutdown(t, t.Context(), s, w)

		for _, typ := range []wire.Type{wire.SubmitJob, wire.SubmitJobBG} {
			c.send(req(typ, "f", "", ""))
			c.wantError(wire.CodeShutdown)
		}
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			t.Error("a new connection was taken")
		}
		// The old ones work on, and the result arrives.
		w.send(req(wire.WorkData, h, "part"))
		c.want(`WORK_DATA handle="` + h + `" data=4:"part"`)
		w.send(req(wire.WorkComplete, h, "x"))
		c.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		c.wantEnd()
		w.wantEnd()
		if err := s.Shutdown(t.Context()); !errors.Is(err, server.ErrClosed) {
			t.Errorf("Shutdown again: %v, want ErrClosed", err)
		}
	}
}

func TestDrainHandsOutWhatMemoryWouldLose(t *testing.T) {
	s, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	var hs []string
	for range 3 {
		hs = append(hs, c.submit(wire.SubmitJobBG, "f", "", ""))
	}
	c.submit(wire.SubmitJobBG, "nobody", "", "")                                              // is lost
	c.submit(wire.SubmitJobEpoch, "f", "", strconv.FormatInt(time.Now().Unix()+1000, 10), "") // so is this
	done := shutdown(t, t.Context(), s, w)
	for _, h := range hs {
		if got := w.grab(); got != h {
			t.Errorf("got job %s, want %s", got, h)
		}
		w.send(req(wire.WorkComplete, h, ""))
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestDrainKeepsWhatTheStoreHas(t *testing.T) {
	st := newJournal()
	s, addr := start(t, server.Config{Store: st})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJobBG, "f", "", "runs")
	c.submit(wire.SubmitJobBG, "f", "", "waits")
	w.grab()
	done := shutdown(t, t.Context(), s, w)
	w.send(req(wire.GrabJob), req(wire.PreSleep))
	w.want(`NO_JOB`)
	w.send(req(wire.WorkComplete, h, ""))
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := st.payloads(t); got != "waits" {
		t.Errorf("stored %q, want waits", got)
	}
}

// Foreground jobs are in no store: they are handed out, in front of what the store
// keeps, and their clients get the results.
func TestDrainHandsOutForegroundJobs(t *testing.T) {
	st := newJournal()
	s, addr := start(t, server.Config{Store: st})
	w, c := worker(t, addr, "g", "f"), dial(t, addr)
	c.submit(wire.SubmitJobBG, "f", "", "waits")
	c.submit(wire.SubmitJobHighBG, "g", "", "high")
	low := c.submit(wire.SubmitJobLow, "f", "", "low")
	normal := c.submit(wire.SubmitJob, "g", "", "normal")
	c.submit(wire.SubmitJob, "nobody", "", "") // is lost: nobody can do it
	done := shutdown(t, t.Context(), s, w)
	for _, want := range []string{normal, low} {
		if got := w.grab(); got != want {
			t.Errorf("got job %s, want %s", got, want)
		}
		w.send(req(wire.WorkComplete, want, "x"))
		c.want(`WORK_COMPLETE *`)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := st.payloads(t); got != "waits high" && got != "high waits" {
		t.Errorf("stored %q, want waits and high", got)
	}
}

func TestDrainWithNothingToDo(t *testing.T) {
	var log logs
	s, addr := start(t, server.Config{Logger: log.logger(0)})
	w := worker(t, addr, "f")
	w.send(req(wire.PreSleep))
	w.sync()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	w.wantEnd()
	log.wait(t, "msg=draining", "jobs=0")
	log.wait(t, "msg=stopped", "jobs=0")
}

func TestDrainIsOverWhenTheLastWorkerLeaves(t *testing.T) {
	s, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	done := shutdown(t, t.Context(), s, c)
	w.Close() // the job waits, and nobody is left who could do it
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestDrainThatTakesTooLong(t *testing.T) {
	var log logs
	s, addr := start(t, server.Config{Logger: log.logger(0)})
	w, c := worker(t, addr, "f"), dial(t, addr)
	c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v, want DeadlineExceeded", err)
	}
	c.wantEnd()
	w.wantEnd()
	log.wait(t, "level=WARN", "the jobs that waited in memory are lost", "jobs=1")
}

func TestCloseEndsADrain(t *testing.T) {
	s, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	done := shutdown(t, t.Context(), s, w)
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	c.wantEnd()
}

// The end of the server is not the worker's loss: jobs that ran keep their
// attempts, and even one without retries runs again after the restart.
func TestCloseLeavesRunningJobsToTheNextStart(t *testing.T) {
	st := newJournal()
	s, addr := start(t, server.Config{Store: st, JobRetries: ptr(0)})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJobBG, "f", "u", "x")
	c.submit(wire.SubmitJob, "f", "u", "x") // waits for its result
	w.grab()
	s.Close()
	c.wantEnd() // and is told nothing that is not so
	if got := st.payloads(t); got != "x" {
		t.Errorf("stored %q, want x", got)
	}
	_, addr = start(t, server.Config{Store: st, JobRetries: ptr(0)})
	if got := worker(t, addr, "f").grab(); got != h {
		t.Errorf("got job %s, want %s", got, h)
	}
}

// What is owed when the server is closed is delivered to who reads.
func TestCloseDeliversWhatIsOwed(t *testing.T) {
	s, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	result := make([]byte, 8<<20)
	w.send(req(wire.WorkComplete, h, string(result)))
	w.sync()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if got := c.next(); got.Type != wire.WorkComplete || len(got.Args[1]) != len(result) {
		t.Errorf("got %v of %d bytes", got.Type, len(got.Args[1]))
	}
	c.wantEnd()
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestCloseFromManySides(t *testing.T) {
	st := newJournal()
	s, addr := start(t, server.Config{Store: st})
	for range 20 {
		dial(t, addr).submit(wire.SubmitJobBG, "f", "", "")
	}
	ends := make(chan bool, 8)
	for range cap(ends) {
		go func() {
			s.Close()
			st.mu.Lock()
			defer st.mu.Unlock()
			ends <- st.closed
		}()
	}
	for range cap(ends) {
		if !<-ends {
			t.Error("Close returned before the store was closed")
		}
	}
	if _, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		t.Error("it still listens")
	}
	if err := s.Serve(nopListener{}); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Serve of a closed server: %v", err)
	}
}

type nopListener struct{ net.Listener }

func (nopListener) Close() error { return nil }

// Without a store all jobs are lost with the server, with one those in the foreground.
func TestLostJobs(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  server.Config
		lost int
	}{
		{"memory", server.Config{}, 2},
		{"store", server.Config{Store: newJournal()}, 1},
	} {
		s, addr := start(t, tt.cfg)
		c := dial(t, addr)
		c.submit(wire.SubmitJobBG, "f", "", "")
		c.submit(wire.SubmitJob, "f", "", "")
		if n := s.LostJobs(); n != 0 {
			t.Errorf("%s: %d jobs lost while it runs", tt.name, n)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if n := s.LostJobs(); n != tt.lost {
			t.Errorf("%s: %d jobs lost, want %d", tt.name, n, tt.lost)
		}
	}
}
