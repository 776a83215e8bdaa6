package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gm/pkg/store"
)

const (
	// lockClass and the table's number are the store's advisory lock.
	lockClass = "1735225453" // "gm" and, by chance, free
	// holderKey is that of the holder's note among the extras. Theirs are
	// printable.
	holderKey = "\x01holder"
)

// newToken returns a number by which the sessions of one store are known.
func newToken() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.LittleEndian.Uint64(b[:]) >> 1)
}

// session is the connection that commits. It implements [sqlstore.Session].
type session struct {
	conn *pgconn.PgConn
	db   *database
}

// dial returns a session with its statements prepared, once an earlier one of
// this store has ended: the server may know it still, and go on with what it
// was sent last.
func (db *database) dial(ctx context.Context) (*session, error) {
	conn, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, db: db}
	if err := s.fence(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("end the lost session: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// fence takes the lock that every session of this store has.
func (s *session) fence(ctx context.Context) error {
	token := strconv.FormatInt(s.db.token, 10)
	got, err := s.yes(ctx, "SELECT pg_try_advisory_lock($1)", token)
	if err != nil || got {
		return err
	}
	_, err = rows(ctx, s.conn, `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() AND objsubid = 1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid::bigint = $1::bigint >> 32 AND objid::bigint = $1::bigint & 4294967295`, token)
	if err != nil {
		return err
	}
	_, err = rows(ctx, s.conn, "SELECT pg_advisory_lock($1)", token)
	return err
}

// The statements that sessions have prepared. Each takes arrays.
const (
	doneStatement    = "done"
	updateStatement  = "update"
	addStatement     = "add"
	replaceStatement = "replace" // adds, in place of rows that have a key already
	deleteStatement  = "delete"
	putStatement     = "put"
)

func (s *session) prepare(ctx context.Context) error {
	if s.db.asIs {
		return nil
	}
	jobs, extras := s.db.table.jobs(), s.db.table.extras()
	insert := "INSERT INTO " + jobs + " (unique_key, function_name, priority, data, when_to_run, " +
		"seq, run_at_ms, accepted_ms, attempts, reducer, gm_unique, gm_function) " +
		"SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bytea[], $5::integer[], " +
		"$6::bigint[], $7::bigint[], $8::bigint[], $9::integer[], $10::bytea[], $11::bytea[], $12::bytea[])"
	for _, p := range [...]struct{ name, sql string }{
		{doneStatement, "DELETE FROM " + jobs + " WHERE seq = ANY($1::bigint[])"},
		{updateStatement, "UPDATE " + jobs + " t SET attempts = u.attempts, run_at_ms = u.run_at, when_to_run = u.run_when " +
			"FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::integer[]) u (seq, attempts, run_at, run_when) " +
			"WHERE t.seq = u.seq"},
		{addStatement, insert},
		{replaceStatement, insert + " ON CONFLICT (unique_key, function_name) DO UPDATE SET " +
			"priority = excluded.priority, data = excluded.data, when_to_run = excluded.when_to_run, " +
			"seq = excluded.seq, run_at_ms = excluded.run_at_ms, accepted_ms = excluded.accepted_ms, " +
			"attempts = excluded.attempts, reducer = excluded.reducer, " +
			"gm_unique = excluded.gm_unique, gm_function = excluded.gm_function"},
		{deleteStatement, "DELETE FROM " + extras + " WHERE key = ANY($1::text[])"},
		{putStatement, "INSERT INTO " + extras + " (key, value) SELECT * FROM unnest($1::text[], $2::bytea[]) " +
			"ON CONFLICT (key) DO UPDATE SET value = excluded.value"},
	} {
		if _, err := s.conn.Prepare(ctx, p.name, p.sql, nil); err != nil {
			return fmt.Errorf("prepare %s: %w", p.name, err)
		}
	}
	return nil
}

// yes runs a statement that answers with one truth value.
func (s *session) yes(ctx context.Context, sql string, args ...string) (bool, error) {
	found, err := rows(ctx, s.conn, sql, args...)
	return len(found) == 1 && string(found[0][0]) == "t", err
}

// Lock is that of [sqlstore.Session].
func (s *session) Lock(ctx context.Context) (bool, error) {
	return s.yes(ctx, "SELECT pg_try_advisory_lock($1, $2)", lockClass, strconv.Itoa(int(int32(s.db.oid))))
}

// Note is that of [sqlstore.Session].
func (s *session) Note(ctx context.Context, holder string) error {
	if !s.db.extras {
		return nil // nobody looks for it
	}
	_, err := rows(ctx, s.conn, "INSERT INTO "+s.db.table.extras()+" (key, value) VALUES ($1, convert_to($2, 'UTF8')) "+
		"ON CONFLICT (key) DO UPDATE SET value = excluded.value", holderKey, holder)
	return err
}

// Holder is that of [sqlstore.Session].
func (s *session) Holder(ctx context.Context) (string, error) {
	if !s.db.extras {
		return "", nil
	}
	found, err := rows(ctx, s.conn, "SELECT convert_from(value, 'UTF8') FROM "+s.db.table.extras()+" WHERE key = $1", holderKey)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return string(found[0][0]), nil
}

// Undo is that of [sqlstore.Session].
func (s *session) Undo(ctx context.Context, seqs []uint64) error {
	return s.run(ctx, func(p *pgconn.Pipeline) error {
		p.SendQueryPrepared(doneStatement, [][]byte{numbers(seqs)}, binaryFormat, nil)
		return nil
	})
}

// Ping is that of [sqlstore.Session].
func (s *session) Ping(ctx context.Context) error { return s.conn.Ping(ctx) }

// Alive is that of [sqlstore.Session].
func (s *session) Alive() bool { return !s.conn.IsClosed() }

// Close is that of [sqlstore.Session]. The server would free the session's locks
// a moment after it is gone, and who comes next would find them taken.
func (s *session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = rows(ctx, s.conn, "SELECT pg_advisory_unlock_all()")
	closeConn(s.conn)
}

// run sends what send puts into a pipeline as one transaction, which is
// committed as it ends: the server takes all up to the end for one, and sees
// the end last. An error of which it is not known whether it came before or
// after that is a [store.UncertainError].
func (s *session) run(ctx context.Context, send func(*pgconn.Pipeline) error) error {
	p := s.conn.StartPipeline(ctx)
	err := send(p)
	if err != nil {
		// The end was not sent, and the connection is closed without it.
		_ = p.Close()
		return err
	}
	err = p.Sync()
	if e := p.Close(); err == nil {
		err = e
	}
	return outcome(err)
}

// outcome says what an error of a pipeline means.
func outcome(err error) error {
	var answer *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && cmp.Or(answer.SeverityUnlocalized, answer.Severity) == "ERROR":
		if answer.Code == "53100" { // disk_full
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		}
		return err
	case pgconn.SafeToRetry(err):
		return err
	}
	return &store.UncertainError{Err: err}
}
