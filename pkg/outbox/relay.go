package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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

// Relay moves the rows of an outbox to the servers of a client. 0 means the default of a
// limit. The fields must not change during Run.
type Relay struct {
	DB     *DB
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
	// Timeout is the time in which the servers must accept the jobs of a batch. Run
	// returns at the latest twice this time after the end of its context.
	Timeout time.Duration
	// MinPoll and MaxPoll limit the wait before the next look at an empty outbox, which
	// doubles each time.
	MinPoll, MaxPoll time.Duration
	// MinBackoff and MaxBackoff limit the wait after a failure of the database or of the
	// servers, which doubles each time, and the time for which a function is left out
	// after a server has refused one of its jobs for now, for example because its queue
	// is full.
	MinBackoff, MaxBackoff time.Duration

	// Logger gets a record when the database or the servers are away, and when they are
	// back, and when rows become dead. The default is the logger of DB.
	Logger *slog.Logger

	mu    sync.Mutex
	stats Stats // guarded by mu

	// The loop of Run owns these.
	alone    bool                 // the next batch has one row, because the last one lost its connection
	withheld map[string]heldUntil // functions that are left out
}

// heldUntil is the time until which a function is left out, and how long it was.
type heldUntil struct {
	end  time.Time
	wait time.Duration
}

// Stats has the counters and the state of a relay.
type Stats struct {
	Batches uint64 // transactions with at least one row
	Sent    uint64 // rows whose jobs were accepted, and that were deleted
	Refused uint64 // refusals of rows
	Dead    uint64 // rows that have become dead

	Away string // "database", "server", or empty if the relay works
	Err  string // the error, while something is away
}

// Stats returns the counters since the start of Run.
func (r *Relay) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// awayError is returned by moveBatch if the database or a server is away.
type awayError struct {
	what string // database or server
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
	r.withheld = make(map[string]heldUntil)
	minPoll, maxPoll := cmp.Or(r.MinPoll, DefaultMinPoll), cmp.Or(r.MaxPoll, DefaultMaxPoll)
	minBackoff, maxBackoff := cmp.Or(r.MinBackoff, DefaultMinBackoff), cmp.Or(r.MaxBackoff, DefaultMaxBackoff)
	poll, backoff := minPoll, minBackoff
	for ctx.Err() == nil {
		sent, err := r.moveBatch(ctx)
		if errors.Is(err, gearman.ErrClosed) {
			return fmt.Errorf("run outbox relay: %w", err)
		}
		r.noteState(ctx, err)
		var wait time.Duration
		switch {
		case err != nil:
			wait = backoff
			backoff = min(2*backoff, maxBackoff)
		case sent == 0:
			backoff = minBackoff
			wait = poll
			poll = min(2*poll, maxPoll)
		default:
			poll, backoff = minPoll, minBackoff
		}
		sleep(ctx, wait)
	}
	return nil
}

// sleep waits for a time or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
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
	r.mu.Lock()
	before := r.stats.Away
	r.stats.Away, r.stats.Err = what, text
	r.mu.Unlock()
	switch {
	case what == before:
	case what == "":
		r.logger().Info("outbox relay works again", "outbox", r.DB.table.sql(), "back", before)
	default:
		r.logger().Warn("outbox relay waits", "outbox", r.DB.table.sql(), "away", what, "error", text)
	}
}

func (r *Relay) logger() *slog.Logger { return cmp.Or(r.Logger, r.DB.log) }

// moveBatch submits the jobs of some rows and deletes the rows, in one transaction. It
// returns the number of deleted rows. The end of ctx does not interrupt it.
func (r *Relay) moveBatch(ctx context.Context) (sent int, err error) {
	timeout := cmp.Or(r.Timeout, DefaultTimeout)
	dbContext, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*timeout)
	defer cancel()
	token, err := r.DB.readToken(dbContext)
	if err != nil {
		return 0, &awayError{"database", err}
	}
	// In MySQL, the locks of other levels would make INSERT wait.
	tx, err := r.DB.pool.BeginTx(dbContext, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return 0, &awayError{"database", fmt.Errorf("begin: %w", err)}
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after the commit
	rows, err := r.lockBatch(dbContext, tx)
	if err != nil {
		return 0, &awayError{"database", err}
	}
	if len(rows) == 0 {
		return 0, nil
	}
	submitContext, stop := context.WithTimeout(dbContext, timeout)
	defer stop()
	errs := r.submit(submitContext, rows, token)
	result := r.sortRows(rows, errs)
	if err := r.DB.deleteRows(dbContext, tx, result.sent); err != nil {
		return 0, &awayError{"database", err}
	}
	if err := r.DB.markRefused(dbContext, tx, result.refused); err != nil {
		return 0, &awayError{"database", err}
	}
	if err := tx.Commit(); err != nil {
		return 0, &awayError{"database", fmt.Errorf("commit: %w", err)}
	}
	r.count(result)
	if result.away != nil {
		return len(result.sent), &awayError{"server", result.away}
	}
	return len(result.sent), nil
}

