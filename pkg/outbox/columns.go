package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// column is a column of a table, and whether it has bytes and not text.
type column struct {
	name   string
	binary bool
}

// binaryTypes are the types of bytes, as the drivers call them.
var binaryTypes = []string{"BYTEA", "BINARY", "VARBINARY", "BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BIT", "GEOMETRY"}

// readColumns returns the columns of a table.
func (db *DB) readColumns(ctx context.Context, t tableName) ([]column, error) {
	rows, err := db.pool.QueryContext(ctx, "SELECT * FROM "+t.sql()+" LIMIT 0")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	var columns []column
	for _, kind := range types {
		binary := slices.Contains(binaryTypes, kind.DatabaseTypeName())
		columns = append(columns, column{kind.Name(), binary && !(db.table.dialect == Postgres && kind.DatabaseTypeName() == "BIT")})
	}
	return columns, rows.Err()
}

// CompleteTrigger returns tr with the columns of its table in the database: all of them
// if it has none, and those with bytes as Binary. The table of this outbox is that of a
// trigger without one. It returns an error if the table or a column does not exist.
func (db *DB) CompleteTrigger(ctx context.Context, tr Trigger) (Trigger, error) {
	fail := func(err error) (Trigger, error) { return Trigger{}, &TriggerError{tr.Table, err} }
	t, err := parseTable(db.table.dialect, tr.Table, "")
	if err != nil {
		return fail(err)
	}
	columns, err := db.readColumns(ctx, t)
	switch {
	case IsMissing(err):
		return fail(err)
	case err != nil:
		return Trigger{}, fmt.Errorf("read the columns of table %q: %w", tr.Table, err)
	}
	var names []string
	binary := map[string]bool{}
	for _, c := range columns {
		names = append(names, c.name)
		binary[c.name] = c.binary
	}
	for _, name := range slices.Concat(tr.Columns, tr.Binary) {
		if !slices.Contains(names, name) {
			return fail(fmt.Errorf("it has no column %q, only %s", name, strings.Join(names, ", ")))
		}
	}
	// A trigger of PostgreSQL that names no columns also sends those that the table gets
	// later.
	if len(tr.Columns) == 0 && (db.table.dialect == MySQL || !tr.JSON) {
		tr.Columns = names
	}
	tr.Binary = slices.Clone(tr.Binary)
	for _, name := range tr.Columns {
		if binary[name] && !slices.Contains(tr.Binary, name) {
			tr.Binary = append(tr.Binary, name)
		}
	}
	if tr.Outbox == "" {
		tr.Outbox = db.table.name()
	}
	return tr, nil
}

// TriggerSQL returns the statements of a trigger, completed by CompleteTrigger.
func (db *DB) TriggerSQL(ctx context.Context, tr Trigger) (string, error) {
	tr, err := db.CompleteTrigger(ctx, tr)
	if err != nil {
		return "", err
	}
	return tr.SQL(db.table.dialect)
}

// InstallTrigger creates a trigger, completed by CompleteTrigger. It replaces triggers of
// the same name. In MySQL, but not in MariaDB, a change of the table between the removal
// of the old triggers and the creation of the new ones sends nothing.
func (db *DB) InstallTrigger(ctx context.Context, tr Trigger) error {
	tr, err := db.CompleteTrigger(ctx, tr)
	if err != nil {
		return err
	}
	statements, err := tr.statements(db.table.dialect)
	if err != nil {
		return &TriggerError{tr.Table, err}
	}
	fail := func(err error) error { return fmt.Errorf("create trigger on table %q: %w", tr.Table, err) }
	tx, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return fail(err)
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after the commit
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fail(err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fail(err)
	}
	return nil
}
