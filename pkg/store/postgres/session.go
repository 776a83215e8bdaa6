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

	"gm/pkg/store/internal/sqlstore"
)

const (
	// lockClass and the number of the jobs' table are the store's advisory lock.
	lockClass = "1735225453" // an arbitrary number that begins with "gm"
)

// newToken returns the number of the lock that only sessions of one store take.
func newToken() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.LittleEndian.Uint64(b[:]) >> 1)
}

// session is the connection that commits. It implements [sqlstore.Writer].
type session struct {
	*conn
	db        *database
	overtaken bool // the fence belongs to another session
}

// dial returns a session. It first ends an earlier session of this store, in which the
// server may still run the last statement.
func (db *database) dial(ctx context.Context) (*session, error) {
	c, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: c, db: db}
	if err := s.endLostSession(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("end the lost session: %w", err)
	}
	return s, nil
}

// endLostSession takes the lock that only sessions of this store take. If an
// earlier session still has it, that session is ended first.
func (s *session) endLostSession(ctx context.Context) error {
	token := strconv.FormatInt(s.db.token, 10)
	got, err := s.queryBool(ctx, "SELECT pg_try_advisory_lock($1)", token)
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

// queryBool runs a statement that answers with one truth value.
func (s *session) queryBool(ctx context.Context, sql string, args ...any) (bool, error) {
	found, err := s.queryRows(ctx, sql, args...)
	return len(found) == 1 && found[0][0] == true, err
}

// Lock implements [sqlstore.Session].
func (s *session) Lock(ctx context.Context, again bool) (bool, error) {
	table := strconv.Itoa(int(int32(s.db.oid)))
	got, err := true, error(nil)
	if !s.db.pooled {
		got, err = s.queryBool(ctx, "SELECT pg_try_advisory_lock($1, $2)", lockClass, table)
	}
	if err != nil || !got || !s.db.extras {
		return got, err
	}
	if got, err = s.takeFence(ctx, again); err != nil {
		return false, fmt.Errorf("take the fence: %w", err)
	}
	if !got {
		err = s.exec(ctx, "SELECT pg_advisory_unlock($1, $2)", lockClass, table)
	}
	return got, err
}

// takeFence writes the fence, unless another server holds the store. The advisory lock
// belongs to a connection: behind a pooler that gives the connection to others between
// transactions, another server may seem to have the lock too.
func (s *session) takeFence(ctx context.Context, again bool) (taken bool, err error) {
	if err := s.do(ctx, "BEGIN"); err != nil {
		return false, err
	}
	if taken, err = s.writeFence(ctx, again); err == nil && taken {
		return true, s.do(ctx, "COMMIT")
	}
	return false, errors.Join(err, s.do(ctx, "ROLLBACK"))
}

// writeFence is the transaction of takeFence.
func (s *session) writeFence(ctx context.Context, again bool) (bool, error) {
	// This excludes other sessions. The next statement sees the commit of the one
	// before.
	if err := s.exec(ctx, "SELECT pg_advisory_xact_lock($1)", strconv.FormatInt(sqlstore.LockNumber("gm.fence."+s.db.table.extras()), 10)); err != nil {
		return false, err
	}
	found, err := s.queryRows(ctx, "SELECT extract(epoch FROM clock_timestamp())::bigint, "+
		"(SELECT pid || '/' || extract(epoch FROM backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()), "+
		"(SELECT convert_from(value, 'UTF8') FROM "+s.db.table.extras()+" WHERE key = $1)", sqlstore.FenceKey)
	if err != nil {
		return false, err
	}
	c := sqlstore.Claim{Now: found[0][0].(int64), Again: again}
	if c.Where, _ = found[0][1].(string); c.Where == "" {
		c.Where = "-"
	}
	c.Value, _ = found[0][2].(string)
	var failed error
	c.Gone = func(where string) bool {
		ended, err := s.hasEnded(ctx, where)
		failed = err
		return err == nil && ended
	}
	taken, err := s.db.fence.Acquire(c, func(value string) error { return s.putExtra(ctx, sqlstore.FenceKey, value) })
	if !taken {
		err = errors.Join(failed, err)
	}
	return taken, err
}

// putExtra sets an extra.
func (s *session) putExtra(ctx context.Context, key, value string) error {
	return s.exec(ctx, "INSERT INTO "+s.db.table.extras()+" (key, value) VALUES ($1, convert_to($2, 'UTF8')) "+
		"ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
}

// hasEnded reports whether the session of a process, known by its number and its
// start, has ended. Not every user may see when it began.
func (s *session) hasEnded(ctx context.Context, where string) (bool, error) {
	pid, start, ok := strings.Cut(where, "/")
	if !ok || strings.Trim(pid, "0123456789") != "" {
		return false, nil
	}
	return s.queryBool(ctx, "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1::integer "+
		"AND (backend_start IS NULL OR extract(epoch FROM backend_start)::text = $2))", pid, start)
}

// withFence returns changes after one that fails unless the session still holds
// the store. A store that nobody has locked has no such change.
func (s *session) withFence(changes ...change) []change {
	if f := s.db.fence; s.db.extras && f.Held() {
		return append([]change{s.db.table.fence(f.Mine(), f.Value())}, changes...)
	}
	return changes
}

// freeFence writes the fence of a free store, if the session still holds it.
func (s *session) freeFence(ctx context.Context) {
	f := s.db.fence
	if s.db.extras && f.Held() {
		_ = s.exec(ctx, "UPDATE "+s.db.table.extras()+" SET value = convert_to($2, 'UTF8') WHERE key = $1 "+
			"AND substring(value FROM 1 FOR length($3::text)) = convert_to($3, 'UTF8')", sqlstore.FenceKey, f.FreeValue(), f.Mine())
	}
}

// Note implements [sqlstore.Session].
func (s *session) Note(ctx context.Context, holder string) error {
	if !s.db.extras {
		return nil // there is no table for it
	}
	return s.putExtra(ctx, sqlstore.HolderKey, holder)
}

// Holder implements [sqlstore.Session].
func (s *session) Holder(ctx context.Context) (string, error) {
	if !s.db.extras {
		return "", nil
	}
	found, err := s.queryRows(ctx, "SELECT convert_from(value, 'UTF8') FROM "+s.db.table.extras()+" WHERE key = $1", sqlstore.HolderKey)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0][0].(string), nil
}

// Undo implements [sqlstore.Session].
func (s *session) Undo(ctx context.Context, seqs []uint64) error {
	return s.outcome(s.send(ctx, s.withFence(s.db.table.dones(seqs))...))
}

// Ping implements [sqlstore.Session].
func (s *session) Ping(ctx context.Context) error {
	if s.db.extras && s.db.fence.Due() {
		return s.outcome(s.send(ctx, s.withFence()...))
	}
	return s.ping(ctx)
}

// Alive implements [sqlstore.Session].
func (s *session) Alive() bool { return !s.overtaken && s.alive() }

// Close implements [sqlstore.Session]. It frees the locks first: the server would free
// them a moment after the end of the session, too late for the next session.
func (s *session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.alive() {
		s.freeFence(ctx)
		_ = s.exec(ctx, "SELECT pg_advisory_unlock_all()")
	}
	s.close()
}

// isUnavailable reports whether the server accepts no connections for now: it starts or
// stops, or has too many.
func isUnavailable(err error) bool {
	var answer *pq.Error
	return errors.As(err, &answer) && (answer.Code.Class() == "57" || answer.Code.Class() == "08" || answer.Code == "53300")
}

// outcome marks an error that may have come after the end of a transaction was
// sent. An error answer to a statement or to the end means that the transaction is
// rolled back. If the session ends with the transaction, the driver has no answer.
func (s *session) outcome(err error) error { return s.meaning(err).Mark(err) }

// meaning returns the meaning of an error.
func (s *session) meaning(err error) sqlstore.Meaning {
	var answer *pq.Error
	switch {
	case !errors.As(err, &answer):
		return sqlstore.Unknown
	case answer.Code == "23502" && s.db.fence.Held() && answer.Table == s.db.table.name+"_gm": // not_null_violation
		s.overtaken = true
		return sqlstore.Overtaken
	case answer.Code == "53100": // disk_full
		return sqlstore.Full
	case isRefusal(answer):
		return sqlstore.Refused
	}
	return sqlstore.Temporary
}

// isRefusal reports whether the server can never take the data that was sent: it cannot
// parse them, a constraint forbids them, or they exceed a limit.
func isRefusal(answer *pq.Error) bool {
	switch answer.Code.Class() {
	case "22", "23", "54":
		return true
	}
	return answer.Code == "XX000" && strings.Contains(answer.Message, "invalid memory alloc request size")
}
