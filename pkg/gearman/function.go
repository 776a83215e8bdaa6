package gearman

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gm/pkg/wire"
)

// FunctionOption is an option of [Worker.Handle].
type FunctionOption func(*function)

// function is a function that a worker can do.
type function struct {
	handler Handler
	timeout time.Duration // of the handler; 0 means no timeout
	server  time.Duration // timeout that is announced to the server; 0 means no timeout
	removed bool          // no longer announced; jobs that were already assigned are still done
}

// WithTimeout limits the time of each job of the function: after d the context
// of its handler is done with the cause [ErrTimeout]. The worker announces 1.1 * d
// plus one second to the server (CAN_DO_TIMEOUT), so that the handler can end the
// job before the server takes it back and queues it again.
func WithTimeout(d time.Duration) FunctionOption {
	return func(f *function) { f.timeout, f.server = d, d+d/10+time.Second }
}

// WithServerTimeout sets the timeout that is announced to the server
// (CAN_DO_TIMEOUT): d after the server has handed out a job, it takes the job
// back and queues it again. 0 announces none. If both options are given,
// WithServerTimeout must follow WithTimeout.
func WithServerTimeout(d time.Duration) FunctionOption {
	return func(f *function) { f.server = d }
}

// Handle registers the handler of a function, or replaces it. The middleware of
// the worker wraps it. Handle may be called while the worker runs: a slot that is
// busy announces the function after its job. Among jobs of equal priority,
// servers first hand out those of the function that was registered first; a
// function that is registered while the worker runs comes before all others.
func (w *Worker) Handle(name string, h Handler, opts ...FunctionOption) error {
	f := &function{handler: w.wrapHandler(h)}
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
	case f.handler == nil:
		return fmt.Errorf("handle %s: middleware returned no handler", name)
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

// Remove makes the worker accept no more jobs of a function. A job that runs, or
// that a server has already assigned, is still done. Remove may be called while
// the worker runs. It does nothing if the function is not registered.
func (w *Worker) Remove(name string) {
	w.change(func() {
		if f := w.functions[name]; f != nil {
			changed := *f
			changed.removed = true
			w.functions[name] = &changed
		}
	})
}

// wrapHandler returns h inside the middleware of the worker, the first one
// outermost. It returns nil if a middleware does.
func (w *Worker) wrapHandler(h Handler) Handler {
	for _, wrap := range slices.Backward(w.opts.Middleware) {
		if h == nil {
			return nil
		}
		h = wrap(h)
	}
	return h
}

// change changes the functions and wakes the slots, which announce them.
func (w *Worker) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.version++
	w.pokeLocked()
}

// ability is a function as it is announced to a server.
type ability struct {
	name    string
	timeout time.Duration
}

// abilities returns the functions to announce, in the order of Handle, and their
// version.
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
