package outbox

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/lib/pq"
)

// notifyCheck is the time between two looks for the trigger of NotifySchema, and between
// two checks of a listening connection.
const notifyCheck = 30 * time.Second

// errNotify is returned for databases without NOTIFY.
var errNotify = errors.New("only PostgreSQL has NOTIFY")

// NotifySchema returns the statements that make inserts notify the relays, or that end
// this, for the client program psql. A relay then submits a row at once after it was
// idle, and otherwise up to MaxPoll later. But transactions that add rows commit one
// after the other, because NOTIFY takes a lock until the commit is on disk.
func (db *DB) NotifySchema(on bool) (string, error) {
	statements, err := db.table.notifyStatements(on)
	if err != nil {
		return "", err
	}
	return script(db.table.dialect, statements), nil
}

// InstallNotify runs the statements of NotifySchema.
func (db *DB) InstallNotify(ctx context.Context, on bool) error {
	statements, err := db.table.notifyStatements(on)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := db.pool.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("install NOTIFY for outbox %s: %w", db.table.sql(), err)
		}
	}
	return nil
}

// notifyStatements returns the statements of NotifySchema. The channel has the name of
// the table.
func (t tableName) notifyStatements(on bool) ([]string, error) {
	if t.dialect != Postgres {
		return nil, errNotify
	}
	name := t.base + notifySuffix
	function, trigger := t.sibling(name)+"()", t.dialect.identifier(name)
	if !on {
		return []string{"DROP TRIGGER IF EXISTS " + trigger + " ON " + t.sql(), "DROP FUNCTION IF EXISTS " + function}, nil
	}
	return []string{
		"CREATE OR REPLACE FUNCTION " + function + " RETURNS trigger LANGUAGE plpgsql AS " +
			dollarQuoted("\nBEGIN\n  PERFORM pg_catalog.pg_notify("+t.dialect.literal(t.base)+", '');\n  RETURN NULL;\nEND\n"),
		block(
			"DROP TRIGGER IF EXISTS "+trigger+" ON "+t.sql()+";",
			"CREATE TRIGGER "+trigger+" AFTER INSERT ON "+t.sql()+" FOR EACH STATEMENT EXECUTE PROCEDURE "+function+";",
		),
	}, nil
}

// notifies reports whether inserts notify the relays.
func (db *DB) notifies(ctx context.Context) (bool, error) {
	var found bool
	err := db.pool.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger WHERE tgrelid = to_regclass("+
		db.table.dialect.literal(db.table.sql())+") AND tgname = "+db.table.dialect.literal(db.table.base+notifySuffix)+")").Scan(&found)
	return found, err
}

// listen sends to wake when inserts notify, until ctx is done. It sends nothing while the
// database has no trigger for that. Its errors only make the relay slower.
func (r *Relay) listen(ctx context.Context, wake chan<- struct{}) {
	for ctx.Err() == nil {
		if on, err := r.DB.notifies(ctx); err == nil && on {
			r.DB.receive(ctx, wake)
		}
		sleep(ctx, notifyCheck, nil)
	}
}

// receive sends to wake when a notification has come, and when notifications may have
// been lost. It renews a lost connection.
func (db *DB) receive(ctx context.Context, wake chan<- struct{}) {
	l := pq.NewDialListener(&dialer{patient: true}, db.listenDSN, DefaultMinBackoff, DefaultMaxBackoff, nil)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	defer l.Close()
	if l.Listen(db.table.base) != nil {
		return
	}
	tick := time.NewTicker(notifyCheck)
	defer tick.Stop()
	for {
		select {
		case wake <- struct{}{}: // after LISTEN, and after each notification
		default: // the relay is awake
		}
		select {
		case <-ctx.Done():
			return
		case _, open := <-l.Notify:
			if !open {
				return
			}
		case <-tick.C:
			_ = l.Ping()
		}
	}
}

// listenDSN returns the URL of a database for a listener, whose type takes no
// configuration: it has the values of config that differ from the driver's defaults.
func listenDSN(conninfo string, config pq.Config) (string, error) {
	u, err := url.Parse(conninfo)
	if err != nil {
		return "", errors.New("not a URL")
	}
	query := u.Query()
	query.Set("sslmode", string(config.SSLMode))
	query.Set("connect_timeout", fmt.Sprint(int(connectTimeout.Seconds())))
	if u.Host == "" && !query.Has("host") && !query.Has("hostaddr") && !query.Has("service") && config.Host != "" {
		query.Set("host", config.Host)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}
