package mysql

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"gm/pkg/store/internal/sqlstore"
)

// newToken returns the name of the lock that only sessions of one store take.
func newToken() string { return "gm.session." + rand.Text() }

// session is the connection that commits. It implements [sqlstore.Writer].
//
// It is a connection of the driver and not of package database/sql, because it has
// locks and must not return to a pool.
type session struct {
	conn      driver.Conn
	db        *database
	overtaken bool // the fence belongs to another session
}

func (db *database) connect(ctx context.Context) (*session, error) {
	connector, err := mysql.NewConnector(db.config)
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, db: db}, nil
}

// dial returns a session. It first ends an earlier session of this store, in which
// the server may still run the last statements.
func (db *database) dial(ctx context.Context) (*session, error) {
	s, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.endLostSession(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("end the lost session: %w", err)
	}
	if err := db.readLimits(ctx, s); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// endLostSession takes the lock that only sessions of this store take. If an
// earlier session still has it, that session is ended first.
func (s *session) endLostSession(ctx context.Context) error {
	got, err := s.getLock(ctx, s.db.token, 0)
	if err != nil || got {
		return err
	}
	found, err := s.query(ctx, "SELECT IS_USED_LOCK('"+s.db.token+"')")
	if err != nil {
		return err
	}
	if id := string(found[0][0]); id != "" {
		var answer *mysql.MySQLError
		if err := s.exec(ctx, "KILL CONNECTION "+id); err != nil && !errors.As(err, &answer) {
			return err // an answer of the server may mean that the session has ended
		}
	}
	got, err = s.getLock(ctx, s.db.token, 2)
	if err == nil && !got {
		err = errors.New("the server does not end the earlier session")
	}
	return err
}

func (s *session) getLock(ctx context.Context, name string, seconds int) (bool, error) {
	found, err := s.query(ctx, fmt.Sprintf("SELECT GET_LOCK('%s', %d)", name, seconds))
	return err == nil && string(found[0][0]) == "1", err
}

// exec runs statements that return no rows, up to the first one that fails.
func (s *session) exec(ctx context.Context, sql string) error {
	_, err := s.conn.(driver.ExecerContext).ExecContext(ctx, sql, nil)
	return err
}

// execLarge runs one statement with arguments, each of which may be as large as a
// packet.
func (s *session) execLarge(ctx context.Context, sql string, args ...driver.Value) error {
	statement, err := s.conn.(driver.ConnPrepareContext).PrepareContext(ctx, sql)
	if err != nil {
		return err
	}
	defer statement.Close()
	named := make([]driver.NamedValue, len(args))
	for i, a := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	_, err = statement.(driver.StmtExecContext).ExecContext(ctx, named)
	return err
}

// query returns the rows of one statement. NULL is nil.
func (s *session) query(ctx context.Context, sql string) ([][][]byte, error) {
	rows, err := s.conn.(driver.QueryerContext).QueryContext(ctx, sql, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all [][][]byte
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		row := make([][]byte, len(values))
		for i, v := range values {
			switch v := v.(type) {
			case nil:
			case []byte:
				row[i] = append([]byte{}, v...)
			default:
				row[i] = fmt.Append(nil, v)
			}
		}
		all = append(all, row)
	}
}

// Lock implements [sqlstore.Session].
func (s *session) Lock(ctx context.Context, again bool) (bool, error) {
	lock := s.db.lockName("store")
	got, err := s.getLock(ctx, lock, 0)
	if err != nil || !got || !s.db.extras {
		return got, err
	}
	if got, err = s.takeFence(ctx, again); err != nil {
		return false, fmt.Errorf("take the fence: %w", err)
	}
	if !got {
		_, err = s.query(ctx, fmt.Sprintf("SELECT RELEASE_LOCK('%s')", lock))
	}
	return got, err
}

// takeFence writes the fence, unless another server holds the store. On a cluster, a
// server on another node may have a lock of GET_LOCK too.
func (s *session) takeFence(ctx context.Context, again bool) (bool, error) {
	if err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return false, err
	}
	defer s.rollback() // does nothing after the commit
	found, err := s.query(ctx, fmt.Sprintf("SELECT UNIX_TIMESTAMP(), SHA1(CONCAT(@@hostname, @@port, @@datadir, '%s')), "+
		"(SELECT value FROM %s WHERE name = x'%x' FOR UPDATE)", s.db.node, s.db.table.extras(), sqlstore.FenceKey))
	if err != nil {
		return false, err
	}
	now, err := strconv.ParseInt(string(found[0][0]), 10, 64)
	if err != nil {
		return false, err
	}
	where := string(found[0][1])
	claim := sqlstore.Claim{
		Value: string(found[0][2]), Now: now, Where: where, Again: again,
		// The lock of this node was free: its last holder has ended.
		Gone: func(other string) bool { return other == where },
	}
	taken, err := s.db.fence.Acquire(claim, func(value string) error {
		return s.exec(ctx, s.replaceExtra(sqlstore.FenceKey, value)+"; COMMIT")
	})
	var answer *mysql.MySQLError
	if errors.As(err, &answer) && answer.Number == errDeadlock { // on another node, the holder has written it meanwhile
		return false, nil
	}
	return taken, err
}

// replaceExtra returns the statement that sets an extra.
func (s *session) replaceExtra(key, value string) string {
	return fmt.Sprintf("REPLACE INTO %s (name, value) VALUES (x'%x', x'%x')", s.db.table.extras(), key, value)
}

