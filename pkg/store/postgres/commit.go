package postgres

import (
	"context"
	"errors"
	"strconv"

	"github.com/lib/pq"

	"gm/pkg/store/internal/sqlstore"
)

const (
	// maxRows and maxBytes are the maximum numbers of rows, and of bytes of their
	// payloads, in a change. A single row may have more. The server and the driver
	// hold a statement in memory.
	maxRows  = 4096
	maxBytes = 4 << 20
)

// Commit implements [sqlstore.Writer]. Rows that have the key of an Add exist only
// if another program wrote them or if the end of their jobs was lost. Only a
// second attempt replaces them: to search for them in the first attempt makes a
// commit take half as long again.
func (s *session) Commit(ctx context.Context, net *sqlstore.Net) error {
	err := s.sendNet(ctx, net)
	var answer *pq.Error
	if errors.As(err, &answer) && answer.Code == "23505" { // unique_violation
		err = s.transact(ctx, net, true)
	}
	return s.outcome(err)
}

// Adopt implements [sqlstore.Writer].
func (s *session) Adopt(ctx context.Context, first func(last uint64) uint64) error {
	last, err := s.db.readLastSeq(ctx, s.conn)
	if err != nil {
		return err
	}
	if err := s.outcome(s.send(ctx, s.withFence()...)); err != nil {
		return err
	}
	jobs := s.db.table.jobs()
	return s.exec(ctx, "UPDATE "+jobs+" t SET seq = r.n + $1::bigint "+
		"FROM (SELECT ctid, row_number() OVER (ORDER BY ctid) AS n FROM "+jobs+" WHERE seq IS NULL) r "+
		"WHERE t.ctid = r.ctid AND t.seq IS NULL", strconv.FormatUint(first(last), 10))
}

// sendNet sends a batch as one statement, unless it is too large for one.
func (s *session) sendNet(ctx context.Context, net *sqlstore.Net) error {
	if whole := s.db.whole(net); whole != nil {
		return s.send(ctx, s.withFence(whole...)...)
	}
	return s.transact(ctx, net, false)
}

// whole returns the changes of a batch if it fits into one statement, else nil.
func (db *database) whole(net *sqlstore.Net) (whole []change) {
	size := 0
	for c := range db.changes(net, false) {
		if size += c.size; c.partial || size > maxBytes && len(whole) > 0 {
			return nil
		}
		whole = append(whole, c)
	}
	return whole
}

// transact sends a batch as a transaction with a statement for each change. If
// replace is set, Adds replace rows that have their keys.
func (s *session) transact(ctx context.Context, net *sqlstore.Net, replace bool) error {
	if err := s.do(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := s.send(ctx, s.withFence()...); err != nil {
		return errors.Join(err, s.do(ctx, "ROLLBACK"))
	}
	for c := range s.db.changes(net, replace) {
		if err := s.send(ctx, c); err != nil {
			return errors.Join(err, s.do(ctx, "ROLLBACK"))
		}
	}
	return s.do(ctx, "COMMIT")
}
