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

// conn is a connection to the server. It is a connection of the driver and not of
// package database/sql, because it has locks and must not return to a pool. Statements
// stay prepared until its end.
//
// The end of a context during a statement breaks the connection at once. The outcome of
// the statement is unknown then.
type conn struct {
	driver.Conn
	net      net.Conn // the network connection below the driver and TLS
	prepared map[string]driver.Stmt
	broken   bool
}

// dialer passes the network connections of the driver to a function.
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

// DialTimeout calls DialContext. The driver's type of a dialer requires it.
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
	stop := func() bool { return true }
	connector.Dialer(&dialer{dialed: func(dialed net.Conn) {
		stop() // watching ctx for the address before
		c.net = dialed
		stop = c.breakAtEnd(ctx)
	}})
	c.Conn, err = connector.Connect(ctx)
	if !stop() && err == nil {
		c.close()
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// alive reports whether the connection can still be used.
func (c *conn) alive() bool { return !c.broken && c.Conn.(driver.Validator).IsValid() }

// close ends the connection. It notifies the server, but does not wait for it longer
// than a second.
func (c *conn) close() {
	c.broken = true
	_ = c.net.SetDeadline(time.Now().Add(time.Second))
	_ = c.Conn.Close()
	_ = c.net.Close()
}

// breakAtEnd makes reading and writing fail when ctx ends, until stop is called. stop
// reports whether ctx has not ended before.
func (c *conn) breakAtEnd(ctx context.Context) (stop func() bool) {
	n := c.net
	return context.AfterFunc(ctx, func() { _ = n.SetDeadline(time.Unix(1, 0)) })
}

// call calls f, which uses the connection.
func (c *conn) call(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := c.breakAtEnd(ctx)
	err := f()
	if stop() {
		return err
	}
	c.broken = true
	if err == nil {
		return nil // f was done before the end of ctx had an effect
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}

// do runs statements without arguments that return no rows.
func (c *conn) do(ctx context.Context, sql string) error {
	return c.call(ctx, func() error {
		_, err := c.Conn.(driver.ExecerContext).ExecContext(context.Background(), sql, nil)
		return err
	})
}

// exec runs one statement that returns no rows. An argument is a string, or
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

// each runs one statement and calls f for each row. The bytes of a row are valid until
// f returns. The arguments are like those of exec. An error of f breaks the connection,
// because the server may still send many rows.
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

// queryRows runs one statement and returns its rows. The arguments are like those of
// exec.
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

// ping checks that the server answers.
func (c *conn) ping(ctx context.Context) error { return c.do(ctx, ";") }

// prepare returns a prepared statement, which is valid as long as the connection.
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