// fenceText returns the statement that fails unless the session still holds the
// store.
func (s *session) fenceText() string {
	f := s.db.fence
	return fmt.Sprintf("INSERT INTO %s (name, value) VALUES (x'%x', x'%x') ON DUPLICATE KEY UPDATE value = IF(LEFT(value, %d) = x'%x', VALUES(value), NULL)",
		s.db.table.extras(), sqlstore.FenceKey, f.Value(), len(f.Mine()), f.Mine())
}

// freeFence writes the fence of a free store, if the session still holds it.
func (s *session) freeFence(ctx context.Context) {
	f := s.db.fence
	if s.db.extras && f.Held() {
		_ = s.exec(ctx, fmt.Sprintf("UPDATE %s SET value = x'%x' WHERE name = x'%x' AND LEFT(value, %d) = x'%x'",
			s.db.table.extras(), f.FreeValue(), sqlstore.FenceKey, len(f.Mine()), f.Mine()))
	}
}

// Note implements [sqlstore.Session].
func (s *session) Note(ctx context.Context, holder string) error {
	if !s.db.extras {
		return nil // there is no table for it
	}
	return s.exec(ctx, s.replaceExtra(sqlstore.HolderKey, holder))
}

// Holder implements [sqlstore.Session].
func (s *session) Holder(ctx context.Context) (string, error) {
	if !s.db.extras {
		return "", nil
	}
	found, err := s.query(ctx, fmt.Sprintf("SELECT value FROM %s WHERE name = x'%x'", s.db.table.extras(), sqlstore.HolderKey))
	if err != nil || len(found) == 0 {
		return "", err
	}
	return string(found[0][0]), nil
}

// Undo implements [sqlstore.Session].
func (s *session) Undo(ctx context.Context, seqs []uint64) error {
	t := transaction{ctx: ctx, s: s}
	t.begin()
	if err := t.dones(seqs); err != nil {
		return err
	}
	return t.commit()
}

// Ping implements [sqlstore.Session].
func (s *session) Ping(ctx context.Context) error {
	if s.db.extras && s.db.fence.Due() {
		return s.mark(s.exec(ctx, s.fenceText()))
	}
	return s.conn.(driver.Pinger).Ping(ctx)
}

// Alive implements [sqlstore.Session].
func (s *session) Alive() bool { return !s.overtaken && s.conn.(driver.Validator).IsValid() }

// Close implements [sqlstore.Session]. It frees the locks first: the server would free
// them a moment after the end of the session, too late for the next session.
func (s *session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.freeFence(ctx)
	_, _ = s.query(ctx, "SELECT RELEASE_ALL_LOCKS()") // not known before MariaDB 10.5
	_ = s.conn.Close()
}

// rollback ends a transaction after a statement has failed. If that fails, it ends the
// session.
func (s *session) rollback() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.exec(ctx, "ROLLBACK"); err != nil {
		s.Close()
	}
}

// Numbers of the server's errors.
const (
	errDiskFull     = 1021
	errTableFull    = 1114
	errErrorOnWrite = 1026
	errUnknown      = 1105 // a parameter exceeds max_allowed_packet
	errTooBigRow    = 1118
	errPacketSize   = 1153
	errConstraint   = 3819
	errNull         = 1048
	errDeadlock     = 1213

	errConnections     = 1040
	errConnection      = 1042 // the server cannot look up the client's host
	errUserConnections = 1203
	errNotReady        = 1047 // a node has not joined its cluster
	errShutdown        = 1053
	errInterrupted     = 1317
	errKilled          = 1927
	errSessionKilled   = 3169
)

// isUnavailable reports whether the server accepts no connections for now.
func isUnavailable(err error) bool {
	var answer *mysql.MySQLError
	if !errors.As(err, &answer) {
		return errors.Is(err, mysql.ErrInvalidConn)
	}
	switch answer.Number {
	case errConnections, errConnection, errUserConnections, errNotReady, errShutdown:
		return true
	}
	return false
}

// meaningAtEnd returns the meaning of an error that came after the end of a
// transaction was sent.
func (s *session) meaningAtEnd(err error) sqlstore.Meaning {
	var answer *mysql.MySQLError
	switch {
	case errors.As(err, &answer):
		switch answer.Number {
		case errShutdown, errInterrupted, errKilled, errSessionKilled:
			return sqlstore.Unknown
		}
		return s.meaning(err)
	case errors.Is(err, driver.ErrBadConn): // nothing was sent
		return sqlstore.Temporary
	}
	return sqlstore.Unknown
}

// meaning returns the meaning of an error of a statement that is not the end of a
// transaction.
func (s *session) meaning(err error) sqlstore.Meaning {
	if errors.Is(err, mysql.ErrPktTooLarge) {
		return sqlstore.Refused
	}
	var answer *mysql.MySQLError
	if !errors.As(err, &answer) {
		return sqlstore.Temporary
	}
	switch answer.Number {
	case errDiskFull, errTableFull, errErrorOnWrite:
		return sqlstore.Full
	case errNull:
		if s.db.fence.Held() { // only the fence's value can be NULL where no NULL is allowed
			s.overtaken = true
			return sqlstore.Overtaken
		}
	case errUnknown, errTooBigRow, errPacketSize, errConstraint:
		return sqlstore.Refused
	}
	switch string(answer.SQLState[:2]) {
	case "22", "23": // wrong data, and violations of constraints
		return sqlstore.Refused
	}
	return sqlstore.Temporary
}

// outcome marks an error that came after the end of a transaction was sent.
func (s *session) outcome(err error) error { return s.meaningAtEnd(err).Mark(err) }

// mark marks an error of another statement.
func (s *session) mark(err error) error { return s.meaning(err).Mark(err) }
