package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gm/pkg/gearman"
)

// Defaults of a Relay.
const (
	DefaultBatchRows   = 1000
	DefaultBatchBytes  = 16 << 20
	DefaultMaxAttempts = 10
	DefaultTimeout     = 30 * time.Second
	DefaultMinPoll     = 20 * time.Millisecond
	DefaultMaxPoll     = time.Second
	DefaultMinBackoff  = 100 * time.Millisecond
	DefaultMaxBackoff  = 30 * time.Second
)

// maxConflicts is the number of transactions in a row that conflicts with other sessions
// may undo before the database counts as away.
const maxConflicts = 5

// Relay moves the rows of an outbox to the servers of a client. 0 means the default of a
// limit. The fields must not change during Run.
type Relay struct {
	DB *DB
	// Client submits the jobs. With Options.Once and the OncePrefix UniquePrefix, a job that
	// has ended lately is not repeated when its row is submitted again.
	Client *gearman.Client

	// BatchRows and BatchBytes limit the rows of a transaction and the bytes of their
	// workloads. A single row may have more bytes.
	BatchRows  int
	BatchBytes int64
	// MaxPayload is the maximum size of a workload that is read: the client's
	// Options.MaxPayload. A row with a larger one is refused. The default is
	// gearman.DefaultMaxPayload.
	MaxPayload int64
	// MaxAttempts is the number of refusals after which a row is dead.
	MaxAttempts int
	// Timeout is the time in which the servers must accept the jobs of a batch, at most two
	// minutes: the database ends a transaction that is idle for longer. Run returns at the
	// latest twice this time after the end of its context.
	Timeout time.Duration
	// MinPoll and MaxPoll limit the wait before the next look at an empty outbox, which
	// doubles each time. A notification ends the wait; see DB.NotifySchema.
	MinPoll, MaxPoll time.Duration
	// MinBackoff and MaxBackoff limit the wait after a failure of the database or of the
	// servers, which doubles each time, and the time for which a function is left out
	// after a server has refused one of its jobs for now, for example because its queue
	// is full.
	MinBackoff, MaxBackoff time.Duration

	// Logger gets a record when the database or the servers are away, and when they are
	// back, when the servers refuse the jobs of a function for more than a second and
	// when they accept them again, and when rows become dead. The default is the logger
	// of DB.
	Logger *slog.Logger

	mu    sync.Mutex
	stats Stats // guarded by mu

	// The loop of Run owns these.
	repeatable bool                    // transactions have the level REPEATABLE READ
	notOnce    bool                    // the log has the warning that a job may run twice
	alone      bool                    // the next batch has one row, because the last one failed
	withheld   map[string]*withholding // functions that are left out

	unconfirmed unconfirmed // rows that must not be submitted again; also the loop's
}

// Stats has the counters and the state of a relay.
type Stats struct {
	Batches uint64 // transactions with at least one row
	Sent    uint64 // rows whose jobs were accepted, and that were deleted
	Refused uint64 // refusals of rows
	Dead    uint64 // rows that have become dead

	Away string // "database", "server", or empty if the relay works
	Err  string // the error, while something is away

	Withheld int // functions whose jobs the servers refuse for now
}

// Stats returns the counters since the start of Run.
func (r *Relay) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// The causes of an awayError.
const (
	awayDatabase = "database"
	awayServer   = "server"
)

// awayError is returned by moveBatch if the database or a server is away.
type awayError struct {
	what string // awayDatabase or awayServer
	err  error
}

func (e *awayError) Error() string { return e.what + " is away: " + e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }

// Run moves rows until ctx is done. Then it finishes the current batch and returns nil. It
// returns an error if the client was closed.
func (r *Relay) Run(ctx context.Context) error {
	if r.DB == nil || r.Client == nil {
		return errors.New("run outbox relay: no DB or no Client")
	}
	r.withheld, r.unconfirmed = make(map[string]*withholding), make(unconfirmed)
	r.logger().Info("submitting the jobs of an outbox", "outbox", r.DB.name)
	var moving atomic.Bool
	defer context.AfterFunc(ctx, func() {
		if moving.Load() {
			r.logger().Info("outbox relay ends after this batch", "outbox", r.DB.name)
		}
	})()
	wake := make(chan struct{}, 1)
	if r.DB.listenDSN != "" {
		listenContext, stop := context.WithCancel(ctx)
		var listening sync.WaitGroup
		defer listening.Wait()
		defer stop()
		listening.Go(func() { r.listen(listenContext, wake) })
	}
	minPoll, maxPoll := cmp.Or(r.MinPoll, DefaultMinPoll), cmp.Or(r.MaxPoll, DefaultMaxPoll)
	minBackoff, maxBackoff := cmp.Or(r.MinBackoff, DefaultMinBackoff), cmp.Or(r.MaxBackoff, DefaultMaxBackoff)
	poll, backoff := minPoll, minBackoff
	for conflicts := 0; ctx.Err() == nil; {
		moving.Store(true)
		sent, err := r.moveBatch(ctx)
		moving.Store(false)
		if isConflict(err) && conflicts < maxConflicts {
			conflicts++
			sleep(ctx, minPoll, nil)
			continue
		}
		conflicts = 0
		if errors.Is(err, gearman.ErrClosed) {
			return fmt.Errorf("run outbox relay: %w", err)
		}
		r.noteState(ctx, err)
		var wait time.Duration
		var woken <-chan struct{}
		switch {
		case err != nil:
			wait = backoff
			backoff = min(2*backoff, maxBackoff)
		case sent == 0:
			backoff = minBackoff
			wait, woken = poll, wake
			poll = min(2*poll, maxPoll)
		default:
			poll, backoff = minPoll, minBackoff
		}
		if sleep(ctx, wait, woken) {
			poll = minPoll
		}
	}
	s := r.Stats()
	r.logger().Info("outbox relay has ended", "outbox", r.DB.name, "sent", s.Sent, "refused", s.Refused, "dead", s.Dead)
	return nil
}

// Relays are the relays of several outboxes.
type Relays []*Relay

// Run runs all relays. It returns the first error when all have ended.
func (rs Relays) Run(ctx context.Context) error {
	errs := make([]error, len(rs))
	var running sync.WaitGroup
	for i, r := range rs {
		running.Go(func() { errs[i] = r.Run(ctx) })
	}
	running.Wait()
	return cmp.Or(errs...)
}

// sleep waits for a time, for a value of wake, or for the end of ctx. It reports whether
// it has got a value.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	if d <= 0 {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wake:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// noteState logs that something has gone away or is back.
func (r *Relay) noteState(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		return // the relay ends
	}
	var e *awayError
	what, text := "", ""
	if errors.As(err, &e) {
		what, text = e.what, e.err.Error()
	}
	if what == awayDatabase {
		r.DB.forgetToken()
	}
	r.mu.Lock()
	before := r.stats.Away
	r.stats.Away, r.stats.Err = what, text
	r.mu.Unlock()
	switch {
	case what == before:
	case what == "":
		r.logger().Info("outbox relay works again", "outbox", r.DB.name, "back", before)
	default:
		r.logger().Warn("outbox relay waits", "outbox", r.DB.name, "away", what, "error", text)
	}
}

func (r *Relay) logger() *slog.Logger { return cmp.Or(r.Logger, r.DB.log) }
