package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"gm/pkg/store"
)

const (
	// maxSplit is the maximum number of Commits for one batch that the store
	// refuses.
	maxSplit = 256
	// probeKey is a key without a value. It is deleted to test whether the store
	// works.
	probeKey = "probe"
)

// storeBatch commits the operations of a batch. If the store works but refuses the
// batch, storeBatch splits it until it has found the operations that the store
// does not take. errs is nil if all are stored, else it has an entry for each
// operation; err is set if the store fails as such.
func (j *journal[C]) storeBatch(ops []store.Op) (errs []error, err error) {
	if err = j.commitOps(ops); err == nil {
		return nil, nil
	}
	p := splitCommit[C]{j: j, ops: ops, errs: make([]error, len(ops))}
	all := make([]int, len(ops))
	for i := range all {
		all[i] = i
	}
	if err = p.storeRest(all, err); err == nil && p.stored == 0 && p.suspects > 1 {
		err = p.last // it takes no operation, so the fault is its own
	}
	return p.errs, err
}

// commitOps makes one Commit, which the store may take limit for.
func (j *journal[C]) commitOps(ops []store.Op) error {
	ctx, cancel := context.WithTimeout(j.ctx, j.limit)
	defer cancel()
	j.watch.Reset(j.limit + hangGrace)
	defer j.watch.Stop()
	return j.store.Commit(ctx, ops)
}

// splitCommit splits a batch that the store has refused. Operations are given by
// their places in the batch.
type splitCommit[C any] struct {
	j        *journal[C]
	ops      []store.Op
	errs     []error
	commits  int
	stored   int // operations
	suspects int // refused for a reason that need not be their own
	last     error
}

// storeSome stores some operations, or as many of them as the store takes. It returns
// the error of a store that fails as such.
func (p *splitCommit[C]) storeSome(some []int) error {
	if len(some) == 0 {
		return nil
	}
	p.commits++
	err := p.j.commitOps(p.pickOps(some))
	if err == nil {
		p.stored += len(some)
		return nil
	}
	return p.storeRest(some, err)
}

// storeRest goes on after some operations were refused with err.
func (p *splitCommit[C]) storeRest(some []int, err error) error {
	var refused *store.RefusedError
	known := errors.As(err, &refused)
	switch {
	case errors.Is(err, store.ErrFull):
		return p.storeEnds(some, err)
	case known && refused.Index >= 0 && refused.Index < len(some) && len(some) > 1 && p.commits < maxSplit:
		p.errs[some[refused.Index]] = err
		others := append(some[:refused.Index:refused.Index], some[refused.Index+1:]...)
		return p.storeSome(others)
	case !known && !p.storeWorks(err):
		return p.failAll(some, err)
	case len(some) == 1:
		if !known {
			p.suspects++
			p.last = err
		}
		p.errs[some[0]] = err
		return nil
	case p.commits >= maxSplit:
		return p.failAll(some, err)
	}
	first, second := p.halves(some)
	if err := p.storeSome(first); err != nil {
		return p.failAll(second, err)
	}
	return p.storeSome(second)
}

// halves divides some operations into two parts, of which the first is stored before
// the second. It separates the end of a job from the extra into which the job has
// turned only if these are all: then the extra is first, so that a crash between the
// two does not lose the job.
func (p *splitCommit[C]) halves(some []int) (first, second []int) {
	half := len(some) / 2
	switch {
	case !isPair(&p.ops[some[half-1]], &p.ops[some[half]], p.j.owner.heirKey):
		return some[:half], some[half:]
	case len(some) == 2:
		return some[1:], some[:1]
	}
	return some[:half+1], some[half+1:]
}

// failAll notes that some operations are not stored because the store fails.
func (p *splitCommit[C]) failAll(some []int, err error) error {
	for _, i := range some {
		if p.errs[i] == nil {
			p.errs[i] = err
		}
	}
	return err
}

// storeWorks reports whether the store takes another operation after it has failed with
// err. It does not try a store that was too slow.
func (p *splitCommit[C]) storeWorks(err error) bool {
	var uncertain *store.UncertainError
	if errors.As(err, &uncertain) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || p.j.isStuck() {
		return false
	}
	return p.j.commitOps([]store.Op{{Kind: store.Delete, Key: probeKey}}) == nil
}

