package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gm/pkg/gearman"
)

// moveRows is moveBatch in a transaction of that level.
func (r *Relay) moveRows(ctx context.Context, level sql.IsolationLevel) (sent int, err error) {
	timeout := cmp.Or(r.Timeout, DefaultTimeout)
	dbContext, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*timeout)
	defer cancel()
	if r.alone {
		if err := r.pingServers(dbContext); err != nil {
			return 0, &awayError{awayServer, err}
		}
	}
	token, err := r.DB.readToken(dbContext)
	if err != nil {
		return 0, &awayError{awayDatabase, err}
	}
	tx, err := r.DB.pool.BeginTx(dbContext, &sql.TxOptions{Isolation: level})
	if err != nil {
		return 0, &awayError{awayDatabase, fmt.Errorf("begin: %w", err)}
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after the commit
	rows, err := r.lockBatch(dbContext, tx)
	if err != nil {
		return 0, &awayError{awayDatabase, err}
	}
	if len(rows) == 0 {
		r.forgetWithheld()
		return 0, nil
	}
	// The rows are deleted first: a database that refuses that, for example because it is
	// read-only, gets no jobs submitted again and again.
	if err := r.DB.deleteAll(dbContext, tx, rows); err != nil {
		return 0, &awayError{awayDatabase, err}
	}
	if err := r.DB.flush(dbContext); err != nil {
		return 0, &awayError{awayDatabase, err}
	}
	submitContext, stop := context.WithTimeout(dbContext, timeout)
	errs := r.submit(submitContext, rows, token)
	stop()
	result := r.sortRows(rows, errs)
	if err := r.commitBatch(dbContext, tx, rows, result); err != nil {
		r.unconfirmed.add(rows, result.sent)
		return 0, &awayError{awayDatabase, err}
	}
	r.unconfirmed.remove(rows)
	r.count(result)
	if result.away != nil {
		return len(result.sent), &awayError{awayServer, result.away}
	}
	return len(result.sent), nil
}

// commitBatch keeps the rows whose jobs were not accepted, and ends the transaction.
func (r *Relay) commitBatch(ctx context.Context, tx *sql.Tx, rows []queued, result batchResult) error {
	if len(result.sent) < len(rows) {
		if err := r.DB.keepOthers(ctx, tx, result); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// lockBatch returns the rows of the next batch.
func (r *Relay) lockBatch(ctx context.Context, tx *sql.Tx) ([]queued, error) {
	limit := cmp.Or(r.BatchRows, DefaultBatchRows)
	if r.alone {
		limit = 1
	}
	rows, err := r.DB.lockRows(ctx, tx, limit, r.functionsToSkip())
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
		if errs[i] = rows[i].check(r.largest()); errs[i] != nil || r.unconfirmed.has(&rows[i]) {
			continue
		}
		tasks = append(tasks, rows[i].task(token, now))
		index = append(index, i)
	}
	submitted, once := submitRows(ctx, r.Client, tasks)
	for i, err := range submitted {
		errs[index[i]] = err
	}
	if !once && !r.notOnce {
		r.notOnce = true
		r.logger().Warn("the server does not know which jobs have ended: if the relay is killed, a job may run twice",
			"outbox", r.DB.name, "hint", "gm serve knows them for a while")
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
		reason := refusal{errorText(row, err), row.attempts+1 >= cmp.Or(r.MaxAttempts, DefaultMaxAttempts)}
		result.refused[reason] = append(result.refused[reason], row.id)
	}
	held := map[string]error{}
	taken := map[string]bool{}
	for i := range rows {
		row, err := &rows[i], errs[i]
		switch judge(err) {
		case accepted:
			result.sent = append(result.sent, row.id)
			taken[row.function] = true
		case refused:
			refuse(row, err)
		case withheld:
			held[row.function] = err
		case away:
			result.away = cmp.Or(result.away, err)
		}
	}
	r.withholdFunctions(taken, held)
	// A server may close the connection because of one row, without saying so. If a batch
	// fails completely, the next one has only the first row. If that loses the connection
	// too, although the servers have answered before, the attempt counts for the row.
	if r.alone && isLost(result.away) {
		refuse(&rows[0], result.away)
	}
	r.alone = result.away != nil && len(result.sent) == 0
	return result
}

// isLost reports whether a server has closed the connection, maybe without any answer.
func isLost(err error) bool {
	return errors.Is(err, gearman.ErrLost) || errors.As(err, new(*gearman.ProtocolError))
}

// pingServers returns nil if at least one server answers and the others refuse the
// connection. A proxy may accept a connection and lose it, because the server behind it
// is away.
func (r *Relay) pingServers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(r.Timeout, DefaultTimeout)/2)
	defer cancel()
	answered := false
	var refused error
	for _, s := range r.Client.Servers() {
		_, err := r.Client.Ping(ctx, s)
		switch {
		case err == nil:
			answered = true
		case errors.Is(err, gearman.ErrNoServer):
			refused = err
		default:
			return err
		}
	}
	if answered {
		return nil
	}
	return refused
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
			r.logger().Warn("rows of the outbox are dead", "outbox", r.DB.name, "rows", len(ids), "first", ids[0], "error", reason.text)
		}
	}
}
