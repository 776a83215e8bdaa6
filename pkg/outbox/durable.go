package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/lib/pq"
)

// flush makes the commits durable that sessions of the relay have seen.
func (db *DB) flush(ctx context.Context) error {
	if db.table.dialect == Postgres {
		return db.flushPostgres(ctx)
	}
	if _, err := db.pool.ExecContext(ctx, fmt.Sprintf(db.dialect.flush, db.table.token())); err != nil {
		return fmt.Errorf("write to the token of outbox %s: %w", db.table.sql(), err)
	}
	return nil
}

// flushLog is a transaction of PostgreSQL that flushes the log, unless everything in it is
// on disk. Without synchronous_commit, the rows of a session are seen before that.
const flushLog = "SELECT set_config('synchronous_commit', 'local', true), " +
	"CASE WHEN pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn() THEN pg_logical_emit_message(true, 'gm outbox', '') END"

// flushPostgres runs flushLog. Databases that only resemble PostgreSQL do not have its
// functions.
func (db *DB) flushPostgres(ctx context.Context) error {
	if db.flushless.Load() {
		return nil
	}
	_, err := db.pool.ExecContext(ctx, flushLog)
	var refused *pq.Error
	if errors.As(err, &refused) && (refused.Code == "42883" || refused.Code == "0A000" || refused.Code == "42501") {
		db.flushless.Store(true)
		return nil
	}
	if err != nil {
		return fmt.Errorf("flush the log: %w", err)
	}
	return nil
}
