package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// IsDenied reports whether an error is the refusal of a user, because of the password or
// the rights.
func IsDenied(err error) bool {
	return hasCode(err, []pqerror.Code{"28000", "28P01", "42501"}, []uint16{1044, 1045, 1142, 1143, 1227, 1370, 1419, 1698})
}

// IsMissing reports whether an error is that of a database, schema, table or column that
// does not exist.
func IsMissing(err error) bool {
	return hasCode(err, []pqerror.Code{"3D000", "3F000", "42P01", "42703"}, []uint16{1049, 1054, 1146})
}

// isConflict reports whether an error is that of a transaction which other transactions
// have made impossible, for example by a deadlock.
func isConflict(err error) bool {
	return hasCode(err, []pqerror.Code{"40001", "40P01"}, []uint16{1205, 1213})
}

// hasCode reports whether an error is one of a database with one of the codes.
func hasCode(err error, postgres []pqerror.Code, numbers []uint16) bool {
	var p *pq.Error
	var m *mysql.MySQLError
	switch {
	case errors.As(err, &p):
		return slices.Contains(postgres, p.Code)
	case errors.As(err, &m):
		return slices.Contains(numbers, m.Number)
	}
	return false
}

// Check returns an error if a relay cannot work on the outbox: IsDenied if the user is
// refused or has not all rights, IsMissing if it is not installed. It changes no row.
func (db *DB) Check(ctx context.Context) error {
	if _, err := db.readToken(ctx); err != nil {
		return err
	}
	if err := db.flush(ctx); err != nil {
		return err
	}
	tx, err := db.pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing has changed
	if _, err := db.lockRows(ctx, tx, 1, nil); err != nil {
		return err
	}
	none := []int64{-1}
	if err := db.deleteRows(ctx, tx, none); err != nil {
		return err
	}
	return db.markRefused(ctx, tx, map[refusal][]int64{{"", true}: none})
}
