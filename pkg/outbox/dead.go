package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"
)

// Row is a dead row of an outbox: the servers have refused its job too often, and the
// relay leaves it alone.
type Row struct {
	ID        int64
	Function  string
	Unique    string // empty if the row has none of its own
	Size      int64  // of the workload in bytes
	Attempts  int
	LastError string
	Dead      time.Time
}

// Dead returns dead rows in the order of their ids, starting after the id after. limit is
// the maximum number of rows; 0 means no limit.
func (db *DB) Dead(ctx context.Context, after int64, limit int) ([]Row, error) {
	statement := "SELECT id, " + db.table.dialect.identifier("function") + ", unique_key, octet_length(workload), attempts, last_error, " +
		db.dialect.milliseconds("dead") + " FROM " + db.table.sql() + " WHERE dead IS NOT NULL AND id > " + strconv.FormatInt(after, 10) + " ORDER BY id"
	if limit > 0 {
		statement += " LIMIT " + strconv.Itoa(limit)
	}
	found, err := db.pool.QueryContext(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("list dead rows: %w", err)
	}
	defer found.Close()
	var rows []Row
	for found.Next() {
		var r Row
		var unique, lastError sql.NullString
		var dead int64
		if err := found.Scan(&r.ID, &r.Function, &unique, &r.Size, &r.Attempts, &lastError, &dead); err != nil {
			return nil, fmt.Errorf("list dead rows: %w", err)
		}
		r.Unique, r.LastError, r.Dead = unique.String, lastError.String, time.UnixMilli(dead)
		rows = append(rows, r)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("list dead rows: %w", err)
	}
	return rows, nil
}

// RetryDead makes the relay submit dead rows again, without their attempts. It returns
// the number of rows. Without ids it does so with all dead rows.
func (db *DB) RetryDead(ctx context.Context, ids ...int64) (int, error) {
	return db.changeDead(ctx, "retry", "UPDATE "+db.table.sql()+" SET dead = NULL, attempts = 0, last_error = NULL", ids)
}

// PurgeDead deletes dead rows and returns their number. Without ids it deletes all dead
// rows.
func (db *DB) PurgeDead(ctx context.Context, ids ...int64) (int, error) {
	return db.changeDead(ctx, "purge", "DELETE FROM "+db.table.sql(), ids)
}

// changeDead runs a statement on dead rows, and returns their number.
func (db *DB) changeDead(ctx context.Context, verb, statement string, ids []int64) (int, error) {
	statement += " WHERE dead IS NOT NULL"
	if len(ids) > 0 {
		statement += " AND id IN (" + idList(ids) + ")"
	}
	result, err := db.pool.ExecContext(ctx, statement)
	if err != nil {
		return 0, fmt.Errorf("%s dead rows: %w", verb, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("%s dead rows: %w", verb, err)
	}
	return int(n), nil
}
