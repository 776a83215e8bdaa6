package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// Install runs the statements of Schema. Sessions may use an existing outbox meanwhile,
// and several programs may install it at the same time.
func (db *DB) Install(ctx context.Context) error {
	install := db.installMySQL
	if db.table.dialect == Postgres {
		install = db.installPostgres
	}
	if err := install(ctx); err != nil {
		return fmt.Errorf("install outbox %s: %w", db.table.sql(), err)
	}
	return nil
}

// installPostgres runs all statements or none. The lock is for other programs that do the
// same: two transactions cannot replace a function at the same time.
func (db *DB) installPostgres(ctx context.Context) error {
	tx, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after the commit
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext('gm outbox install'))"); err != nil {
		return err
	}
	for _, statement := range db.table.schemaStatements() {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// installMySQL runs the statements one by one.
func (db *DB) installMySQL(ctx context.Context) error {
	for _, statement := range db.table.schemaStatements() {
		if _, err := db.pool.ExecContext(ctx, statement); err != nil && !isExistingFunction(err) {
			return err
		}
	}
	return nil
}

// isExistingFunction reports whether a function exists. MySQL before 8.0.29 has no CREATE
// FUNCTION IF NOT EXISTS.
func isExistingFunction(err error) bool {
	const exists = 1304
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == exists
}
