package gearman

import (
	"context"
	"slices"
)

// spare is a slot that does jobs in the place of one whose handler waits for
// them. Its goroutine is started by the handler and awaited by the other slot's,
// before that takes its next job: so no more than Options.Concurrency handlers
// are at work beside those that wait.
type spare struct {
	*slot
	end  context.CancelFunc // it is to take no more
	done chan struct{}      // closed when its goroutines have ended
}

// Lend has the worker do other jobs meanwhile, one at a time, until end is called
// or the handler has returned. It is for a handler that is about to wait for
// jobs which it has submitted: they may need this very worker. The worker opens
// one more slot for it, with connections of its own, which finishes its job
// when the loan ends; the handler's slot takes no other job before that.
//
// As long as the handler may need them, jobs are taken after Worker.Stop, too,
// and beyond WorkerOptions.MaxJobs, for which they count. Worker.Abort ends
// the loan.
//
// A job has one loan: another call, or one after the handler's return, does
// nothing. end may be called more than once, and does not wait.
func (j *Job) Lend() (end func()) {
	s := j.slot
	s.mu.Lock()
	if s.job != j || s.spare != nil {
		s.mu.Unlock()
		return func() {}
	}
	p := newSpare(s)
	s.spare = p
	s.mu.Unlock()
	s.worker.open(p)
	return p.end
}

func newSpare(s *slot) *spare {
	stopping, end := context.WithCancel(s.worker.aborting)
	p := &spare{slot: newSlot(s.worker, s.turn, s.jobs, stopping), end: end, done: make(chan struct{})}
	p.isSpare = true
	return p
}

// open runs a spare until its end.
func (w *Worker) open(p *spare) {
	w.mu.Lock()
	w.slots = append(w.slots, p.slot)
	w.mu.Unlock()
	go func() {
		defer close(p.done)
		defer w.close(p)
		p.run()
	}()
}

// close forgets a spare that has ended.
func (w *Worker) close(p *spare) {
	p.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots = slices.DeleteFunc(w.slots, func(s *slot) bool { return s == p.slot })
}

// hasSpare reports whether the slot's job has lent it.
func (s *slot) hasSpare() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spare != nil
}

// rejoin waits for the spare of a job that has ended.
func (s *slot) rejoin() {
	s.mu.Lock()
	p := s.spare
	s.mu.Unlock()
	if p == nil {
		return
	}
	<-p.done
	s.mu.Lock()
	s.spare = nil
	s.mu.Unlock()
}
