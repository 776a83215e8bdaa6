package memcached

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gm/pkg/store"
)

// Commit writes a batch, item by item. The items of a failed batch are removed
// before the next batch.
func (s *Store) Commit(ctx context.Context, ops []store.Op) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return errClosed
	}
	if err := s.Caps().RefuseBatch(ops); err != nil {
		return fmt.Errorf("commit to memcached: %w", err)
	}
	if err := s.commit(ctx, ops); err != nil {
		return fmt.Errorf("commit to memcached: %w", err)
	}
	return nil
}

// commit removes the uncertain jobs and writes ops. The lock on writing is
// held.
func (s *Store) commit(ctx context.Context, ops []store.Op) error {
	if err := s.stillOurs(ctx); err != nil {
		return err
	}
	all := ops
	if len(s.undo) > 0 {
		all = append(s.undo[:len(s.undo):len(s.undo)], ops...)
	}
	known, err := s.pool.fetch(ctx, s.layout.reads(all))
	if err != nil {
		return err
	}
	p := s.layout.plan(s.maxItem, known)
	for i := range all {
		if err := p.apply(&all[i]); err != nil {
			return err
		}
	}
	err = s.carryOut(ctx, p)
	if err == nil {
		s.undo = nil
		return nil
	}
	for _, op := range ops {
		if op.Kind == store.Add {
			r := op.Record
			s.undo = append(s.undo, store.Op{Kind: store.Done, Record: &store.Record{
				Seq: r.Seq, Function: strings.Clone(r.Function), Unique: strings.Clone(r.Unique),
			}})
		}
	}
	switch refused := new(refusedError); {
	case !errors.As(err, &refused):
		return &store.UncertainError{Err: err}
	case strings.HasPrefix(refused.text, "SERVER_ERROR object too large"), strings.HasPrefix(refused.text, "CLIENT_ERROR "):
		return &store.RefusedError{Index: -1, Err: err}
	}
	return err
}

// carryOut makes a plan's changes. The lock on writing is held.
func (s *Store) carryOut(ctx context.Context, p *plan) error {
	if p.highest > s.last {
		last := s.last
		if last == 0 {
			var err error
			if last, err = s.readLast(ctx, s.pool); err != nil {
				return err
			}
		}
		if last = max(last, p.highest); last > s.last {
			p.want(s.layout.last, encodeLast(last), false)
		}
		p.highest = last
	}
	first, second := p.waves()
	if err := s.pool.change(ctx, first); err != nil {
		return err
	}
	s.last = max(s.last, p.highest)
	return s.pool.change(ctx, second)
}
