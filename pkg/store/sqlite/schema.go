package sqlite

import (
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"gm/pkg/store"
)

// extrasTable returns the name of the table for extras.
func extrasTable(table string) string { return table + "_gm" }

// jobsDDL returns the statement that creates the jobs' table. It declares the first
// columns in the same way as gearmand.
func jobsDDL(table string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (", quote(table))
	for _, c := range columns {
		fmt.Fprintf(&b, "%s %s, ", c.name, c.kind)
	}
	b.WriteString("PRIMARY KEY (unique_key, function_name))")
	return b.String()
}

func extrasDDL(table string) string {
	return fmt.Sprintf("CREATE TABLE %s (key TEXT PRIMARY KEY, value BLOB, crc INTEGER)", quote(extrasTable(table)))
}

// prepareFile sets the options of the file, and creates the missing tables and
// columns. It changes no others.
func prepareFile(c *conn, table string, sync store.Sync) error {
	encoding, err := c.queryText("PRAGMA encoding")
	if err != nil {
		return err
	}
	if encoding != "UTF-8" {
		return fmt.Errorf("%w: its encoding is %s, and only UTF-8 keeps names unchanged", errStrange, encoding)
	}
	// Without shared memory, the mode stays as it is.
	if _, err := c.queryText("PRAGMA journal_mode = WAL"); err != nil {
		return err
	}
	level := map[store.Sync]string{store.SyncAlways: "FULL", store.SyncInterval: "NORMAL", store.SyncNever: "OFF"}[sync]
	for _, pragma := range []string{
		"synchronous = " + level,
		"wal_autocheckpoint = 0", // the writer does it
		"journal_size_limit = 67108864",
		"cache_size = -16000",
	} {
		if _, err := c.queryText("PRAGMA " + pragma); err != nil {
			return err
		}
	}
	return migrate(c, table)
}

// migrate creates the tables, or adds gm's columns to gearmand's table.
func migrate(c *conn, table string) error {
	if err := c.Exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	ddl, err := missingDDL(c, table)
	for _, statement := range ddl {
		if err == nil {
			err = c.Exec(statement)
		}
	}
	if err == nil {
		err = c.Exec("COMMIT")
	}
	if err != nil {
		if !c.GetAutocommit() {
			_ = c.Exec("ROLLBACK")
		}
		return fmt.Errorf("make tables: %w", err)
	}
	return nil
}

// missingDDL returns the statements that create the missing tables and columns. gm's
// columns are all created at once: if only some exist, a name has been damaged.
func missingDDL(c *conn, table string) (ddl []string, err error) {
	there, err := columnsOf(c, table)
	if err != nil {
		return nil, err
	}
	extras, err := columnsOf(c, extrasTable(table))
	if err != nil {
		return nil, err
	}
	if len(extras) == 0 {
		ddl = append(ddl, extrasDDL(table))
	} else if strings.Join(extras, " ") != "key value crc" {
		return nil, fmt.Errorf("%w: table %s has the columns %v", errBroken, extrasTable(table), extras)
	}
	if len(there) == 0 {
		if len(extras) > 0 {
			return nil, fmt.Errorf("%w: there is a table %s, but no %s", errBroken, extrasTable(table), table)
		}
		return append(ddl, jobsDDL(table)), nil
	}
	has := make(map[string]bool)
	for _, name := range there {
		has[name] = true
	}
	own := 0
	for i, column := range columns {
		switch {
		case has[column.name]:
			if i >= gearmandColumns {
				own++
			}
		case i < gearmandColumns-1 && len(extras) == 0: // early versions of gearmand have no when_to_run
			return nil, fmt.Errorf("%w: table %s has no column %s", errStrange, table, column.name)
		case i < gearmandColumns-1:
			return nil, fmt.Errorf("%w: table %s has the columns %v", errBroken, table, there)
		default:
			ddl = append(ddl, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", quote(table), column.name, column.kind))
		}
	}
	if own > 0 && own < len(columns)-gearmandColumns {
		return nil, fmt.Errorf("%w: table %s has the columns %v", errBroken, table, there)
	}
	return ddl, nil
}

// columnsOf returns the columns of a table, or none if it does not exist.
func columnsOf(c *conn, table string) (names []string, err error) {
	err = c.queryEach(fmt.Sprintf("PRAGMA table_info(%s)", quote(table)), func(stmt *sqlite3.Stmt) error {
		names = append(names, stmt.ColumnText(1))
		return nil
	})
	return names, err
}
