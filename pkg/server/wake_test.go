package server_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

func TestPreSleepWithAReadyJob(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	c.submit(wire.SubmitJobBG, "f", "", "")
	for range 3 { // again and again without a grab between
		w.send(req(wire.PreSleep))
		w.want(`NOOP`)
	}
	w.grab()
	w.send(req(wire.PreSleep))
	w.sync() // nothing is ready
}

func TestPollingWorkerGetsNoNoop(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	w.send(req(wire.GrabJob))
	w.want(`NO_JOB`)
	c.submit(wire.SubmitJobBG, "f", "", "")
	w.sync()
	w.grab()
}

func TestNoopForOtherFunctionIsNotSent(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	w.send(req(wire.PreSleep))
	w.sync()
	c.submit(wire.SubmitJobBG, "g", "", "")
	w.sync()
	w.send(req(wire.CanDo, "g")) // learns it in its sleep
	w.want(`NOOP`)
}

func TestRequeuedJobWakes(t *testing.T) {
	_, addr := start(t, server.Config{})
	first, second, c := worker(t, addr, "f"), worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	first.grab()
	second.send(req(wire.PreSleep))
	second.sync()
	first.Close()
	second.want(`NOOP`)
	if second.grab() != h {
		t.Error("another job came")
	}
}

func TestUnansweredNoopGoesToTheNext(t *testing.T) {
	_, addr := start(t, server.Config{})
	hangs, next, c := worker(t, addr, "f"), worker(t, addr, "f"), dial(t, addr)
	hangs.send(req(wire.PreSleep))
	hangs.sync()
	next.send(req(wire.PreSleep))
	next.sync()
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	hangs.want(`NOOP`) // the one that sleeps longest; it does not ask
	next.want(`NOOP`)
	if next.grab() != h {
		t.Error("another job came")
	}
}

func TestWakeupsOfAll(t *testing.T) {
	_, addr := start(t, server.Config{Wakeups: ptr(0)})
	c := dial(t, addr)
	var ws []*peer
	for range 5 {
		w := worker(t, addr, "f")
		w.send(req(wire.PreSleep))
		w.sync()
		ws = append(ws, w)
	}
	c.submit(wire.SubmitJobBG, "f", "", "")
	for _, w := range ws {
		w.want(`NOOP`)
	}
}

// Each job wakes one of a thousand sleeping workers, no more and no less. Only
// one that takes longer to ask than DefaultWakeAfter, as on a machine that is
// very busy, costs one more.
func TestOneNoopAJob(t *testing.T) {
	const workers, jobs = 1000, 300
	_, addr := start(t, server.Config{})
	c := dial(t, addr)
	var noops atomic.Int64
	done := make(chan struct{}, jobs)
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // after the connections are closed
	for range workers {
		w := dial(t, addr)
		w.send(req(wire.CanDo, "f"), req(wire.PreSleep))
		w.sync()
		wg.Go(func() {
			for {
				if err := w.r.Next(&w.p); err != nil {
					return
				}
				var reply []byte
				switch w.p.Type {
				case wire.Noop:
					noops.Add(1)
					reply = req(wire.GrabJob)
				case wire.JobAssign:
					reply = req(wire.WorkComplete, string(w.p.Args[0]), "")
					reply = append(append(reply, req(wire.PreSleep)...), req(wire.EchoReq, "")...)
				case wire.EchoRes: // it sleeps
					done <- struct{}{}
				case wire.NoJob:
					reply = req(wire.PreSleep)
				default:
					t.Errorf("worker got %v", &w.p)
					return
				}
				if _, err := w.Write(reply); err != nil {
					return
				}
			}
		})
	}
	began := time.Now()
	for i := range jobs {
		c.submit(wire.SubmitJobBG, "f", "", "")
		<-done
		slow := int64(time.Since(began) / server.WakeAfter)
		if got, want := noops.Load(), int64(i+1); got < want || got > want+slow {
			t.Fatalf("%d NOOPs after %d jobs", got, want)
		}
	}
	c.sync()
}