// storeEnds stores some operations, for which there was no room together, in
// parts: first the ends of jobs, because they free room, then the others that are
// no Adds, then the Adds, so that a result without room does not keep out a job for
// which there is room. It returns full if anything is left.
func (p *splitCommit[C]) storeEnds(some []int, full error) error {
	var adds, ends []int
	for _, i := range some {
		if p.ops[i].Kind == store.Add {
			adds = append(adds, i)
		} else {
			ends = append(ends, i)
		}
	}
	if len(ends) == 0 {
		return p.failAll(adds, full)
	}
	var err error
	if len(adds) == 0 || p.j.commitOps(p.pickOps(ends)) != nil {
		err = p.storeEndsInParts(ends, full)
	}
	if len(adds) > 0 && p.j.commitOps(p.pickOps(adds)) != nil {
		return p.failAll(adds, full)
	}
	return err
}

// storeEndsInParts stores some operations, none of them an Add, for which there was
// no room together. It returns full if anything is left.
func (p *splitCommit[C]) storeEndsInParts(ends []int, full error) error {
	frees, others := partEnds(p.ops, ends, p.j.owner.heirKey)
	if len(frees) == 0 || len(others) == 0 {
		return p.storeSomeUnits(ends, full)
	}
	if p.j.commitOps(p.pickOps(frees)) != nil {
		return p.failAll(ends, full)
	}
	if p.j.commitOps(p.pickOps(others)) != nil {
		return p.storeSomeUnits(others, full)
	}
	return nil
}

// storeSomeUnits stores, among some operations, roughly as many results and dead jobs as
// there is room for, the smallest first. The others are tried again soon. It returns
// full.
func (p *splitCommit[C]) storeSomeUnits(some []int, full error) error {
	units, results := p.unitsOf(some)
	for n := len(units) * 2; n > 1; { // half of them, then a quarter of that, down to one
		n = max(n/4, 1)
		stored := slices.Concat(units[:n]...)
		slices.Sort(stored) // operations are in their order
		if p.j.commitOps(p.pickOps(stored)) == nil {
			some = slices.DeleteFunc(slices.Clone(some), func(i int) bool {
				_, found := slices.BinarySearch(stored, i)
				return found
			})
			p.j.roomlessSince = time.Time{}
			return p.failAll(some, full)
		}
	}
	if results > 0 && p.j.roomlessSince.IsZero() {
		p.j.roomlessSince = time.Now()
	}
	return p.failAll(some, full)
}

// unitsOf returns the units among some operations, the smallest first, and the number of
// results among the units. A unit is a result, or an extra with the end of the job that
// has turned into it. Other operations belong to no unit.
func (p *splitCommit[C]) unitsOf(some []int) (units [][]int, results int) {
	ends := make(map[string]int) // of jobs, by the key of the extra
	for _, i := range some {
		if op := &p.ops[i]; op.Kind == store.Done {
			ends[p.j.owner.heirKey(op.Record.Seq)] = i
		}
	}
	for _, i := range some {
		op := &p.ops[i]
		if op.Kind != store.Put {
			continue
		}
		if p.j.owner.isResult(op) {
			units = append(units, []int{i})
			results++
		} else if end, ok := ends[op.Key]; ok {
			units = append(units, []int{i, end})
		}
	}
	slices.SortStableFunc(units, func(a, b []int) int { return cmp.Compare(len(p.ops[a[0]].Value), len(p.ops[b[0]].Value)) })
	return units, results
}

// partEnds divides some operations, given by their places and none of them an Add,
// into those that only free room, the ends of jobs, and others such as results,
// which need room. The Done of a job that turns into an extra stays with the Put of
// that extra, so that a crash between the two does not lose the job.
func partEnds(ops []store.Op, some []int, heirKey func(seq uint64) string) (frees, others []int) {
	put := make(map[string]bool)
	for _, i := range some {
		if op := &ops[i]; op.Kind == store.Put {
			put[op.Key] = true
		}
	}
	for _, i := range some {
		switch op := &ops[i]; {
		case op.Kind == store.Done && !put[heirKey(op.Record.Seq)], op.Kind == store.Update:
			frees = append(frees, i)
		default:
			others = append(others, i)
		}
	}
	return frees, others
}

// endsFirst moves the operations that free room in a full store to the front, so
// that they do not wait for others that need room.
func endsFirst(ops []store.Op, heirKey func(seq uint64) string) []store.Op {
	all := make([]int, len(ops))
	for i := range all {
		all[i] = i
	}
	frees, others := partEnds(ops, all, heirKey)
	ordered := make([]store.Op, 0, len(ops))
	for _, i := range append(frees, others...) {
		ordered = append(ordered, ops[i])
	}
	return ordered
}

func (p *splitCommit[C]) pickOps(some []int) []store.Op {
	ops := make([]store.Op, len(some))
	for i, at := range some {
		ops[i] = p.ops[at]
	}
	return ops
}
