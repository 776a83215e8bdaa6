package gearman

import (
	"context"
	"slices"
)

// extraSlot is a slot that does jobs in place of a slot whose handler waits for them.
// The handler starts its goroutine, and the waiting slot awaits its end before its
// next job. So at most WorkerOptions.Concurrency handlers work at the same time, not
// counting those that wait.
type extraSlot struct {
	*slot
	end  context.CancelFunc // makes it accept no more jobs
	done chan struct{}      // closed when its goroutines have ended
}

// Lend makes the worker do other jobs, one at a time, until end is called or the
// handler returns. A handler calls it before it waits for jobs that it has submitted,
// because these may need this worker. The worker opens an additional slot with its own
// connections. When the loan ends, that slot finishes its job, and only then does the
// handler's slot accept another one.
//
// During the loan the worker accepts jobs even after Worker.Stop, and more than
// WorkerOptions.MaxJobs, which counts them. Worker.Abort ends the loan.
//
// A job can be lent once. Another call, or a call after the return of the handler,
// does nothing. end may be called more than once, and does not wait.
func (j *Job) Lend() (end func()) {
	s := j.slot
	s.mu.Lock()
	if s.job != j || s.extra != nil {
		s.mu.Unlock()
		return func() {}
	}
	p := newExtraSlot(s)
	s.extra = p
	s.mu.Unlock()
	s.worker.runExtraSlot(p)
	return p.end
}

func newExtraSlot(s *slot) *extraSlot {
	stopping, end := context.WithCancel(s.worker.aborting)
	p := &extraSlot{slot: newSlot(s.worker, s.firstLink, s.jobs, stopping), end: end, done: make(chan struct{})}
	p.isExtra = true
	return p
}

// runExtraSlot runs an extra slot until its end.
func (w *Worker) runExtraSlot(p *extraSlot) {
	w.mu.Lock()
	w.slots = append(w.slots, p.slot)
	w.mu.Unlock()
	go func() {
		defer close(p.done)
		defer w.removeExtraSlot(p)
		p.run()
	}()
}

// removeExtraSlot removes an extra slot that has ended.
func (w *Worker) removeExtraSlot(p *extraSlot) {
	p.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots = slices.DeleteFunc(w.slots, func(s *slot) bool { return s == p.slot })
}

// hasExtraSlot reports whether the slot is lent.
func (s *slot) hasExtraSlot() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extra != nil
}

// awaitExtraSlot waits for the extra slot of a job that has ended.
func (s *slot) awaitExtraSlot() {
	s.mu.Lock()
	p := s.extra
	s.mu.Unlock()
	if p == nil {
		return
	}
	<-p.done
	s.mu.Lock()
	s.extra = nil
	s.mu.Unlock()
}
