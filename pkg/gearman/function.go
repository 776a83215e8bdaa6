package gearman

import (
	"errors"
	"fmt"
	"time"

	"gm/pkg/wire"
)

// FunctionOption is an option of [Worker.Handle].
type FunctionOption func(*function)

// function is one that a worker can do.
type function struct {
	handler Handler
	timeout time.Duration // for the handler; 0 is none
	server  time.Duration // what the server is told; 0 is nothing
	removed bool          // no longer announced; jobs that are on their way are still done
}

// WithTimeout bounds each job of the function: after d the context of its
// handler is done with the cause ErrTimeout. The server is told (CAN_DO_TIMEOUT,
// in milliseconds) a little more, d and a tenth of it and a second, so that the
// handler can end the job itself: what the server does at its timeout is to
// queue the job again.
func WithTimeout(d time.Duration) FunctionOption {
	return func(f *function) { f.timeout, f.server = d, d+d/10+time.Second }
}

// WithServerTimeout sets what the server is told, after WithTimeout or without
// it: d after it has handed out a job it takes the job back and queues it
// again. 0 tells it nothing.
func WithServerTimeout(d time.Duration) FunctionOption {
	return func(f *function) { f.server = d }
}

// Handle makes the worker able to do a function, or changes how it does it. It
// may be called while the worker runs: a slot that is busy announces it after
// its job. Of jobs of one priority servers hand out those of the function first
// that was given first; one that is added while the worker runs goes before those
// that its servers know.
func (w *Worker) Handle(name string, h Handler, opts ...FunctionOption) error {
	f := &function{handler: h}
	for _, opt := range opts {
		opt(f)
	}
	switch {
	case name == "":
		return errors.New("handle: function has no name")
	case !wire.ValidArg(name):
		return fmt.Errorf("handle: function %q has a NUL", name)
	case len(name) > maxNames:
		return fmt.Errorf("handle: function's name of %d bytes is over the limit %d", len(name), maxNames)
	case h == nil:
		return fmt.Errorf("handle %s: no handler", name)
	case f.timeout < 0 || f.server < 0:
		return fmt.Errorf("handle %s: timeout is negative", name)
	}
	w.change(func() {
		if _, known := w.functions[name]; !known {
			w.names = append(w.names, name)
		}
		w.functions[name] = f
	})
	return nil
}

// Remove makes the worker take no more jobs of a function. One that runs, or
// that is on its way to a slot, is still done. It may be called while the worker
// runs; a function that the worker does not have is none to remove.
func (w *Worker) Remove(name string) {
	w.change(func() {
		if f := w.functions[name]; f != nil {
			gone := *f
			gone.removed = true
			w.functions[name] = &gone
		}
	})
}

// change changes the functions and tells the slots.
func (w *Worker) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.version++
	w.pokeLocked()
}

// ability is a function as a server knows it.
type ability struct {
	name    string
	timeout time.Duration
}

// abilities returns what to announce, in the order of Handle, and the version
// of it.
func (w *Worker) abilities() ([]ability, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []ability
	for _, name := range w.names {
		if f := w.functions[name]; !f.removed {
			list = append(list, ability{name, f.server})
		}
	}
	return list, w.version
}

func (w *Worker) function(name string) *function {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.functions[name]
}
