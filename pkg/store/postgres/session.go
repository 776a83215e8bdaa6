package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

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
	*conn
	db *database
}

// session returns one, once an earlier one of this store has ended: the server
// may know it still, and go on with what it was sent last.
func (db *database) session(ctx context.Context) (*session, error) {
	c, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: c, db: db}
	if err := s.fence(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("end the lost session: %w", err)
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
	err = s.exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() AND objsubid = 1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid::bigint = $1::bigint >> 32 AND objid::bigint = $1::bigint & 4294967295`, token)
	if err != nil {
		return err
	}
	return s.exec(ctx, "SELECT pg_advisory_lock($1)", token)
}

// yes runs a statement that answers with one truth value.
func (s *session) yes(ctx context.Context, sql string, args ...any) (bool, error) {
	found, err := s.rows(ctx, sql, args...)
	return len(found) == 1 && found[0][0] == true, err
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
	return s.exec(ctx, "INSERT INTO "+s.db.table.extras()+" (key, value) VALUES ($1, convert_to($2, 'UTF8')) "+
		"ON CONFLICT (key) DO UPDATE SET value = excluded.value", holderKey, holder)
}

// Holder is that of [sqlstore.Session].
func (s *session) Holder(ctx context.Context) (string, error) {
	if !s.db.extras {
		return "", nil
	}
	found, err := s.rows(ctx, "SELECT convert_from(value, 'UTF8') FROM "+s.db.table.extras()+" WHERE key = $1", holderKey)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0][0].(string), nil
}

// Undo is that of [sqlstore.Session].
func (s *session) Undo(ctx context.Context, seqs []uint64) error {
	return outcome(s.send(ctx, s.db.table.dones(seqs)))
}

// Ping is that of [sqlstore.Session].
func (s *session) Ping(ctx context.Context) error { return s.ping(ctx) }

// Alive is that of [sqlstore.Session].
func (s *session) Alive() bool { return s.alive() }

// Close is that of [sqlstore.Session]. The server would free the session's locks
// a moment after it is gone, and who comes next would find them taken.
func (s *session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.alive() {
		_ = s.exec(ctx, "SELECT pg_advisory_unlock_all()")
	}
	s.close()
}

// outcome says what an error means that came when the server had been sent the
// end of a transaction, perhaps. What it answers to a statement or to its end is
// about a transaction that is rolled back; the driver has no answer where the
// session ends with it.
func outcome(err error) error {
	var answer *pq.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		switch {
		case answer.Code == "53100": // disk_full
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		case refuses(answer):
			return &store.RefusedError{Index: -1, Err: err}
		}
		return err
	}
	return &store.UncertainError{Err: err}
}

// refuses reports whether the server can never take what it was sent: data that
// it does not understand, that a constraint rules out, or that exceed a limit.
func refuses(answer *pq.Error) bool {
	switch answer.Code.Class() {
	case "22", "23", "54":
		return true
	}
	return answer.Code == "XX000" && strings.Contains(answer.Message, "invalid memory alloc request size")
}
