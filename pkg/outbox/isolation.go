package outbox

import (
	"context"
	"database/sql"
	"errors"

	"github.com/go-sql-driver/mysql"
)

// moveBatch submits the jobs of some rows and deletes the rows. It returns the number of
// deleted rows. The end of ctx does not interrupt it.
//
// At the level REPEATABLE READ of MySQL, INSERT would wait for the locks of the relay. So
// the level is READ COMMITTED, except if the server writes statements to its binary log,
// because it refuses other levels then.
func (r *Relay) moveBatch(ctx context.Context) (sent int, err error) {
	if r.repeatable {
		return r.moveRows(ctx, sql.LevelRepeatableRead)
	}
	sent, err = r.moveRows(ctx, sql.LevelReadCommitted)
	if !refusesLevel(err) {
		return sent, err
	}
	r.repeatable = true
	r.logger().Warn("outbox relay makes inserts wait while it submits, because the database has binlog_format=STATEMENT",
		"outbox", r.DB.name)
	return r.moveRows(ctx, sql.LevelRepeatableRead)
}

// refusesLevel reports whether MySQL has refused a statement because it cannot write to
// its binary log at this level of isolation.
func refusesLevel(err error) bool {
	const binlogStatement = 1665
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == binlogStatement
}
