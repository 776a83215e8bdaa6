package gearman

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// WorkerOptions are the options of a worker. The zero value is ready for use.
type WorkerOptions struct {
	Options

	// ID is the worker's name in Admin.Workers and Admin.Sessions (SET_CLIENT_ID).
	// It must not contain white space. Empty sends none.
	ID string

	// Concurrency is the number of jobs that run at the same time, of all servers
	// together; 0 means 1. The worker has that many slots. A slot runs one job at a
	// time and has its own connection to each server, so that a job does not wait
	// for the results of another, and can end its connection without an effect on
	// others.
	Concurrency int

	// Middleware wraps the handlers of all functions. Each element gets a handler
	// and returns the one that is called instead, for example one that measures
	// the time of the job and then calls the first. The first element is the
	// outermost: it sees a job first and its result last. A panic of a handler
	// passes through the middleware before the worker makes an exception of it.
	Middleware []func(Handler) Handler

	// Idle is called by a slot that waits for a job, once for each wait. Its
	// context is done as soon as a server may have a job, or when the worker stops.
	// The slot accepts no job before Idle returns. Several slots may call it at the
	// same time.
	Idle func(ctx context.Context)

	// Empty is called each time that no job of the worker runs, every server is
	// connected, and all have answered that they have no job for it. It runs in its
	// own goroutine, and Run waits for it. Its context is done as soon as a server
	// may have a job, a connection is lost, or the worker stops. A worker that
	// should end when its queues are empty calls Worker.Stop in it. Empty ignores
	// jobs that are delayed or run on other workers.
	Empty func(ctx context.Context)

	// Cancelable lets gm's server stop a running job that Admin.CancelRunning
	// cancels: the context of the job is done with the cause ErrCancelled, and the
	// job does not return to its queue, even if the handler returns ErrRetry. Other
	// servers do not support this.
	Cancelable bool

	// MaxJobs is the number of jobs after which the worker stops gracefully; 0 is
	// no limit.
	MaxJobs int

	// OnLost is called when a server is lost or could not be reached, OnBack when
	// it is back: once each, like the records of Logger. They must not block.
	OnLost func(s Server, err error)
	OnBack func(s Server)
}

// Worker does jobs for all of its servers.
//
// Its goroutines: each slot has one for its jobs, and one for each server, which
// connects and takes turns with the first to read. A job that has lent its
// slot adds another slot; see [Job.Lend]. Each call of WorkerOptions.Empty has a
// goroutine. Run returns when all of them have ended.
type Worker struct {
	opts WorkerOptions

	stopping context.Context // done when the worker accepts no more jobs
	stop     context.CancelFunc
	aborting context.Context // done when running jobs must end early
	abort    context.CancelFunc

	mu        sync.Mutex
	ran       bool
	functions map[string]*function // by name
	names     []string             // in the order of Handle
	version   int                  // counts changes of functions
	slots     []*slot
	reserved  int // jobs that are done, run or are requested; for MaxJobs
	finished  int // jobs that are done
	sights    map[Server]*sight
	resting   int                // slots for which no server has a job
	notEmpty  context.CancelFunc // ends the context of Empty; nil if it was not called

	emptied sync.WaitGroup // calls of Empty
}

// sight is the state of a server as all slots together observe it.
type sight struct {
	up   int  // number of connections
	ever bool // there was a connection once
	lost bool

	answered bool  // it has sent a packet
	foreign  error // the protocol error of its first bytes, if it never sent a packet
}

// NewWorker returns a worker without functions, which [Worker.Handle] adds. It
// does not connect. It returns an error only if o is invalid.
func NewWorker(o WorkerOptions) (*Worker, error) {
	var err error
	if o.Options, err = o.Options.withDefaults(); err != nil {
		return nil, err
	}
	o.Concurrency = orDefault(o.Concurrency, 1)
	switch {
	case o.Concurrency < 0:
		return nil, fmt.Errorf("options: concurrency %d is negative", o.Concurrency)
	case o.MaxJobs < 0:
		return nil, fmt.Errorf("options: maximum of %d jobs is negative", o.MaxJobs)
	case slices.ContainsFunc(o.Middleware, func(wrap func(Handler) Handler) bool { return wrap == nil }):
		return nil, errors.New("options: a middleware is nil")
	case strings.ContainsAny(o.ID, " \t\r\n\v\f\x00"):
		return nil, fmt.Errorf("options: id %q has blanks or a NUL", o.ID)
	case len(o.ID) > maxNames:
		return nil, fmt.Errorf("options: id of %d bytes is over the limit %d", len(o.ID), maxNames)
	}
	w := &Worker{opts: o, functions: make(map[string]*function), sights: make(map[Server]*sight)}
	for _, s := range o.Servers {
		w.sights[s] = new(sight)
	}
	w.stopping, w.stop = context.WithCancel(context.Background())
	w.aborting, w.abort = context.WithCancel(context.Background())
	return w, nil
}

