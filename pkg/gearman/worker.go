package gearman

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// WorkerOptions are the options of a worker. The zero value is ready for use.
type WorkerOptions struct {
	Options

	// ID is shown by the admin command workers (SET_CLIENT_ID). It must not
	// contain blanks. Empty sends none.
	ID string

	// Concurrency is how many jobs are done at once, over all servers; 0 is 1.
	// The worker has that many slots. A slot has a connection of its own to
	// each server, and at most one job: so jobs do not wait behind each other's
	// results, and one that ends its connection disturbs no other.
	Concurrency int

	// Idle is called by a slot when no server has a job for it, once each time
	// that it would wait for one. Its context is done as soon as there may be
	// one, or the worker stops; the slot takes no job before Idle returns. Slots
	// may call it at the same time.
	Idle func(ctx context.Context)

	// Empty is called when no job of the worker runs and every server is connected
	// and has answered that it has no job for it: once each time, in a goroutine that
	// Run waits for. Its context is done as soon as there may be a job, a connection
	// is lost, or the worker stops. A worker that is to end with its queue calls
	// Worker.Stop in it. Jobs that are delayed, or run elsewhere, do not count.
	Empty func(ctx context.Context)

	// Cancelable lets gm's server stop a running job that is cancelled with
	// Admin.CancelRunning: its context is done then, with the cause ErrCancelled, and
	// the job does not go back to its queue, whatever the handler returns. Other
	// servers know nothing of it.
	Cancelable bool

	// MaxJobs stops the worker gracefully after that many jobs; 0 is no bound.
	MaxJobs int

	// OnLost and OnBack are called when a server is lost or could not be
	// reached, and when it is back: once each, like the Logger's lines. They must
	// not block.
	OnLost func(s Server, err error)
	OnBack func(s Server)
}

// Worker does jobs for all of its servers.
//
// Its goroutines: for each slot one that does the jobs, and for each server of
// a slot one that connects, and reads unless the other does. While a job has lent its slot there is one
// more; see [Job.Lend]. Each call of WorkerOptions.Empty has one. Run ends them all before it returns.
type Worker struct {
	opts WorkerOptions

	stopping context.Context // done when no more jobs are to be taken
	stop     context.CancelFunc
	aborting context.Context // done when jobs that run are to be cut short
	abort    context.CancelFunc

	mu        sync.Mutex
	ran       bool
	functions map[string]*function // by name
	names     []string             // in the order of Handle
	version   int                  // counts changes of functions
	slots     []*slot
	taken     int // jobs that were done, run or are being asked for; for MaxJobs
	finished  int // jobs that were done
	sights    map[Server]*sight
	resting   int                // slots for which no server has a job
	notEmpty  context.CancelFunc // ends the context of Empty; nil if it was not called

	emptied sync.WaitGroup // calls of Empty
}

// sight is how all slots together see a server.
type sight struct {
	up   int  // connections
	ever bool // there was a connection once
	lost bool

	answered bool  // it has sent a packet
	foreign  error // the first thing that it sent was none, and it never sent one
}

// NewWorker returns a worker that can do nothing yet; see [Worker.Handle]. It
// does not connect yet; the error is about o.
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
		return nil, fmt.Errorf("options: most jobs %d is negative", o.MaxJobs)
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

// Run does jobs until ctx is done, Stop is called or MaxJobs are done. Then it
// takes no more, finishes those that run, sees their results off and returns
// nil. It connects to each server and connects again for as long as it takes;
// no server is no error. Job contexts have the values of ctx but are not ended
// by it. A worker runs once: a second Run is an error.
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

// Stop makes Run return once the jobs that run are done. It does not wait, and
// may be called more than once and before Run.
func (w *Worker) Stop() {
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pokeLocked()
}

// Abort is Stop, and ends the contexts of the jobs that run. Handlers that heed
// theirs return early; the jobs end with what they return.
func (w *Worker) Abort() {
	w.Stop()
	w.abort()
}

func (w *Worker) log() *slog.Logger { return w.opts.Logger }

// pokeLocked makes every slot look at what has changed.
func (w *Worker) pokeLocked() {
	for _, s := range w.slots {
		s.poke()
	}
}

// take reserves a job against MaxJobs before a server is asked for it. What a
// spare does is beyond that.
func (w *Worker) take(spare bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !spare && w.opts.MaxJobs > 0 && w.taken >= w.opts.MaxJobs {
		return false
	}
	w.taken++
	return true
}

// giveBack returns a reservation: there was no job.
func (w *Worker) giveBack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken--; w.opts.MaxJobs > 0 {
		w.pokeLocked()
	}
}

// count counts a job that was done, and stops the worker after the last.
func (w *Worker) count() {
	w.mu.Lock()
	w.finished++
	last := w.opts.MaxJobs > 0 && w.finished >= w.opts.MaxJobs
	w.mu.Unlock()
	if last {
		w.Stop()
	}
}

// rest notes that no server has a job for a slot, and calls Empty if that holds
// for all of them.
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

// endRest notes that a server may have a job for a slot again.
func (w *Worker) endRest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resting--
	if w.notEmpty != nil {
		w.notEmpty()
		w.notEmpty = nil
	}
}

// found notes a connection to s.
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

// missed notes that s could not be reached.
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

// dropped notes the end of a connection that was found.
func (w *Worker) dropped(s Server, err error) {
	w.mu.Lock()
	w.sights[s].up--
	w.mu.Unlock()
	if !errors.Is(err, errHungUp) {
		w.missed(s, err)
	}
}
