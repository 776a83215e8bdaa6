package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"

	"gm/internal/mysqlconfig"
	"gm/internal/pgconfig"
	"gm/pkg/store"
)

const (
	// connectTimeout is the maximum time to connect to a database.
	connectTimeout = 3 * time.Second
	// readTimeout is the maximum time in which a database answers nothing.
	readTimeout = time.Minute
	// maxIdle is the time after which a database ends a session that is idle in a
	// transaction, and unlocks its rows: the machine of its relay may be gone. It is longer
	// than a batch waits for the servers.
	maxIdle = 150 * time.Second
	// maxConnections is the maximum number of connections of a DB.
	maxConnections = 4
)

// Config has the options of a DB.
type Config struct {
	// Table is the table of the outbox: NAME or SCHEMA.NAME. Case counts. Empty is the
	// table in the URL, and without one DefaultTable.
	Table string
	// Logger is the default logger of package slog if it is nil.
	Logger *slog.Logger
}

// DB is an outbox in a database. Its methods are safe for concurrent use.
type DB struct {
	name    string // the URL without a password
	pool    *sql.DB
	table   tableName
	dialect *dialect
	log     *slog.Logger

	listenDSN string // of PostgreSQL, with the password; empty otherwise

	flushless atomic.Bool // the database cannot run flushLog

	mu    sync.Mutex
	token string // guarded by mu; empty before it was read
}

// Open returns the outbox in the database at a URL, of the same form as the URL of a
// store:
//
//	postgres://USER:PASSWORD@HOST:PORT/DB?table=NAME
//	mysql://USER:PASSWORD@HOST:PORT/DB?table=NAME
//
// It does not connect. It returns an error only if the URL or the name of the table is
// invalid.
func Open(url string, c Config) (*DB, error) {
	db, err := openDB(url, c)
	if err != nil {
		return nil, err
	}
	db.pool.SetMaxOpenConns(maxConnections)
	db.pool.SetConnMaxIdleTime(maxIdle / 2)
	return db, nil
}

func openDB(url string, c Config) (*DB, error) {
	const forms = "postgres://host/db or mysql://host/db"
	u, err := store.ParseURLOf("outbox", forms, url)
	if err != nil {
		return nil, err
	}
	if u.Net == nil {
		return nil, fmt.Errorf("outbox %q: not like %s", u, forms)
	}
	db := &DB{name: u.String(), log: cmp.Or(c.Logger, slog.Default())}
	dialect, table := Postgres, ""
	switch u.Scheme {
	case "postgres", "postgresql":
		db.pool, db.listenDSN, table, err = openPostgres(u)
	case "mysql":
		dialect = MySQL
		db.pool, table, err = openMySQL(u)
	default:
		return nil, fmt.Errorf("outbox %q: not like %s", u, forms)
	}
	if err != nil {
		return nil, err
	}
	db.dialect = dialects[dialect]
	db.table, err = parseTable(dialect, cmp.Or(c.Table, table, DefaultTable), longestSuffix)
	if err != nil {
		_ = db.pool.Close()
		return nil, err
	}
	return db, nil
}

func openPostgres(u *store.URL) (pool *sql.DB, dsn, table string, err error) {
	conninfo, options, err := pgconfig.FromURL(u, "table")
	if err != nil {
		return nil, "", "", err
	}
	fail := func(err error) (*sql.DB, string, string, error) {
		return nil, "", "", fmt.Errorf("outbox %s: %w", u, err)
	}
	config, err := pgconfig.Parse(conninfo, connectTimeout)
	if err != nil {
		return fail(err)
	}
	if dsn, err = listenDSN(conninfo, config); err != nil {
		return fail(err)
	}
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		return fail(err)
	}
	connector.Dialer(&dialer{})
	return sql.OpenDB(connector), dsn, options.Get("table"), nil
}

func openMySQL(u *store.URL) (*sql.DB, string, error) {
	address, options, err := mysqlconfig.FromURL(u, "table")
	if err != nil {
		return nil, "", err
	}
	config, err := address.Driver(connectTimeout)
	if err != nil {
		return nil, "", fmt.Errorf("outbox %s: %w", u, err)
	}
	config.ReadTimeout, config.WriteTimeout = readTimeout, readTimeout
	config.Params["wait_timeout"] = strconv.Itoa(int(maxIdle.Seconds()))
	config.InterpolateParams = true // one round trip for a statement with arguments
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, "", fmt.Errorf("outbox %s: %w", u, err)
	}
	return sql.OpenDB(connector), options.Get("table"), nil
}

// Close closes the connections to the database.
func (db *DB) Close() error { return db.pool.Close() }

// String returns the URL of the outbox without its password.
func (db *DB) String() string { return db.name }

// Dialect returns the dialect of the database.
func (db *DB) Dialect() Dialect { return db.table.dialect }

// readToken returns the token of the outbox, which is a part of the uniques of its rows.
func (db *DB) readToken(ctx context.Context) (string, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.token != "" {
		return db.token, nil
	}
	err := db.pool.QueryRowContext(ctx, "SELECT token FROM "+db.table.token()+" WHERE id = 1").Scan(&db.token)
	if err != nil {
		return "", fmt.Errorf("read the token of outbox %s, which its installation creates: %w", db.table.sql(), err)
	}
	return db.token, nil
}

// forgetToken makes readToken read the token again: the outbox may have been created anew.
func (db *DB) forgetToken() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.token = ""
}

// dialer connects to PostgreSQL. Its driver does not end a read when a context ends, so
// reads and writes have a limit unless the dialer is patient.
type dialer struct {
	net.Dialer
	patient bool
}

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if d.patient {
		return c, nil
	}
	return &limitedConn{c}, nil
}

// DialTimeout calls DialContext. The driver's type of a dialer requires it.
func (d *dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// limitedConn is a connection whose reads and writes fail after readTimeout.
type limitedConn struct{ net.Conn }

func (c *limitedConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *limitedConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(readTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
