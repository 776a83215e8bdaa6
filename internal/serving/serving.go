// Package serving runs job servers of package server until a signal, the admin command
// shutdown or a failure ends them. On a store that passes to another process and back it
// runs one server after the other.
//
// [New] returns a [Runner] of a [Config], and [Runner.Run] runs it. One goroutine for
// each listener accepts connections, one runs the worker, one the relay, and one waits for
// signals while the store is acquired or the server drains. All of them end before Run
// returns, except a relay whose database does not answer. The goroutines of the
// connections of the worker and of the relay end with the server.
package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"gm/internal/deferred"
	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/store/open"
)

// Config describes a run.
type Config struct {
	// Server has the settings of each server, with a Logger. Run sets the Store.
	Server server.Config
	// Listen returns the listeners of a server. Its errors end Run unchanged.
	Listen func() ([]net.Listener, error)
	// Listening is called when the first server listens. Its error ends Run. It may be nil.
	Listening func([]net.Listener) error
	// Acquire opens and locks the store. A patient caller had the store before. Its errors
	// end Run unchanged. nil means a server in memory.
	Acquire func(ctx context.Context, patient bool) (store.Store, error)
	// StoreAtEnd keeps the changes in memory, and writes them to the store when the server
	// has ended.
	StoreAtEnd bool
	// NewWorker returns a worker that does jobs of each server. Its options connect to the
	// server without a port; address is the one for other programs on this machine. Its
	// errors end Run unchanged. nil means no worker.
	NewWorker func(o gearman.Options, address string) (Worker, error)
	// NewRelay returns a relay that submits jobs to each server, from the time when the
	// server has read its store until it stops. Its options connect to the server without
	// a port. Its errors end Run unchanged. nil means no relay.
	NewRelay func(o gearman.Options) (Relay, error)
	// DrainTimeout is the maximum time for running jobs after the first signal.
	DrainTimeout time.Duration
	// Signals stops the server: the first signal gracefully, the second at once.
	Signals <-chan os.Signal
}

// DrainError is the error of a server whose jobs did not end in time.
type DrainError struct{ Timeout time.Duration }

func (e *DrainError) Error() string {
	return fmt.Sprintf("drain: jobs were still running after %v", e.Timeout)
}

// LostJobsError is the error of a server that a second signal has stopped, with the
// number of jobs that no store has.
type LostJobsError struct{ Jobs int }

func (e *LostJobsError) Error() string {
	if e.Jobs == 1 {
		return "stop at once: 1 job is lost"
	}
	return fmt.Sprintf("stop at once: %d jobs are lost", e.Jobs)
}

// IOError is the failure of a listener, or of a store that gets the queue at the end.
type IOError struct{ Err error }

func (e *IOError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the listener or the store.
func (e *IOError) Unwrap() error { return e.Err }

// ErrStopped is returned by Acquire when a signal ends it.
var ErrStopped = errors.New("stopped")

// errStoreLost is returned when the store has passed to another process.
var errStoreLost = errors.New("the store has passed to another server")

// Runner runs servers. Its methods are safe for concurrent use.
type Runner struct {
	cfg      Config
	log      *slog.Logger
	listened bool            // a server has listened; of Run
	lost     <-chan struct{} // closed when the store has passed to another process; of Run

	mu       sync.Mutex
	srv      *server.Server           // the running server, or nil
	policies map[string]server.Policy // of the next server
}

// New returns a runner of cfg.
func New(cfg Config) *Runner {
	return &Runner{cfg: cfg, log: cfg.Server.Logger, policies: cfg.Server.Policies}
}

// ReplacePolicies replaces the retry policies of Config.Server, and of the running server
// if there is one, see [server.Server.ReplacePolicies].
func (r *Runner) ReplacePolicies(policies map[string]server.Policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.srv != nil {
		r.srv.ReplacePolicies(r.policies, policies)
	}
	r.policies = policies
}

// Run serves until a signal, the admin command shutdown, or a failure. It may be called
// once.
func (r *Runner) Run() error {
	if r.cfg.Acquire == nil {
		return r.serveStore(nil)
	}
	for patient := false; ; patient = true {
		s, err := Acquire(r.cfg.Signals, r.log, func(ctx context.Context) (store.Store, error) { return r.cfg.Acquire(ctx, patient) })
		if errors.Is(err, ErrStopped) {
			return nil
		}
		if err != nil {
			return err
		}
		r.lost = open.Lost(s)
		if err := r.serveAcquired(s); !errors.Is(err, errStoreLost) {
			return err
		}
	}
}

// Acquire returns the store of acquire. A signal cancels its context; then the store is
// closed, and the error is ErrStopped.
func Acquire(signals <-chan os.Signal, log *slog.Logger, acquire func(context.Context) (store.Store, error)) (store.Store, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopped := false
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case sig := <-signals:
			log.Info("stopping", "signal", sig.String())
			stopped = true
			cancel()
		case <-ctx.Done():
		}
	}()
	s, err := acquire(ctx)
	cancel()
	<-watched
	if stopped {
		return nil, errors.Join(ErrStopped, open.Close(s))
	}
	return s, err
}

