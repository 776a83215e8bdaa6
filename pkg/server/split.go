package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"gm/pkg/store"
)

const (
	// maxSplit is how many Commits are spent on one batch that fails for a
	// reason of its own before it is left as it is.
	maxSplit = 256
	// giveUp is how often an operation that fails alone, while the store takes
	// others, is tried before it is left out.
	giveUp = 5
	// probeKey is deleted to see whether the store works. Nothing is under it.
	probeKey = "probe"
	// roomPatience is how long results wait for room in a full store before they
	// are replaced by notes without their bytes.
	roomPatience = 5 * time.Second
)

// storeBatch hands a batch to the store. If the store refuses it, though it
// works, the batch is split until the operations are found that it does not
// take. errs is nil if all is stored, else it has an entry for each operation;
// err is set if the store fails as such.
func (m *committer) storeBatch(ops []store.Op) (errs []error, err error) {
	if err = m.commitOps(ops); err == nil {
		return nil, nil
	}
	p := parting{m: m, ops: ops, errs: make([]error, len(ops))}
	all := make([]int, len(ops))
	for i := range all {
		all[i] = i
	}
	if err = p.failed(all, err); err == nil && p.stored == 0 && p.suspects > 1 {
		err = p.last // it takes nothing: that is no fault of the operations
	}
	return p.errs, err
}

// commitOps hands operations to the store, for at most Config.StoreTimeout.
func (m *committer) commitOps(ops []store.Op) error {
	ctx, cancel := context.WithTimeout(m.ctx, m.s.cfg.StoreTimeout)
	defer cancel()
	m.watch.Reset(m.s.cfg.StoreTimeout + hangGrace)
	defer m.watch.Stop()
	return m.store.Commit(ctx, ops)
}

// parting splits a batch that the store has refused. Operations are named by
// their places in it.
type parting struct {
	m        *committer
	ops      []store.Op
	errs     []error
	commits  int
	stored   int // operations
	suspects int // refused for a reason that need not be their own
	last     error
}

// store stores some operations, and those of them that can be stored if it
// can't be all. It returns the error of a store that fails as such.
func (p *parting) store(some []int) error {
	if len(some) == 0 {
		return nil
	}
	p.commits++
	err := p.m.commitOps(p.pick(some))
	if err == nil {
		p.stored += len(some)
		return nil
	}
	return p.failed(some, err)
}

// failed goes on after some operations were refused with err.
func (p *parting) failed(some []int, err error) error {
	var refused *store.RefusedError
	known := errors.As(err, &refused)
	switch {
	case errors.Is(err, store.ErrFull):
		return p.storeEnds(some, err)
	case known && refused.Index >= 0 && refused.Index < len(some) && len(some) > 1 && p.commits < maxSplit:
		p.errs[some[refused.Index]] = err
		others := append(some[:refused.Index:refused.Index], some[refused.Index+1:]...)
		return p.store(others)
	case !known && !p.works(err):
		return p.fail(some, err)
	case len(some) == 1:
		if !known {
			p.suspects++
			p.last = err
		}
		p.errs[some[0]] = err
		return nil
	case p.commits >= maxSplit:
		return p.fail(some, err)
	}
	half := len(some) / 2
	if err := p.store(some[:half]); err != nil {
		return p.fail(some[half:], err)
	}
	return p.store(some[half:])
}

// fail notes that some operations are not stored because the store fails.
func (p *parting) fail(some []int, err error) error {
	for _, i := range some {
		if p.errs[i] == nil {
			p.errs[i] = err
		}
	}
	return err
}

// works reports whether the store takes something else after it has failed with
// err. A store that was too slow is not asked.
func (p *parting) works(err error) bool {
	var uncertain *store.UncertainError
	if errors.As(err, &uncertain) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || p.m.isStuck() {
		return false
	}
	return p.m.commitOps([]store.Op{{Kind: store.Delete, Key: probeKey}}) == nil
}

// storeEnds stores some operations, for which there was no room together, in
// parts: the ends of jobs first, because they make some, then what else is no Add,
// then the Adds, so that results without room do not keep jobs out that have it. It
// returns full if anything is left.
func (p *parting) storeEnds(some []int, full error) error {
	var adds, ends []int
	for _, i := range some {
		if p.ops[i].Kind == store.Add {
			adds = append(adds, i)
		} else {
			ends = append(ends, i)
		}
	}
	if len(ends) == 0 {
		return p.fail(adds, full)
	}
	var err error
	if len(adds) == 0 || p.m.commitOps(p.pick(ends)) != nil {
		err = p.storeEndsInParts(ends, full)
	}
	if len(adds) > 0 && p.m.commitOps(p.pick(adds)) != nil {
		return p.fail(adds, full)
	}
	return err
}

// storeEndsInParts stores some operations, none of them an Add, for which there was
// no room together. It returns full if anything is left.
func (p *parting) storeEndsInParts(ends []int, full error) error {
	frees, others := partEnds(p.ops, ends)
	if len(frees) == 0 || len(others) == 0 {
		return p.storeSomeResults(ends, full)
	}
	if p.m.commitOps(p.pick(frees)) != nil {
		return p.fail(ends, full)
	}
	if p.m.commitOps(p.pick(others)) != nil {
		return p.storeSomeResults(others, full)
	}
	return nil
}

