package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// busyTimeout is the maximum time to wait for other programs that write the
// file, such as sqlite3: gm's own readers block nobody.
const busyTimeout = 5 * time.Second

// maxMemory is the maximum number of bytes that the engine uses for a
// connection: more than four times the largest payload. It is address space
// that becomes memory when it is used, and that is free again when the
// connection is closed. Only tests change it.
var maxMemory = (4*int64(maxPayload) + 64<<20) &^ 0xffff

// heavyPayload is the minimum size of a payload after which a connection keeps
// so much memory that it is closed.
const heavyPayload = 16 << 20

// conn is a connection to the file. One goroutine at a time uses it.
type conn struct {
	*sqlite3.Conn
	statements []*sqlite3.Stmt
	heavy      bool // it has had a payload of heavyPayload or more
}

// panicError is a panic of the engine, which happens when it has no memory
// left.
type panicError struct{ what any }

func (e *panicError) Error() string { return fmt.Sprint("the engine failed: ", e.what) }

func isPanic(err error) bool {
	var p *panicError
	return errors.As(err, &p)
}

// protect calls f and returns its error, or a *panicError. After that, the
// connections of f must not be used.
func protect(f func() error) (err error) {
	defer func() {
		if what := recover(); what != nil {
			err = &panicError{what}
		}
	}()
	return f()
}

// location returns the name under which the engine opens a file. create lets the
// engine create a missing file.
func location(path string, create bool) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	if !strings.HasPrefix(u.Path, "/") { // C:/
		u.Path = "/" + u.Path
	}
	query := url.Values{"mode": {"rw"}}
	if create {
		query.Set("mode", "rwc")
	}
	if runtime.GOOS != "windows" {
		query.Set("modeof", path) // of FILE-wal and FILE-journal
	}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // SQLite does not decode +
	return u.String()
}

// dial opens a connection and sets the options of all connections.
func dial(path string, create bool) (c *conn, err error) {
	err = protect(func() error {
		c, err = dialEngine(path, create)
		return err
	})
	return c, err
}

func dialEngine(path string, create bool) (*conn, error) {
	raw, err := sqlite3.OpenContext(sqlite3.WithMaxMemory(context.Background(), maxMemory), location(path, create))
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw}
	err = errors.Join(
		raw.BusyTimeout(busyTimeout),
		// If a mapped file is truncated, reading it ends the process.
		raw.Exec("PRAGMA mmap_size = 0"),
		raw.Exec("PRAGMA cell_size_check = ON"),
	)
	if err != nil {
		_ = c.close()
		return nil, err
	}
	return c, nil
}

// prepare returns a statement that is valid as long as the connection.
func (c *conn) prepare(format string, args ...any) (*sqlite3.Stmt, error) {
	sql := fmt.Sprintf(format, args...)
	stmt, _, err := c.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	c.statements = append(c.statements, stmt)
	return stmt, nil
}

// queryText returns the first column of the first row, or "".
func (c *conn) queryText(sql string) (string, error) {
	stmt, _, err := c.Prepare(sql)
	if err != nil {
		return "", fmt.Errorf("%s: %w", sql, err)
	}
	defer stmt.Close()
	var s string
	if stmt.Step() {
		s = stmt.ColumnText(0)
	}
	if err := stmt.Err(); err != nil {
		return "", fmt.Errorf("%s: %w", sql, err)
	}
	return s, nil
}

// queryEach calls f for every row of a query. f reads the row from the statement.
func (c *conn) queryEach(sql string, f func(*sqlite3.Stmt) error) error {
	stmt, _, err := c.Prepare(sql)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	defer stmt.Close()
	for stmt.Step() {
		if err := f(stmt); err != nil {
			return err
		}
	}
	if err := stmt.Err(); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// during calls f, and interrupts its queries when ctx ends.
func (c *conn) during(ctx context.Context, f func() error) error {
	defer c.SetInterrupt(c.SetInterrupt(ctx))
	err := protect(f)
	if errors.Is(err, sqlite3.INTERRUPT) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// close closes the connection. The last one that closes writes the content of
// FILE-wal into FILE.
func (c *conn) close() error { return protect(c.closeEngine) }

func (c *conn) closeEngine() error {
	for _, stmt := range c.statements {
		_ = stmt.Close()
	}
	c.statements = nil
	return c.Conn.Close()
}

// quote returns a name in quotes for SQL.
func quote(name string) string { return sqlite3.QuoteIdentifier(name) }

// isBroken reports whether err is that of a file whose parts do not match.
func isBroken(err error) bool {
	return errors.Is(err, sqlite3.CORRUPT) || errors.Is(err, sqlite3.NOTADB) ||
		errors.Is(err, sqlite3.IOERR_SHORT_READ) || errors.Is(err, errBroken)
}

// isStrange reports whether err is that of a file that is not a database of this kind,
// or of a damaged one.
func isStrange(err error) bool {
	return errors.Is(err, sqlite3.ERROR) || errors.Is(err, errStrange)
}

// errStrange is wrapped by the errors of a file that is not a database of this kind.
var errStrange = errors.New("not a database of this kind")

// errBroken is wrapped by the errors of a file whose damage this package finds itself.
var errBroken = errors.New("database is damaged")

// markFull wraps store.ErrFull too if err is that of a store without room. The engine
// reports that it could not write, but no reason: markFull writes a file to detect a
// full disk.
func markFull(err error, path string) error {
	if errors.Is(err, store.ErrFull) {
		return err
	}
	if isRoomError(err) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	if !errors.Is(err, sqlite3.IOERR) {
		return err
	}
	reason := filestore.ProbeRoom(path, 64<<10)
	if isRoomError(reason) {
		return fmt.Errorf("%w: %w: %w", store.ErrFull, err, reason)
	}
	return err
}

// isRoomError reports whether err is that of a full disk, quota or limit.
func isRoomError(err error) bool { return errors.Is(err, sqlite3.FULL) || filestore.IsFull(err) }