// lockBatch returns the rows of the next batch.
func (r *Relay) lockBatch(ctx context.Context, tx *sql.Tx) ([]queued, error) {
	limit := cmp.Or(r.BatchRows, DefaultBatchRows)
	if r.alone {
		limit = 1
	}
	now := time.Now()
	var without []string
	for function, held := range r.withheld {
		if now.Before(held.end) {
			without = append(without, function)
		}
	}
	rows, err := r.DB.lockRows(ctx, tx, limit, without)
	if err != nil {
		return nil, err
	}
	largest := r.largest()
	rows = firstRows(rows, cmp.Or(r.BatchBytes, DefaultBatchBytes), largest)
	return rows, r.DB.readLarge(ctx, tx, rows, largest)
}

// largest returns the maximum size of a workload that is read.
func (r *Relay) largest() int64 { return cmp.Or(r.MaxPayload, gearman.DefaultMaxPayload) }

// submit submits the jobs of rows and returns the error of each.
func (r *Relay) submit(ctx context.Context, rows []queued, token string) []error {
	errs := make([]error, len(rows))
	now := time.Now()
	var tasks []*gearman.Task
	var index []int // of the task's row
	for i := range rows {
		if rows[i].size > r.largest() {
			errs[i] = fmt.Errorf("workload: size %d %w of %d bytes", rows[i].size, gearman.ErrTooLarge, r.largest())
			continue
		}
		tasks = append(tasks, rows[i].task(token, now))
		index = append(index, i)
	}
	for i, err := range submitRows(ctx, r.Client, tasks) {
		errs[index[i]] = err
	}
	return errs
}

// batchResult has the rows of a batch by their outcome.
type batchResult struct {
	sent    []int64
	refused map[refusal][]int64
	away    error // of the server
}

// sortRows sorts the rows of a batch by the errors of their submissions.
func (r *Relay) sortRows(rows []queued, errs []error) batchResult {
	result := batchResult{refused: make(map[refusal][]int64)}
	refuse := func(row *queued, err error) {
		reason := refusal{errorText(err), row.attempts+1 >= cmp.Or(r.MaxAttempts, DefaultMaxAttempts)}
		result.refused[reason] = append(result.refused[reason], row.id)
	}
	held := map[string]bool{}
	for i := range rows {
		row, err := &rows[i], errs[i]
		switch judge(err) {
		case accepted:
			result.sent = append(result.sent, row.id)
			delete(r.withheld, row.function)
		case refused:
			refuse(row, err)
		case withheld:
			held[row.function] = true
		case away:
			result.away = cmp.Or(result.away, err)
		}
	}
	for function := range held {
		wait := min(max(2*r.withheld[function].wait, cmp.Or(r.MinBackoff, DefaultMinBackoff)), cmp.Or(r.MaxBackoff, DefaultMaxBackoff))
		r.withheld[function] = heldUntil{time.Now().Add(wait), wait}
	}
	// A server may close the connection because of one row, without saying so. If a batch
	// is lost completely, the next one has only the first row. If that is lost too, the
	// attempt counts for the row.
	lost := errors.Is(result.away, gearman.ErrLost)
	if lost && r.alone && len(result.sent) == 0 {
		refuse(&rows[0], result.away)
	}
	r.alone = lost && len(result.sent) == 0
	return result
}

// count adds a committed batch to the counters, and logs its dead rows.
func (r *Relay) count(result batchResult) {
	r.mu.Lock()
	r.stats.Batches++
	r.stats.Sent += uint64(len(result.sent))
	for reason, ids := range result.refused {
		r.stats.Refused += uint64(len(ids))
		if reason.dead {
			r.stats.Dead += uint64(len(ids))
		}
	}
	r.mu.Unlock()
	for reason, ids := range result.refused {
		if reason.dead {
			r.logger().Warn("rows of the outbox are dead", "outbox", r.DB.table.sql(), "rows", len(ids), "first", ids[0], "error", reason.text)
		}
	}
}
