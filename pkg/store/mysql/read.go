package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// ReadPage implements [sqlstore.Database].
func (db *database) ReadPage(ctx context.Context, r *sqlstore.Reading) (int, error) {
	return db.readRows(ctx, r, fmt.Sprintf("WHERE seq > %d ORDER BY seq LIMIT %d", r.Last, sqlstore.PageSize))
}

// ReadUnnumbered implements [sqlstore.Database]. Rows without a primary key are in
// the order in which they were written.
func (db *database) ReadUnnumbered(ctx context.Context, r *sqlstore.Reading) error {
	where := ""
	if db.HasNumbers() {
		where = "WHERE seq IS NULL"
	}
	_, err := db.readRows(ctx, r, where)
	return err
}

// readRows passes the jobs of some rows to r, and returns the number of rows.
func (db *database) readRows(ctx context.Context, r *sqlstore.Reading, where string) (n int, err error) {
	rows, err := db.readers.QueryContext(ctx, "SELECT "+r.SelectColumns(db.readColumn)+" FROM "+db.table.jobs()+" "+where)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		n++
		row, err := scanRow(rows, r.OnlySizes())
		if err := r.Pass(ctx, db.table.jobs(), row, err); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

// readColumn returns the SQL that reads a column. In a database that must not be
// changed, a column may be missing or have another type.
func (db *database) readColumn(name string) string {
	switch kind := db.kinds[name]; {
	case !db.asIs:
	case kind == "":
		return "NULL"
	case (name == "unique_key" || name == "function_name") && kind != "varbinary":
		return "CAST(CONVERT(" + name + " USING utf8mb4) AS BINARY)" // back to gearmand's UTF-8
	}
	return name
}

// clampInt32 returns n, or the nearest number that fits.
func clampInt32(n int64) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }

// scanRow reads a row, with the size of the payload or with the payload itself. Its
// bytes belong to the connection, and are valid until the next row.
func scanRow(rows *sql.Rows, onlySize bool) (sqlstore.ReadRow, error) {
	var seq sql.NullInt64
	var key, name, data, reducer, unique, function sql.RawBytes
	var priority, when, runAt, accepted, attempts sql.NullInt64
	err := rows.Scan(&seq, &key, &name, &priority, &data, &when, &runAt, &accepted, &attempts, &reducer, &unique, &function)
	row := sqlstore.ReadRow{Numbered: seq.Valid, Row: sqlstore.Row{
		Seq: seq.Int64, Key: string(key), Name: string(name), Data: data, Priority: 1, // gearmand's normal
		When: clampInt32(when.Int64), RunAt: runAt.Int64, Accepted: accepted.Int64, Attempts: clampInt32(attempts.Int64),
		Reducer: reducer, Unique: unique, Function: function,
	}}
	if priority.Valid {
		row.Priority = clampInt32(priority.Int64)
	}
	if onlySize {
		row.Size, _ = strconv.Atoi(string(data)) // 0 if it is NULL
	}
	return row, err
}

// LastSeq implements [sqlstore.Database].
func (db *database) LastSeq(ctx context.Context) (last uint64, err error) {
	row := db.readers.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq), 0) FROM "+db.table.jobs())
	if err := row.Scan(&last); err != nil || !db.extras {
		return last, err
	}
	value, err := db.ReadExtra(ctx, sqlstore.FenceKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	return max(last, sqlstore.FenceLast(string(value))), nil
}

// ReadPayload implements [sqlstore.Database].
func (db *database) ReadPayload(ctx context.Context, seq uint64) ([]byte, error) {
	return db.readValue(ctx, fmt.Sprintf("SELECT data FROM %s WHERE seq = %d", db.table.jobs(), int64(seq)))
}

// ReadExtra implements [sqlstore.Database].
func (db *database) ReadExtra(ctx context.Context, key string) ([]byte, error) {
	return db.readValue(ctx, fmt.Sprintf("SELECT value FROM %s WHERE name = x'%x'", db.table.extras(), key))
}

// readValue returns the only value of a query, or store.ErrNotFound.
func (db *database) readValue(ctx context.Context, query string) (value []byte, err error) {
	err = db.readers.QueryRowContext(ctx, query).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, store.ErrNotFound
	}
	return value, err
}

// ReadExtras implements [sqlstore.Database].
func (db *database) ReadExtras(ctx context.Context, from, to string, f func(string, []byte) error) error {
	rows, err := db.readers.QueryContext(ctx, fmt.Sprintf("SELECT name, value FROM %s WHERE name >= x'%x' AND name < x'%x'",
		db.table.extras(), from, to))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var value []byte
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return rows.Err()
}
