package server

import "gm/pkg/store"

// outcome is the result of a batch.
type outcome struct {
	now     int64 // in milliseconds
	store   error // not nil if the store fails as such
	refused error // not nil if all Adds were refused before the store answered
	adds    map[uint64]error
	ops     map[string]error // of others than Adds, by name
}

// ofAdd returns the reason why an Add is not stored, nil if it is.
func (o *outcome) ofAdd(seq uint64) error {
	if o.refused != nil {
		return o.refused
	}
	return o.adds[seq]
}

// ofOps returns the error of the first of some operations, given by name, that is
// not stored; without one, the error of the store.
func (o *outcome) ofOps(names []string) error {
	if len(o.ops) > 0 {
		for _, name := range names {
			if err := o.ops[name]; err != nil {
				return err
			}
		}
	}
	return o.store
}

func newOutcome(now int64, ops []store.Op, errs []error, err error) *outcome {
	out := &outcome{now: now}
	if errs == nil {
		return out
	}
	out.store, out.adds, out.ops = err, make(map[uint64]error), make(map[string]error)
	for i := range ops {
		switch op := &ops[i]; {
		case errs[i] == nil:
		case op.Kind == store.Add:
			out.adds[op.Record.Seq] = errs[i]
		default:
			out.ops[opName(op)] = errs[i]
		}
	}
	return out
}