// storeSomeResults stores as many results among some operations as there is room
// for, roughly: those that are left are tried again soon. It returns full.
func (p *parting) storeSomeResults(some []int, full error) error {
	var results []int
	for _, i := range some {
		if op := &p.ops[i]; op.Kind == store.Put && strings.HasPrefix(op.Key, resultKey) {
			results = append(results, i)
		}
	}
	for n := len(results) * 2; n > 1; { // half of them, then a quarter of that, down to one
		n = max(n/4, 1)
		if p.m.commitOps(p.pick(results[:n])) == nil {
			some = slices.DeleteFunc(slices.Clone(some), func(i int) bool {
				_, stored := slices.BinarySearch(results[:n], i) // operations are in their order
				return stored
			})
			p.m.roomlessSince = time.Time{}
			return p.fail(some, full)
		}
	}
	if len(results) > 0 && p.m.roomlessSince.IsZero() {
		p.m.roomlessSince = time.Now()
	}
	return p.fail(some, full)
}

// partEnds parts some operations, named by their places and none of them an
// Add, into those that only free room, the ends of jobs, and others such as
// results, which take some and find it afterwards. The end of a job that becomes
// a dead one stays with its entry, so that a crash between the two does not
// lose the job.
func partEnds(ops []store.Op, some []int) (frees, others []int) {
	put := make(map[string]bool)
	for _, i := range some {
		if op := &ops[i]; op.Kind == store.Put {
			put[op.Key] = true
		}
	}
	for _, i := range some {
		switch op := &ops[i]; {
		case op.Kind == store.Done && !put[deadKeyOfSeq(op.Record.Seq)], op.Kind == store.Update:
			frees = append(frees, i)
		default:
			others = append(others, i)
		}
	}
	return frees, others
}

// endsFirst puts those operations first that make room in a full store, so that
// they do not wait for others that find none.
func endsFirst(ops []store.Op) []store.Op {
	all := make([]int, len(ops))
	for i := range all {
		all[i] = i
	}
	frees, others := partEnds(ops, all)
	ordered := make([]store.Op, 0, len(ops))
	for _, i := range append(frees, others...) {
		ordered = append(ordered, ops[i])
	}
	return ordered
}

func (p *parting) pick(some []int) []store.Op {
	ops := make([]store.Op, len(some))
	for i, at := range some {
		ops[i] = p.ops[at]
	}
	return ops
}

// isStuck reports whether the batch in flight has been refused already.
func (m *committer) isStuck() bool {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	return m.stuck != nil
}

// mayKeep reports whether an operation that was not stored for the reason err
// is to be tried again. One that the store refuses by itself is left out, at
// once or after some tries; an extra is replaced by a note of it first. The
// lock is held.
func (m *committer) mayKeep(op *store.Op, err error) bool {
	var refused *store.RefusedError
	switch {
	case errors.As(err, &refused):
		if shortenExtra(op) {
			m.logShortened(op, err)
			return true
		}
	case errors.Is(err, store.ErrFull) && m.isRoomless() && strings.HasPrefix(op.Key, resultKey):
		if shortenExtra(op) {
			m.shortened++
		}
		return true
	case m.failing != nil:
		return true
	default:
		name := opName(op)
		if m.tries[name]++; m.tries[name] < giveUp {
			return true
		}
		delete(m.tries, name)
		if shortenExtra(op) {
			m.logShortened(op, err)
			return true
		}
	}
	m.logLeftOut(op, err)
	return false
}

// isRoomless reports whether a full store has had no room for any result for
// roomPatience.
func (m *committer) isRoomless() bool {
	return !m.roomlessSince.IsZero() && time.Since(m.roomlessSince) >= roomPatience
}

// logRoomless logs how many results were replaced by notes for lack of room. The
// lock is held.
func (m *committer) logRoomless() {
	if m.shortened == 0 {
		return
	}
	m.s.note(slog.LevelWarn, "results are stored without their bytes, for lack of room",
		slog.String("store", m.s.cfg.StoreName), slog.Int("results", m.shortened))
	m.shortened = 0
}

// logLeftOut logs an operation that the store never takes. The lock is held.
func (m *committer) logLeftOut(op *store.Op, err error) {
	m.s.note(slog.LevelError, "left out of the store", m.opAttrs(op, err)...)
}

func (m *committer) logShortened(op *store.Op, err error) {
	m.s.note(slog.LevelWarn, "stored without its bytes", m.opAttrs(op, err)...)
}

func (m *committer) opAttrs(op *store.Op, err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("store", m.s.cfg.StoreName), slog.String("operation", op.Kind.String())}
	if r := op.Record; r != nil {
		attrs = append(attrs, slog.Uint64("job", r.Seq), slog.String("function", r.Function), slog.Int("size", len(r.Payload)))
	} else {
		attrs = append(attrs, slog.String("key", op.Key), slog.Int("size", len(op.Value)))
	}
	return append(attrs, slog.Any("err", err))
}

// opName names an operation in committer.tries.
func opName(op *store.Op) string {
	if op.Record != nil {
		return fmt.Sprint(op.Kind, " ", op.Record.Seq)
	}
	return fmt.Sprint(op.Kind, " ", op.Key)
}
