// Package open opens the store that a URL names. It is the only package that
// knows all drivers.
//
// [Parse] returns the [Place] of a URL, and [Gearmand] that of gearmand's options.
// [Place.Open] opens the store there, and
// [Lock] locks it for this process. [Place.Acquire] does both, and waits while
// another process holds the store or while its server does not answer. [Lost]
// reports that the store has passed to another process.
//
// An error in the URL or in a setting is a [*UsageError]. A store that cannot be
// reached is a [*store.AwayError], one that another process holds a
// [*store.HeldError]. No error and no log line has a password in it.
package open

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/disk"
	"gm/pkg/store/memcached"
	"gm/pkg/store/mysql"
	"gm/pkg/store/postgres"
	"gm/pkg/store/redis"
	"gm/pkg/store/sqlite"
	"gm/pkg/store/tokyocabinet"
)

// Forms lists the forms of a URL, a line each, for a help text.
const Forms = `  disk:DIR
  sqlite:FILE[?table=NAME]
  postgres://USER:PASSWORD@HOST:PORT/DB[?table=NAME]
  mysql://USER:PASSWORD@HOST:PORT/DB[?table=NAME]
  redis://:PASSWORD@HOST:PORT/DB[?prefix=NAME]
  memcached://HOST:PORT,HOST:PORT[?prefix=NAME]
  tokyocabinet:FILE.tch or FILE.tcb                (if built with it)`

// UsageError is the error of a URL or a setting that is wrong. Another attempt
// fails as well.
type UsageError struct {
	Err  error
	Hint string // how to mend it; may be empty
}

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

func usageErrorf(format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...)}
}

// Place says which store to open, and how. Its fields must not change while
// Open or Acquire runs.
type Place struct {
	URL *store.URL

	// Sync is when the store brings jobs to the disk: always, interval (every
	// second) or never. If it is empty, the URL decides. See TakesSync.
	Sync string

	// AsIs is set by callers that only read: a server elsewhere must not
	// create or change anything. If the store is not there, the error wraps
	// [store.ErrAbsent].
	AsIs bool

	// Wait is how long Acquire waits for a store that cannot be reached. 0
	// is not at all.
	Wait time.Duration

	// StandingBy is called by Acquire when it first finds that another
	// process holds the store, and never again. Its error ends Acquire. It
	// may be nil.
	StandingBy func() error

	// Logger gets the messages of Acquire and of the driver. If it is nil,
	// nothing is logged.
	Logger *slog.Logger

	// Skipped is called for each thing in the store that cannot be read and
	// is set aside. It may be nil.
	Skipped func(what string, err error)

	stoodBy bool // StandingBy was called
}

// Parse returns the place of a URL, see [store.ParseURL]. Its error is a
// [*UsageError]. That the scheme has a driver, and that the driver accepts the
// rest, is only checked by Open.
func Parse(url string) (*Place, error) {
	u, err := store.ParseURL(url)
	if err != nil {
		return nil, &UsageError{Err: err}
	}
	return &Place{URL: u}, nil
}

// Name returns the URL without its secrets: without user, password and query.
func (p *Place) Name() string {
	u := p.URL
	switch {
	case u.Net != nil:
		return store.Redact(u.Scheme + "://" + u.Net.Host + u.Net.Path)
	case u.Scheme == "disk", u.Scheme == "sqlite", u.Scheme == "tokyocabinet", u.Scheme == "memcached":
		return u.Scheme + ":" + u.Path
	}
	return u.Scheme // the rest is words such as password=x, or a mistake
}

// TakesSync reports whether Sync may be set. Only an engine in this process
// takes it; a server elsewhere has a setting of its own.
func (p *Place) TakesSync() bool { return p.URL.Scheme == "disk" || p.URL.Scheme == "sqlite" }

