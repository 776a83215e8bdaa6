package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/go-sql-driver/mysql"

	"gm/internal/mysqlconfig"
	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// database is the database that the store uses, and the findings about it. It
// implements [sqlstore.Database].
type database struct {
	config *mysql.Config
	table  table
	token  string // the name of a lock that only sessions of this store take
	fence  *sqlstore.Fence

	asIs bool   // nothing may be changed
	node string // set by tests: the node of a cluster, which has locks of its own

	current atomic.Pointer[limits] // of the newest session

	kinds  map[string]string // types of the jobs' columns by their names; only if asIs is set
	extras bool              // the table of extras exists

	readers *sql.DB // set by openReaders
}

func newDatabase(c Config) (*database, error) {
	t, err := parseTable(c.Table)
	if err != nil {
		return nil, err
	}
	address := mysqlconfig.Config{Addr: c.Addr, User: c.User, Password: c.Password, DB: c.DB, TLS: c.TLS}
	config, err := address.Driver(sqlstore.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	// All values in statements are numbers or hexadecimal digits. Statements have no
	// strings and no dates.
	config.MultiStatements = true
	config.Params["innodb_lock_wait_timeout"] = "5" // waits for locks are short
	token := newToken()
	return &database{config: config, table: t, token: token, fence: sqlstore.NewFence(token), asIs: c.AsIs}, nil
}

// openReaders opens the pool of connections that read, so that reading does not
// wait for commits.
func (db *database) openReaders() error {
	connector, err := mysql.NewConnector(db.config)
	if err != nil {
		return err
	}
	db.readers = sql.OpenDB(connector)
	db.readers.SetMaxOpenConns(maxReaders)
	db.readers.SetMaxIdleConns(maxReaders)
	return nil
}

// Close implements [sqlstore.Database].
func (db *database) Close() { _ = db.readers.Close() } // its error is that a connection was lost already

// Name implements [sqlstore.Database].
func (db *database) Name() string { return "MySQL" }

// HasNumbers implements [sqlstore.Database].
func (db *database) HasNumbers() bool { return !db.asIs || db.kinds["seq"] != "" }

// HasExtras implements [sqlstore.Database].
func (db *database) HasExtras() bool { return db.extras }

// lockName returns a name for GET_LOCK. Names have at most 64 characters, and are
// shared by all databases of a server.
func (db *database) lockName(purpose string) string {
	name := fmt.Sprintf("gm.%s.%s.%s%s", purpose, db.config.DBName, db.table, db.node)
	if len(name) > 64 {
		name = fmt.Sprintf("gm.%s.%x", purpose, sqlstore.LockNumber(name))
	}
	return name
}

// ownColumns are gm's own columns in the jobs' table.
var ownColumns = sqlstore.OwnColumns("INT", "BLOB")

// prepare inspects the database, and creates missing tables and columns unless it
// must not change anything.
func (db *database) prepare(ctx context.Context, log *slog.Logger) error {
	s, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	found, err := s.query(ctx, "SELECT @@innodb_flush_log_at_trx_commit")
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	if flush := string(found[0][0]); flush != "1" {
		log.Warn("the database does not sync at each commit: a crash of its machine loses jobs", "innodb_flush_log_at_trx_commit", flush)
	}

	if db.asIs {
		err = db.findTables(ctx, s)
	} else {
		db.extras = true
		err = sqlstore.CreateMissing(ctx, schema{db, s})
	}
	if err != nil {
		return err
	}
	return db.readLimits(ctx, s)
}

// schema is the database's schema on one connection. It implements
// [sqlstore.Schema].
type schema struct {
	db *database
	s  *session
}

// LockDDL implements [sqlstore.Schema]. On a cluster the lock is local to a node.
func (c schema) LockDDL(ctx context.Context) error {
	got, err := c.s.getLock(ctx, c.db.lockName("create"), 60)
	if err == nil && !got {
		err = errors.New("another session has been creating them for a minute")
	}
	return err
}

// RunDDL implements [sqlstore.Schema].
func (c schema) RunDDL(ctx context.Context, statement string) error { return c.s.exec(ctx, statement) }

// AlreadyExists implements [sqlstore.Schema].
func (c schema) AlreadyExists(err error) bool {
	var answer *mysql.MySQLError
	return errors.As(err, &answer) && (answer.Number == 1050 || answer.Number == 1060 || answer.Number == 1061)
}

// MissingDDL implements [sqlstore.Schema].
func (c schema) MissingDDL(ctx context.Context) ([]string, error) { return c.db.missingDDL(ctx, c.s) }

// findTables records the existing tables and columns.
func (db *database) findTables(ctx context.Context, s *session) (err error) {
	if db.kinds, err = db.kindsOf(ctx, s); err != nil {
		return err
	}
	if len(db.kinds) == 0 {
		return fmt.Errorf("table %s: %w", db.table.jobs(), store.ErrAbsent)
	}
	db.extras, err = db.hasExtras(ctx, s)
	return err
}

// kindsOf returns the types of the jobs' columns by their names. It is empty if
// there is no table.
func (db *database) kindsOf(ctx context.Context, s *session) (map[string]string, error) {
	there, err := s.query(ctx, "SELECT column_name, data_type FROM information_schema.columns "+
		"WHERE table_schema = DATABASE() AND table_name = '"+string(db.table)+"'")
	if err != nil {
		return nil, fmt.Errorf("look for table %s: %w", db.table.jobs(), err)
	}
	kinds := make(map[string]string)
	for _, row := range there {
		kinds[strings.ToLower(string(row[0]))] = strings.ToLower(string(row[1]))
	}
	return kinds, nil
}

func (db *database) hasExtras(ctx context.Context, s *session) (bool, error) {
	found, err := s.query(ctx, "SELECT 1 FROM information_schema.tables "+
		"WHERE table_schema = DATABASE() AND table_name = '"+string(db.table)+"_gm'")
	if err != nil {
		return false, fmt.Errorf("look for table %s: %w", db.table.extras(), err)
	}
	return len(found) > 0, nil
}

// missingDDL returns the statements that create the missing tables and columns.
func (db *database) missingDDL(ctx context.Context, s *session) (ddl []string, err error) {
	jobs := db.table.jobs()
	kinds, err := db.kindsOf(ctx, s)
	if err != nil {
		return nil, err
	}
	sizes, err := db.columnSizes(ctx, s)
	if err != nil {
		return nil, err
	}
	var change []string
	if len(kinds) == 0 {
		ddl = append(ddl, "CREATE TABLE "+jobs+" (unique_key VARBINARY(64), function_name VARBINARY(255), "+
			"priority INT, data LONGBLOB, when_to_run INT, UNIQUE KEY (unique_key, function_name)) ENGINE=InnoDB")
	} else {
		if kinds["unique_key"] != "varbinary" || kinds["function_name"] != "varbinary" {
			// gearmand's connections always use UTF-8.
			ddl = append(ddl, "ALTER TABLE "+jobs+
				" MODIFY unique_key VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,"+
				" MODIFY function_name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
			change = append(change, "MODIFY unique_key VARBINARY(64)", "MODIFY function_name VARBINARY(255)")
		} else if sizes["unique_key"] < 64 || sizes["function_name"] < 255 {
			change = append(change, "MODIFY unique_key VARBINARY(64)", "MODIFY function_name VARBINARY(255)")
		}
		engine, err := s.query(ctx, "SELECT engine FROM information_schema.tables "+
			"WHERE table_schema = DATABASE() AND table_name = '"+string(db.table)+"'")
		if err != nil {
			return nil, fmt.Errorf("look for the engine of %s: %w", jobs, err)
		}
		if len(engine) == 1 && !strings.EqualFold(string(engine[0][0]), "InnoDB") {
			change = append(change, "ENGINE=InnoDB") // other engines have no transactions
		}
	}
	for _, c := range ownColumns {
		if kinds[c.Name] == "" {
			change = append(change, "ADD COLUMN "+c.Name+" "+c.Kind)
			if c.Name == "seq" {
				change = append(change, "ADD UNIQUE KEY gm_seq (seq)")
			}
		}
	}
	if len(change) > 0 {
		ddl = append(ddl, "ALTER TABLE "+jobs+" "+strings.Join(change, ", "))
	}
	extras, err := db.hasExtras(ctx, s)
	if err != nil {
		return nil, err
	}
	if !extras {
		ddl = append(ddl, "CREATE TABLE "+db.table.extras()+
			" (name VARBINARY(255) PRIMARY KEY, value LONGBLOB NOT NULL) ENGINE=InnoDB")
	}
	return ddl, nil
}
