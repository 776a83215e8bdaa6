package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
)

// Check implements store.Checker: it reads every page, and verifies every
// record and payload. Commits go on meanwhile.
func (s *Store) Check(ctx context.Context, report func(what string)) error {
	if err := s.flushLog(); err != nil {
		return err
	}
	return s.use(func(e *engine) error {
		return e.view(func(snap *snapshot) error { return snap.check(ctx, report) })
	})
}

func (snap *snapshot) check(ctx context.Context, report func(string)) error {
	w := boltfile.Walk{Tree: snap.Tree, Seen: boltfile.NewPageSet(snap.High())}
	w.Bad = func(at boltfile.Place, err error) error {
		report(fmt.Sprintf("page %d of %s: %v", at.Page, at.Bucket, err))
		return nil
	}
	w.Leaf = func(at boltfile.Place, p *boltfile.Page) error {
		if err := checkShapes(at, p); err != nil {
			report(err.Error())
		}
		return ctx.Err()
	}
	if err := w.Run(); err != nil {
		return err
	}
	reportFault := func(x fault) { report(fmt.Sprintf("%v: %v", &x, x.err)) }
	if err := snap.jobs(ctx, true, func(*store.Record, int) error { return nil }, reportFault); err != nil {
		return err
	}
	if err := snap.extras(ctx, "", func(string, []byte) error { return nil }, reportFault); err != nil {
		return err
	}
	return snap.checkPieces(ctx, report)
}

// checkPieces reports the pieces of payloads that belong to no job.
func (snap *snapshot) checkPieces(ctx context.Context, report func(string)) error {
	return snap.orphans(ctx, func(x fault) { report(fmt.Sprintf("%v, which is not there", &x)) })
}

// errOrphan is the fault of a piece of a payload that belongs to no job.
var errOrphan = errors.New("its job is not in the store")

// orphans calls found for each piece of a payload that belongs to no job. It
// skips the pages that cannot be read.
func (snap *snapshot) orphans(ctx context.Context, found func(fault)) error {
	w := boltfile.Walk{Tree: snap.Tree, Whole: true, Only: bodiesBucket}
	w.Bad = func(boltfile.Place, error) error { return nil }
	w.Leaf = func(at boltfile.Place, p *boltfile.Page) error {
		for i := range p.Len() {
			key, value, ok := p.Entry(i)
			if !ok || len(key) != pieceKeySize {
				continue
			}
			if _, _, err := snap.find(seqOf(key)); errors.Is(err, store.ErrNotFound) {
				found(fault{name: bodiesName, page: at.Page, key: bytes.Clone(key), value: bytes.Clone(value), err: errOrphan})
			}
		}
		return ctx.Err()
	}
	return w.Run()
}
