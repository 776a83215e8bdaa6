package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Status is the state of an outbox.
type Status struct {
	Waiting   int64     // rows that a relay will submit
	Oldest    time.Time // when the first of them was added; zero without one
	Attempts  int       // refusals of that row
	Dead      int64     // rows that the servers have refused too often
	LastError string    // of the first waiting row if it has one, else of the row that died last
}

// Status returns the state of the outbox.
func (db *DB) Status(ctx context.Context) (Status, error) {
	var s Status
	table := db.table.sql()
	count := "SELECT (SELECT COUNT(*) FROM " + table + " WHERE dead IS NULL), (SELECT COUNT(*) FROM " + table + " WHERE dead IS NOT NULL)"
	if err := db.pool.QueryRowContext(ctx, count).Scan(&s.Waiting, &s.Dead); err != nil {
		return Status{}, fmt.Errorf("count rows: %w", err)
	}
	var oldest int64
	var first, died sql.NullString
	err := db.pool.QueryRowContext(ctx, "SELECT "+db.dialect.milliseconds("created")+", attempts, last_error FROM "+table+
		" WHERE dead IS NULL ORDER BY id LIMIT 1").Scan(&oldest, &s.Attempts, &first)
	switch {
	case err == nil:
		s.Oldest, s.LastError = time.UnixMilli(oldest), first.String
	case !errors.Is(err, sql.ErrNoRows):
		return Status{}, fmt.Errorf("read the first row: %w", err)
	}
	if s.LastError != "" || s.Dead == 0 {
		return s, nil
	}
	err = db.pool.QueryRowContext(ctx, "SELECT last_error FROM "+table+
		" WHERE dead IS NOT NULL ORDER BY dead DESC, id DESC LIMIT 1").Scan(&died)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Status{}, fmt.Errorf("read the last dead row: %w", err)
	}
	s.LastError = died.String
	return s, nil
}
