package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/lib/pq"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

const (
	// A statement has at most so many rows or so many bytes of payloads of one
	// kind, if it has more than one row: the server holds a statement in
	// memory, and the driver too.
	maxRows  = 4096
	maxBytes = 4 << 20
)

// Commit is that of [store.Store].
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	if len(batch) == 0 {
		return nil
	}
	if err := s.Caps().RefuseBatch(batch); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	net := sqlstore.NewNet(batch)
	seqs := func() []uint64 { return sqlstore.Seqs(net.Adds) }
	err := s.link.Do(ctx, seqs, func(session *session) error {
		s.db.fence.NoteLast(net.Highest())
		return session.commit(ctx, net)
	})
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// commit sends a batch. Rows that have the key of an Add, which are there only
// if someone else wrote them or an end was lost, give way in a second attempt:
// to look for them in the first takes half as long again.
func (s *session) commit(ctx context.Context, net *sqlstore.Net) error {
	err := s.try(ctx, net)
	var answer *pq.Error
	if errors.As(err, &answer) && answer.Code == "23505" { // unique_violation
		err = s.transaction(ctx, net, true)
	}
	return s.outcome(err)
}

// try sends a batch as one statement, if it is not too large for one.
func (s *session) try(ctx context.Context, net *sqlstore.Net) error {
	if whole := s.db.whole(net); whole != nil {
		return s.send(ctx, s.withFence(whole...)...)
	}
	return s.transaction(ctx, net, false)
}

// whole returns the changes of a batch that may be one statement, else nil.
func (db *database) whole(net *sqlstore.Net) (whole []change) {
	size := 0
	for c := range db.changes(net, false) {
		if size += c.size; c.some || size > maxBytes && len(whole) > 0 {
			return nil
		}
		whole = append(whole, c)
	}
	return whole
}

// transaction sends a batch as a statement for each change.
func (s *session) transaction(ctx context.Context, net *sqlstore.Net, replace bool) error {
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