// serveAcquired runs a server on a store that this process has locked.
func (r *Runner) serveAcquired(s store.Store) error {
	r.warnOfLimit(s)
	if !r.cfg.StoreAtEnd {
		return r.serveStore(s)
	}
	queue := deferred.New(s)
	err := r.serveStore(queue)
	jobs, flushErr := queue.Flush(context.Background())
	r.log.Info("the queue is stored", "store", r.cfg.Server.StoreName, "jobs", jobs)
	if flushErr != nil {
		r.log.Error("a part of the queue is not stored", "store", r.cfg.Server.StoreName, "err", flushErr)
		flushErr = &IOError{flushErr}
	}
	return errors.Join(err, flushErr)
}

// warnOfLimit logs a warning if the store accepts only smaller payloads than the server:
// larger background jobs will be refused.
func (r *Runner) warnOfLimit(s store.Store) {
	if limit := s.Caps().MaxPayload; limit > 0 && limit < r.cfg.Server.MaxPayload {
		r.log.Warn("the store limits payloads to less than --max-payload: larger background jobs are refused",
			"store", r.cfg.Server.StoreName, "store_limit", limit, "max_payload", r.cfg.Server.MaxPayload)
	}
}

// serveStore listens and runs a server, which closes the store when it ends. A nil store
// is memory.
func (r *Runner) serveStore(s store.Store) error {
	listeners, err := r.cfg.Listen()
	if err != nil {
		return errors.Join(err, open.Close(s))
	}
	cfg := r.cfg.Server
	cfg.Store, cfg.Policies = s, r.currentPolicies()
	srv, err := server.New(cfg)
	if err != nil {
		closeListeners(listeners)
		return errors.Join(err, open.Close(s))
	}
	if err := r.reportListening(listeners); err != nil {
		closeListeners(listeners)
		return errors.Join(err, srv.Close())
	}
	r.setServer(srv, cfg.Policies)
	defer r.setServer(nil, nil)
	return r.runServer(srv, listeners)
}

// reportListening calls Config.Listening for the first server.
func (r *Runner) reportListening(ls []net.Listener) error {
	if r.listened || r.cfg.Listening == nil {
		return nil
	}
	r.listened = true
	return r.cfg.Listening(ls)
}

func (r *Runner) currentPolicies() map[string]server.Policy {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policies
}

// setServer sets the running server, which was made with these policies. They may have
// been replaced since.
func (r *Runner) setServer(srv *server.Server, policies map[string]server.Policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.srv = srv
	if srv != nil {
		srv.ReplacePolicies(policies, r.policies)
	}
}

// runServer serves until a signal, the admin command shutdown, the loss of the store, or
// a listener that fails. The first signal drains, the second stops at once.
func (r *Runner) runServer(srv *server.Server, ls []net.Listener) error {
	stop := make(chan bool, 1) // true: graceful
	srv.OnShutdown(func(graceful bool) {
		select {
		case stop <- graceful:
		default:
		}
	})
	failed := make(chan error, len(ls))
	var accepting sync.WaitGroup
	defer accepting.Wait()
	for _, l := range ls {
		accepting.Go(func() { failed <- srv.Serve(l) })
	}
	stopWork, err := startWorker(r.cfg.NewWorker, srv, ls, r.cfg.Server.MaxPayload)
	if err != nil {
		srv.Close()
		return err
	}
	defer stopWork()
	stopRelay, err := startRelay(r.cfg.NewRelay, srv, r.cfg.Server.MaxPayload, relayPatience)
	if err != nil {
		srv.Close()
		return err
	}
	defer stopRelay()

	select {
	case sig := <-r.cfg.Signals:
		r.log.Info("stopping", "signal", sig.String(), "next_signal", "stops at once")
	case graceful := <-stop:
		if !graceful {
			return srv.Close() // gm admin shutdown has asked for confirmation
		}
	case <-r.lost:
		r.log.Error("the store has passed to another server: stopping", "store", r.cfg.Server.StoreName)
		srv.Close() //nolint:errcheck // the store refuses all that is left
		return errStoreLost
	case err := <-failed:
		srv.Close()
		return &IOError{err}
	}
	stopRelay() // the server accepts no jobs from now on
	return r.drain(srv)
}

// drain stops the server gracefully, until a second signal or the loss of the store.
func (r *Runner) drain(srv *server.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.DrainTimeout)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case sig := <-r.cfg.Signals:
			r.log.Warn("stopping at once", "signal", sig.String())
			cancel()
		case <-r.lost:
			r.log.Error("the store has passed to another server: stopping at once", "store", r.cfg.Server.StoreName)
			cancel()
		case <-ctx.Done():
		}
	})
	err := srv.Shutdown(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &DrainError{r.cfg.DrainTimeout}
	case errors.Is(err, context.Canceled):
		if n := srv.LostJobs(); n > 0 {
			return &LostJobsError{n}
		}
		return nil
	}
	return err
}

func closeListeners(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}
