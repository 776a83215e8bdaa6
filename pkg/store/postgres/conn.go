package postgres

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/lib/pq"
)

// conn is a connection to the server. It is the driver's own, not one of
// database/sql's: it has locks and must not return to any pool. It keeps the
// statements that were run on it prepared, for as long as it lives.
//
// A context that ends during a statement breaks the connection at once: the
// outcome of the statement is then unknown.
type conn struct {
	driver.Conn
	net      net.Conn // below the driver, and below TLS
	prepared map[string]driver.Stmt
	broken   bool
}

// dialer gives access to the net connections of the driver.
type dialer struct {
	net.Dialer
	dialed func(net.Conn)
}

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Dialer.DialContext(ctx, network, address)
	if err == nil {
		d.dialed(c)
	}
	return c, err
}

// DialTimeout is there for the driver's type of a dialer. It calls DialContext.
func (d *dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// dial returns a connection. It takes no longer than config.ConnectTimeout.
func dial(ctx context.Context, config pq.Config) (*conn, error) {
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, err
	}
	c := &conn{prepared: make(map[string]driver.Stmt)}
	heeded := func() bool { return true }
	connector.Dialer(&dialer{dialed: func(dialed net.Conn) {
		heeded() // of the address before
		c.net = dialed
		heeded = c.heed(ctx)
	}})
	c.Conn, err = connector.Connect(ctx)
	if !heeded() && err == nil {
		c.close()
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// alive is false once the connection can't be used any more.
func (c *conn) alive() bool { return !c.broken && c.Conn.(driver.Validator).IsValid() }

// close ends the connection. The server is told, if it listens.
func (c *conn) close() {
	c.broken = true
	_ = c.net.SetDeadline(time.Now().Add(time.Second))
	_ = c.Conn.Close()
	_ = c.net.Close()
}

// heed has reading and writing fail once ctx ends, until stop is called, which
// is false if it is too late for that.
func (c *conn) heed(ctx context.Context) (stop func() bool) {
	n := c.net
	return context.AfterFunc(ctx, func() { _ = n.SetDeadline(time.Unix(1, 0)) })
}

// call calls f, which uses the connection.
func (c *conn) call(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := c.heed(ctx)
	err := f()
	if stop() {
		return err
	}
	c.broken = true
	if err == nil {
		return nil // done before it was felt
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}

// do runs statements that have no arguments and return nothing.
func (c *conn) do(ctx context.Context, sql string) error {
	return c.call(ctx, func() error {
		_, err := c.Conn.(driver.ExecerContext).ExecContext(context.Background(), sql, nil)
		return err
	})
}

// exec runs one statement that returns nothing. An argument is a string, or
// bytes in PostgreSQL's binary form.
func (c *conn) exec(ctx context.Context, sql string, args ...any) error {
	return c.call(ctx, func() error {
		statement, err := c.prepare(sql)
		if err != nil {
			return err
		}
		_, err = statement.(driver.StmtExecContext).ExecContext(context.Background(), named(args))
		return err
	})
}

// each runs one statement and calls f for each row that it returns. Bytes in it
// are valid until f returns. Arguments are those of exec. An error of f breaks
// the connection, as there may be much more to come.
func (c *conn) each(ctx context.Context, sql string, args []any, f func([]driver.Value) error) error {
	return c.call(ctx, func() error {
		statement, err := c.prepare(sql)
		if err != nil {
			return err
		}
		rows, err := statement.(driver.StmtQueryContext).QueryContext(context.Background(), named(args))
		if err != nil {
			return err
		}
		values := make([]driver.Value, len(rows.Columns()))
		for {
			if err := rows.Next(values); err == io.EOF {
				return rows.Close()
			} else if err != nil {
				return err
			}
			if err := f(values); err != nil {
				c.broken = true
				return err
			}
		}
	})
}

// queryRows runs one statement and returns its rows. Arguments are those of exec.
func (c *conn) queryRows(ctx context.Context, sql string, args ...any) (all [][]driver.Value, err error) {
	err = c.each(ctx, sql, args, func(row []driver.Value) error {
		row = slices.Clone(row)
		for i, v := range row {
			if b, ok := v.([]byte); ok {
				row[i] = slices.Clone(b)
			}
		}
		all = append(all, row)
		return nil
	})
	return all, err
}

// ping asks the server for a sign of life.
func (c *conn) ping(ctx context.Context) error { return c.do(ctx, ";") }

func (c *conn) prepare(sql string) (driver.Stmt, error) {
	if s := c.prepared[sql]; s != nil {
		return s, nil
	}
	s, err := c.Prepare(sql)
	if err != nil {
		return nil, err
	}
	c.prepared[sql] = s
	return s, nil
}

func named(args []any) []driver.NamedValue {
	values := make([]driver.NamedValue, len(args))
	for i, a := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return values
}
