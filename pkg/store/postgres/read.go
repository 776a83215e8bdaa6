package postgres

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"

	"github.com/lib/pq"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// ReadPage implements [sqlstore.Database]. If the server cannot read a row of the
// page, ReadPage reads the rows one by one.
func (db *database) ReadPage(ctx context.Context, r *sqlstore.Reading) (n int, err error) {
	err = db.readers.with(ctx, func(c *conn) error {
		after := strconv.FormatInt(r.Last, 10)
		n, err = db.readRows(ctx, c, r, "WHERE seq > $1::bigint ORDER BY seq LIMIT "+strconv.Itoa(sqlstore.PageSize), after)
		if isDamage(err) {
			n, err = db.readSingly(ctx, c, r)
		}
		return err
	})
	return n, err
}

// ReadUnnumbered implements [sqlstore.Database]. The rows are in the order of their
// places in the table.
func (db *database) ReadUnnumbered(ctx context.Context, r *sqlstore.Reading) error {
	where := "ORDER BY ctid"
	if db.HasNumbers() {
		where = "WHERE seq IS NULL " + where
	}
	return db.readers.with(ctx, func(c *conn) error {
		_, err := db.readRows(ctx, c, r, where)
		return err
	})
}

// readSingly reads the rows of a page one by one, and leaves out those that the
// server cannot read.
func (db *database) readSingly(ctx context.Context, c *conn, r *sqlstore.Reading) (n int, err error) {
	seqs, err := c.queryRows(ctx, "SELECT seq FROM "+db.table.jobs()+" WHERE seq > $1::bigint ORDER BY seq LIMIT "+strconv.Itoa(sqlstore.PageSize),
		strconv.FormatInt(r.Last, 10))
	if err != nil {
		return 0, err
	}
	for _, row := range seqs {
		seq := row[0].(int64)
		_, err := db.readRows(ctx, c, r, "WHERE seq = $1::bigint", strconv.FormatInt(seq, 10))
		if isDamage(err) {
			r.Skip(db.table.jobs(), seq, err)
			err = nil
		}
		if err != nil {
			return 0, err
		}
		r.Last = seq
	}
	return len(seqs), nil
}

// isDamage reports whether err is that of a server that could not read its own
// data.
func isDamage(err error) bool {
	var answer *pq.Error
	return errors.As(err, &answer) && answer.Code.Class() == "XX"
}

// readRows passes the jobs of some rows to r, and returns the number of rows.
func (db *database) readRows(ctx context.Context, c *conn, r *sqlstore.Reading, where string, args ...any) (n int, err error) {
	sql := "SELECT " + r.SelectColumns(db.readColumn) + " FROM " + db.table.jobs() + " " + where
	err = c.each(ctx, sql, args, func(values []driver.Value) error {
		n++
		row, err := scanRow(values)
		return r.Pass(ctx, db.table.jobs(), row, err)
	})
	return n, err
}

// readColumn returns the SQL that reads a column, which may be missing in a
// database that must not be changed.
func (db *database) readColumn(name string) string {
	if db.lacks[name] {
		return "NULL::bytea"
	}
	return name
}

// dataColumn is the index of the payload, or of its size, among a row's columns.
const dataColumn = 4

// scanRow makes a row of its columns. Its Data are valid as long as values.
func scanRow(values []driver.Value) (row sqlstore.ReadRow, err error) {
	number := func(i int, null int64) int64 {
		switch v := values[i].(type) {
		case int64:
			return v
		case []byte:
			if i != dataColumn {
				err = fmt.Errorf("not a number: %q", v)
			}
		}
		return null
	}
	text := func(i int) string {
		s, _ := values[i].(string)
		return s
	}
	blob := func(i int) []byte {
		b, _ := values[i].([]byte)
		return b
	}
	row = sqlstore.ReadRow{Numbered: values[0] != nil, Size: int(number(dataColumn, 0)), Row: sqlstore.Row{
		Seq: number(0, 0), Key: text(1), Name: text(2),
		Priority: int32(number(3, 1)), // gearmand's normal
		Data:     blob(dataColumn), When: int32(number(5, 0)),
		RunAt: number(6, 0), Accepted: number(7, 0), Attempts: int32(number(8, 0)),
		Reducer: blob(9), Unique: blob(10), Function: blob(11),
	}}
	return row, err
}

// LastSeq implements [sqlstore.Database].
func (db *database) LastSeq(ctx context.Context) (last uint64, err error) {
	err = db.readers.with(ctx, func(c *conn) error {
		last, err = db.readLastSeq(ctx, c)
		return err
	})
	return last, err
}

// readLastSeq returns the highest number of a job in the table and in the fence.
func (db *database) readLastSeq(ctx context.Context, c *conn) (uint64, error) {
	fence := "NULL::text"
	if db.extras {
		fence = "(SELECT convert_from(value, 'UTF8') FROM " + db.table.extras() + " WHERE key = '" + sqlstore.FenceKey + "')"
	}
	found, err := c.queryRows(ctx, "SELECT coalesce(max(seq), 0), "+fence+" FROM "+db.table.jobs())
	if err != nil {
		return 0, err
	}
	value, _ := found[0][1].(string)
	return max(uint64(found[0][0].(int64)), sqlstore.FenceLast(value)), nil
}

// ReadPayload implements [sqlstore.Database].
func (db *database) ReadPayload(ctx context.Context, seq uint64) ([]byte, error) {
	return db.readValue(ctx, "SELECT data FROM "+db.table.jobs()+" WHERE seq = $1::bigint", strconv.FormatUint(seq, 10))
}

// ReadExtra implements [sqlstore.Database].
func (db *database) ReadExtra(ctx context.Context, key string) ([]byte, error) {
	return db.readValue(ctx, "SELECT value FROM "+db.table.extras()+" WHERE key = $1", key)
}

// readValue returns the only value of a query, or store.ErrNotFound.
func (db *database) readValue(ctx context.Context, sql, arg string) (value []byte, err error) {
	err = db.readers.with(ctx, func(c *conn) error {
		found, err := c.queryRows(ctx, sql, arg)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return store.ErrNotFound
		}
		value, _ = found[0][0].([]byte)
		return nil
	})
	return value, err
}

// ReadExtras implements [sqlstore.Database].
func (db *database) ReadExtras(ctx context.Context, from, to string, f func(string, []byte) error) error {
	return db.readers.with(ctx, func(c *conn) error {
		sql := "SELECT key, value FROM " + db.table.extras() + " WHERE key >= $1 AND key < $2"
		return c.each(ctx, sql, []any{from, to}, func(values []driver.Value) error {
			return f(values[0].(string), bytes.Clone(values[1].([]byte)))
		})
	})
}
