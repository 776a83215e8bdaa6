package disk

import (
	"context"
	"errors"
	"fmt"

	"gm/pkg/store"
)

// Check implements store.Checker: it reads every page, and verifies every
// record and payload. Commits go on meanwhile.
func (s *Store) Check(ctx context.Context, report func(what string)) error {
	if err := s.settle(); err != nil {
		return err
	}
	return s.use(func(e *engine) error {
		return e.view(func(snap *snapshot) error { return snap.check(ctx, report) })
	})
}

func (snap *snapshot) check(ctx context.Context, report func(string)) error {
	w := walk{tree: &snap.tree, seen: newBitmap(snap.tree.high)}
	w.bad = func(at place, err error) error {
		report(fmt.Sprintf("page %d of %s: %v", at.page, at.bucket, err))
		return nil
	}
	w.leaf = func(at place, p *page) error {
		if err := checkShapes(at, p); err != nil {
			report(err.Error())
		}
		return ctx.Err()
	}
	if err := w.run(snap.root); err != nil {
		return err
	}
	tell := func(x fault) { report(fmt.Sprintf("%v: %v", &x, x.err)) }
	if err := snap.jobs(ctx, true, func(*store.Record, int) error { return nil }, tell); err != nil {
		return err
	}
	if err := snap.extras(ctx, "", func(string, []byte) error { return nil }, tell); err != nil {
		return err
	}
	return snap.checkPieces(ctx, report)
}

// checkPieces looks for pieces of payloads that no job has.
func (snap *snapshot) checkPieces(ctx context.Context, report func(string)) error {
	w := walk{tree: &snap.tree, whole: true, only: bodiesBucket}
	w.bad = func(place, error) error { return nil } // told before
	w.leaf = func(_ place, p *page) error {
		for i := range p.count {
			e, ok := p.element(i)
			key := p.keyOf(e)
			if !ok || len(key) != 12 {
				continue
			}
			if _, _, err := snap.find(seqOf(key)); errors.Is(err, store.ErrNotFound) {
				report(fmt.Sprintf("piece of the payload of job %d, which is not there", seqOf(key)))
			}
		}
		return ctx.Err()
	}
	return w.run(snap.root)
}