// Missing reports whether the store is a file on this machine that does not
// exist.
func (p *Place) Missing() bool {
	file := p.URL.File()
	switch p.URL.Scheme {
	case "disk":
		file = filepath.Join(file, "queue.db")
	case "sqlite", "tokyocabinet":
	default:
		return false
	}
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist)
}

// Open opens the store without locking it. The caller must close it.
func (p *Place) Open(ctx context.Context) (store.Store, error) {
	if p.Sync != "" && !p.TakesSync() {
		return nil, usageErrorf("store %s: the sync setting is for disk and sqlite", p.Name())
	}
	switch p.URL.Scheme {
	case "disk":
		c, err := disk.ParseURL(p.URL)
		if p.Sync != "" {
			c.Sync = store.Sync(p.Sync)
		}
		c.Logger, c.Skipped = p.logger(), p.Skipped
		return openDriver(ctx, disk.Open, c, err)
	case "sqlite":
		c, err := sqlite.ParseURL(p.URL)
		if p.Sync != "" {
			c.Sync = store.Sync(p.Sync)
		}
		c.Logger, c.Skipped = p.logger(), p.Skipped
		return openDriver(ctx, sqlite.Open, c, err)
	case "postgres", "postgresql":
		c, err := postgresConfig(p.URL)
		c.Logger, c.Skipped, c.AsIs = p.logger(), p.Skipped, p.AsIs
		return openDriver(ctx, postgres.Open, c, err)
	case "mysql", "mariadb":
		c, err := mysql.ParseURL(p.URL)
		c.Logger, c.Skipped, c.AsIs = p.logger(), p.Skipped, p.AsIs
		return openDriver(ctx, mysql.Open, c, err)
	case "memcached":
		c, err := memcached.ParseURL(p.URL)
		c.Logger, c.Skipped, c.AsIs = p.logger(), p.Skipped, p.AsIs
		return openDriver(ctx, memcached.Open, c, err)
	case "tokyocabinet":
		c, err := tokyocabinet.ParseURL(p.URL)
		c.Logger, c.Skipped = p.logger(), p.Skipped
		return openDriver(ctx, tokyocabinet.Open, c, err)
	case "redis", "rediss":
		c, err := redis.ParseURL(p.URL)
		c.Logger, c.Skipped, c.AsIs = p.logger(), p.Skipped, p.AsIs
		return openDriver(ctx, redis.Open, c, err)
	}
	return nil, &UsageError{
		Err:  fmt.Errorf("store %s: unknown kind of store", p.Name()),
		Hint: "one of disk:, sqlite:, postgres://, mysql://, redis://, memcached://, tokyocabinet:",
	}
}

// openDriver opens a store with its driver, unless the URL had an error.
func openDriver[C any, S store.Store](ctx context.Context, open func(context.Context, C) (S, error), c C, err error) (store.Store, error) {
	if err != nil {
		return nil, &UsageError{Err: err}
	}
	s, err := open(ctx, c)
	if err != nil {
		return nil, err // not s: an interface that holds a nil pointer is not nil
	}
	return s, nil
}

// postgresConfig accepts libpq's words too, as gearmand does:
// postgres:host=db dbname=gearman.
func postgresConfig(u *store.URL) (postgres.Config, error) {
	if u.Net != nil {
		return postgres.ParseURL(u)
	}
	return postgres.Config{Conninfo: u.Path, Table: u.Query.Get("table")}, nil
}

// PasswordVars returns the names of the environment variables in which clients of
// the stores look for a password. A server must not pass them on to other programs.
func PasswordVars() []string {
	return []string{"PGPASSWORD", "PGSSLPASSWORD", "MYSQL_PWD", "REDISCLI_AUTH"}
}

// logger returns the logger, or one that discards everything.
func (p *Place) logger() *slog.Logger {
	if p.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Logger
}

// Close closes s and names the operation in its error. A nil s is nothing to
// close.
func Close(s store.Store) error {
	if s == nil {
		return nil
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
