package gearman

import (
	"context"
	"sync"
)

// watches ends the tasks of a client when their contexts are done. Tasks of one
// context share one context.AfterFunc, because a call costs more than the rest of a
// small task.
type watches struct {
	mu sync.Mutex
	of map[<-chan struct{}]*watch // by Context.Done
}

// watch is the list of the tasks of one context; it is never empty while it is
// in watches.of.
type watch struct {
	done  <-chan struct{}
	first *Running
	stop  func() bool
}

// watched is the position of a task in the list of its watch. Guarded by
// watches.mu.
type watched struct {
	watch      *watch // nil if the task is in none
	prev, next *Running
}

// add ends r when its context is done.
func (w *watches) add(r *Running) {
	done := r.ctx.Done()
	if done == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	in := w.of[done]
	if in == nil {
		if w.of == nil {
			w.of = make(map[<-chan struct{}]*watch)
		}
		in = &watch{done: done}
		w.of[done] = in
		in.stop = context.AfterFunc(r.ctx, func() { w.fire(in) })
	}
	r.watch, r.next = in, in.first
	if in.first != nil {
		in.first.prev = r
	}
	in.first = r
}

// remove removes r from its watch.
func (w *watches) remove(r *Running) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := r.watch
	if in == nil {
		return
	}
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		in.first = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.watched = watched{}
	if in.first == nil {
		delete(w.of, in.done)
		in.stop()
	}
}

// fire ends the tasks of a context, each in its own goroutine, so that a blocking
// callback does not affect other tasks.
func (w *watches) fire(in *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of[in.done] == in {
		delete(w.of, in.done)
	}
	for r := in.first; r != nil; {
		next := r.next
		r.watched = watched{}
		go r.cancelled()
		r = next
	}
	in.first = nil
}
