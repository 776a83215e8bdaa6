package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"gm/pkg/store"
)

const (
	// maxSplit is how many Commits are spent on one batch that fails for a
	// reason of its own before it is left as it is.
	maxSplit = 256
	// probeKey is deleted to see whether the store works. Nothing is under it.
	probeKey = "probe"
)

// storeBatch hands a batch to the store. If the store refuses it, though it
// works, the batch is split until the operations are found that it does not
// take. errs is nil if all is stored, else it has an entry for each operation;
// err is set if the store fails as such.
func (j *journal[C]) storeBatch(ops []store.Op) (errs []error, err error) {
	if err = j.commitOps(ops); err == nil {
		return nil, nil
	}
	p := parting[C]{j: j, ops: ops, errs: make([]error, len(ops))}
	all := make([]int, len(ops))
	for i := range all {
		all[i] = i
	}
	if err = p.failed(all, err); err == nil && p.stored == 0 && p.suspects > 1 {
		err = p.last // it takes nothing: that is no fault of the operations
	}
	return p.errs, err
}

// commitOps hands operations to the store, for at most its limit.
func (j *journal[C]) commitOps(ops []store.Op) error {
	ctx, cancel := context.WithTimeout(j.ctx, j.limit)
	defer cancel()
	j.watch.Reset(j.limit + hangGrace)
	defer j.watch.Stop()
	return j.store.Commit(ctx, ops)
}

// parting splits a batch that the store has refused. Operations are named by
// their places in it.
type parting[C any] struct {
	j        *journal[C]
	ops      []store.Op
	errs     []error
	commits  int
	stored   int // operations
	suspects int // refused for a reason that need not be their own
	last     error
}

// store stores some operations, and those of them that can be stored if it
// can't be all. It returns the error of a store that fails as such.
func (p *parting[C]) store(some []int) error {
	if len(some) == 0 {
		return nil
	}
	p.commits++
	err := p.j.commitOps(p.pick(some))
	if err == nil {
		p.stored += len(some)
		return nil
	}
	return p.failed(some, err)
}

// failed goes on after some operations were refused with err.
func (p *parting[C]) failed(some []int, err error) error {
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
func (p *parting[C]) fail(some []int, err error) error {
	for _, i := range some {
		if p.errs[i] == nil {
			p.errs[i] = err
		}
	}
	return err
}

// works reports whether the store takes something else after it has failed with
// err. A store that was too slow is not asked.
func (p *parting[C]) works(err error) bool {
	var uncertain *store.UncertainError
	if errors.As(err, &uncertain) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || p.j.isStuck() {
		return false
	}
	return p.j.commitOps([]store.Op{{Kind: store.Delete, Key: probeKey}}) == nil
}

// storeEnds stores some operations, for which there was no room together, in
// parts: the ends of jobs first, because they make some, then what else is no Add,
// then the Adds, so that results without room do not keep jobs out that have it. It
// returns full if anything is left.
func (p *parting[C]) storeEnds(some []int, full error) error {
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
	if len(adds) == 0 || p.j.commitOps(p.pick(ends)) != nil {
		err = p.storeEndsInParts(ends, full)
	}
	if len(adds) > 0 && p.j.commitOps(p.pick(adds)) != nil {
		return p.fail(adds, full)
	}
	return err
}

// storeEndsInParts stores some operations, none of them an Add, for which there was
// no room together. It returns full if anything is left.
func (p *parting[C]) storeEndsInParts(ends []int, full error) error {
	frees, others := partEnds(p.ops, ends, p.j.owner.heirKey)
	if len(frees) == 0 || len(others) == 0 {
		return p.storeSomeResults(ends, full)
	}
	if p.j.commitOps(p.pick(frees)) != nil {
		return p.fail(ends, full)
	}
	if p.j.commitOps(p.pick(others)) != nil {
		return p.storeSomeResults(others, full)
	}
	return nil
}

// storeSomeResults stores as many results among some operations as there is room
// for, roughly: those that are left are tried again soon. It returns full.
func (p *parting[C]) storeSomeResults(some []int, full error) error {
	var results []int
	for _, i := range some {
		if p.j.owner.isResult(&p.ops[i]) {
			results = append(results, i)
		}
	}
	for n := len(results) * 2; n > 1; { // half of them, then a quarter of that, down to one
		n = max(n/4, 1)
		if p.j.commitOps(p.pick(results[:n])) == nil {
			some = slices.DeleteFunc(slices.Clone(some), func(i int) bool {
				_, stored := slices.BinarySearch(results[:n], i) // operations are in their order
				return stored
			})
			p.j.roomlessSince = time.Time{}
			return p.fail(some, full)
		}
	}
	if len(results) > 0 && p.j.roomlessSince.IsZero() {
		p.j.roomlessSince = time.Now()
	}
	return p.fail(some, full)
}

// partEnds parts some operations, named by their places and none of them an
// Add, into those that only free room, the ends of jobs, and others such as
// results, which take some and find it afterwards. The end of a job that becomes
// a dead one stays with its entry, so that a crash between the two does not
// lose the job.
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

// endsFirst puts those operations first that make room in a full store, so that
// they do not wait for others that find none.
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

func (p *parting[C]) pick(some []int) []store.Op {
	ops := make([]store.Op, len(some))
	for i, at := range some {
		ops[i] = p.ops[at]
	}
	return ops
}