// Run does jobs until ctx is done, Stop is called or MaxJobs jobs are done. Then
// it waits for the running jobs, sends their results and returns nil. It connects
// to each server and reconnects without limit, so that an unreachable server is
// no error. If none of the servers speaks the Gearman protocol, it returns an
// ErrNoServer. The contexts of jobs have the values of ctx, but the end of ctx does
// not end them. A worker runs once: a second Run returns an error.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	if w.ran {
		w.mu.Unlock()
		return errors.New("worker has been run already")
	}
	w.ran = true
	jobs, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for n := range w.opts.Concurrency {
		w.slots = append(w.slots, newSlot(w, n, jobs, w.stopping))
	}
	w.mu.Unlock()

	defer context.AfterFunc(ctx, w.Stop)()
	defer context.AfterFunc(w.aborting, cancel)()
	var running sync.WaitGroup
	for _, s := range w.slots {
		running.Go(s.run)
	}
	running.Wait()
	w.Stop()
	w.emptied.Wait()
	return w.foreignServers()
}

// Stop makes Run return when the running jobs are done. It does not wait. It may
// be called more than once, and before Run.
func (w *Worker) Stop() {
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pokeLocked()
}

// Abort calls Stop and ends the contexts of the running jobs. The jobs end with
// the results that their handlers then return.
func (w *Worker) Abort() {
	w.Stop()
	w.abort()
}

func (w *Worker) log() *slog.Logger { return w.opts.Logger }

// pokeLocked wakes every slot after a change.
func (w *Worker) pokeLocked() {
	for _, s := range w.slots {
		s.poke()
	}
}

// reserveJob counts a job against MaxJobs before a slot requests it, and reports
// whether the slot may. Jobs of an extra slot are not limited.
func (w *Worker) reserveJob(extra bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !extra && w.opts.MaxJobs > 0 && w.reserved >= w.opts.MaxJobs {
		return false
	}
	w.reserved++
	return true
}

// releaseJob returns a reservation: there was no job.
func (w *Worker) releaseJob() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reserved--; w.opts.MaxJobs > 0 {
		w.pokeLocked()
	}
}

// countJob counts a job that is done, and stops the worker after the last one.
func (w *Worker) countJob() {
	w.mu.Lock()
	w.finished++
	last := w.opts.MaxJobs > 0 && w.finished >= w.opts.MaxJobs
	w.mu.Unlock()
	if last {
		w.Stop()
	}
}

// rest records that no server has a job for a slot, and calls Empty if this holds
// for all slots.
func (w *Worker) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resting++
	if w.opts.Empty == nil || w.resting < len(w.slots) || w.notEmpty != nil {
		return
	}
	ctx, cancel := context.WithCancel(w.stopping)
	w.notEmpty = cancel
	w.emptied.Go(func() {
		defer cancel()
		w.opts.Empty(ctx)
	})
}

// endRest records that a server may have a job for a slot again.
func (w *Worker) endRest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resting--
	if w.notEmpty != nil {
		w.notEmpty()
		w.notEmpty = nil
	}
}

// found records a connection to s.
func (w *Worker) found(s Server) {
	w.mu.Lock()
	v := w.sights[s]
	v.up++
	first, back := !v.ever, v.lost
	v.ever, v.lost = true, false
	w.mu.Unlock()
	switch {
	case first:
		w.log().Info("connected", "server", s.String())
	case back:
		w.log().Info("server back", "server", s.String())
	}
	if f := w.opts.OnBack; f != nil && back {
		f(s)
	}
}

// missed records that s could not be reached.
func (w *Worker) missed(s Server, err error) {
	w.mu.Lock()
	v := w.sights[s]
	news := v.up == 0 && !v.lost && w.stopping.Err() == nil
	v.lost = v.lost || news
	ever := v.ever
	w.mu.Unlock()
	switch {
	case !news:
		w.log().Debug("connection failed", "server", s.String(), "error", err)
		return
	case ever:
		w.log().Warn("server lost", "server", s.String(), "error", err)
	default:
		w.log().Warn("server not reached yet: trying again", "server", s.String(), "error", err)
	}
	if f := w.opts.OnLost; f != nil {
		f(s, err)
	}
}

// dropped records the end of a connection that found has recorded.
func (w *Worker) dropped(s Server, err error) {
	w.mu.Lock()
	w.sights[s].up--
	w.mu.Unlock()
	if !errors.Is(err, errHungUp) {
		w.missed(s, err)
	}
}
