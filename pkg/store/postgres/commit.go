package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"gm/pkg/store"
	"gm/pkg/store/sqlstore"
)

const (
	// A statement has at most so many rows or so many bytes of payloads, if it
	// has more than one row: the server holds a statement in memory, and the
	// driver what it has not sent.
	maxRows  = 4096
	maxBytes = 4 << 20
)

// Commit is that of [store.Store].
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	if len(batch) == 0 {
		return nil
	}
	if err := s.fits(batch); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	net := sqlstore.NewNet(batch)
	seqs := func() []uint64 { return sqlstore.Seqs(net.Adds) }
	err := s.link.Do(ctx, seqs, func(session *session) error {
		return session.commit(ctx, net)
	})
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (s *Store) fits(batch []store.Op) error {
	limit := s.Caps().MaxPayload
	for i := range batch {
		op := &batch[i]
		if op.Kind == store.Add && len(op.Record.Payload) > limit || len(op.Value) > limit {
			return fmt.Errorf("a payload of %d bytes is over PostgreSQL's limit of %d", max(len(op.Value), len(op.Record.Payload)), limit)
		}
	}
	return nil
}

// commit sends a batch. Rows that have the key of an Add, which are there only
// if someone else wrote them or an end was lost, give way in a second attempt:
// to look for them in the first takes half as long again.
func (s *session) commit(ctx context.Context, net *sqlstore.Net) error {
	err := s.run(ctx, func(p *pgconn.Pipeline) error { return s.db.send(p, net, addStatement) })
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "23505" { // unique_violation
		err = s.run(ctx, func(p *pgconn.Pipeline) error { return s.db.send(p, net, replaceStatement) })
	}
	return err
}

// send puts a batch's statements into p. Add is the one for Adds.
func (db *database) send(p *pgconn.Pipeline, net *sqlstore.Net, add string) error {
	err := sqlstore.Chunks(net.Dones, maxRows, maxBytes, sizeless, func(seqs []uint64) error {
		p.SendQueryPrepared(doneStatement, [][]byte{numbers(seqs)}, binaryFormat, nil)
		return nil
	})
	if err != nil {
		return err
	}
	err = sqlstore.Chunks(net.Updates, maxRows, maxBytes, sizeless, func(records []*store.Record) error {
		p.SendQueryPrepared(updateStatement, updateColumns(db.rows(records)), binaryFormat, nil)
		return nil
	})
	if err != nil {
		return err
	}
	size := func(r *store.Record) int { return len(r.Payload) + len(r.Function) + len(r.Unique) + len(r.Reducer) }
	err = sqlstore.Chunks(net.Adds, maxRows, maxBytes, size, func(records []*store.Record) error {
		p.SendQueryPrepared(add, addColumns(db.rows(records)), binaryFormat, nil)
		return flushed(p, len(records) < len(net.Adds))
	})
	if err != nil {
		return err
	}
	if len(net.Deletes) > 0 {
		p.SendQueryPrepared(deleteStatement, [][]byte{texts(net.Deletes)}, binaryFormat, nil)
	}
	size2 := func(op store.Op) int { return len(op.Value) }
	return sqlstore.Chunks(net.Puts, maxRows, maxBytes, size2, func(puts []store.Op) error {
		keys, values := make([]string, len(puts)), make([][]byte, len(puts))
		for i, op := range puts {
			keys[i], values[i] = op.Key, op.Value
		}
		p.SendQueryPrepared(putStatement, [][]byte{texts(keys), blobs(values)}, binaryFormat, nil)
		return flushed(p, len(puts) < len(net.Puts))
	})
}

// flushed writes what a pipeline has so far, if more is to come.
func flushed(p *pgconn.Pipeline, more bool) error {
	if !more {
		return nil
	}
	return p.Flush()
}

func sizeless[T any](T) int { return 0 }

func (db *database) rows(records []*store.Record) []sqlstore.Row {
	rows := make([]sqlstore.Row, len(records))
	for i, r := range records {
		rows[i] = sqlstore.NewRow(r, db.text)
	}
	return rows
}
