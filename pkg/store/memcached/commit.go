package memcached

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gm/pkg/store"
)

// Commit implements [store.Store]. It writes a batch item by item. The items of a
// failed batch are removed before the next batch.
func (s *Store) Commit(ctx context.Context, ops []store.Op) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.closed {
		return errClosed
	}
	if err := s.Caps().RefuseBatch(ops); err != nil {
		return fmt.Errorf("commit to memcached: %w", err)
	}
	if err := s.commitOps(ctx, ops); err != nil {
		return fmt.Errorf("commit to memcached: %w", err)
	}
	return nil
}

// commitOps removes the uncertain jobs and writes ops. writeMu is held.
func (s *Store) commitOps(ctx context.Context, ops []store.Op) error {
	if err := s.checkLock(ctx); err != nil {
		return err
	}
	all := ops
	if len(s.undo) > 0 {
		all = append(s.undo[:len(s.undo):len(s.undo)], ops...)
	}
	known, err := s.pool.fetch(ctx, s.layout.keysOf(all))
	if err != nil {
		return err
	}
	p := s.layout.newPlan(s.maxItem, known)
	for i := range all {
		if err := p.addOp(&all[i]); err != nil {
			return err
		}
	}
	err = s.writePlan(ctx, p)
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
	switch refusal := new(refusedError); {
	case !errors.As(err, &refusal):
		return &store.UncertainError{Err: err}
	case strings.HasPrefix(refusal.text, "SERVER_ERROR object too large"), strings.HasPrefix(refusal.text, "CLIENT_ERROR "):
		return &store.RefusedError{Index: -1, Err: err}
	}
	return err
}

// writePlan makes the changes of a plan. writeMu is held.
func (s *Store) writePlan(ctx context.Context, p *plan) error {
	if p.highest > s.last {
		last := s.last
		if last == 0 {
			var err error
			if last, err = s.readLast(ctx, s.pool); err != nil {
				return err
			}
		}
		if last = max(last, p.highest); last > s.last {
			p.setItem(s.layout.last, encodeLast(last), false)
		}
		p.highest = last
	}
	first, second := p.waves()
	if err := s.pool.changeItems(ctx, first); err != nil {
		return err
	}
	s.last = max(s.last, p.highest)
	return s.pool.changeItems(ctx, second)
}
