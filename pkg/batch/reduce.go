package batch

import (
	"fmt"

	"gm/pkg/gearman"
)

const (
	// DefaultArity is how many results a Reduction joins unless it says otherwise:
	// two levels do for some hundred records, three for some thousand.
	DefaultArity = 16
	// MaxArity bounds Reduction.Arity.
	MaxArity = 1 << 16
)

// Reduction folds the results of a Batch into one. Arity results that follow
// each other in the order of the input are put one after the other, with
// nothing between them but what End adds, and are the payload of one job of
// Task; its result is one of those of the next level, until there is one left.
// So Task's function has to make of the join of its own results what it would
// have made of the join of what these came from; it need not mind the order, as
// that is kept.
//
// Each result goes through Task at least once, also the only one. Of no records
// there is no job, and the result is empty.
//
// Which results are joined hangs on their number and sizes only, unless memory
// is short. Where Arity results do not fit into one payload fewer are joined.
// Results that wait count against Batch.Memory; when nothing else can go on
// because of it, fewer than Arity are joined too.
type Reduction struct {
	// Task is what the jobs of all levels have in common. Its payload, callbacks
	// and retries are not used.
	Task gearman.Task
	// Arity is how many results are joined, from 2 to MaxArity; 0 is DefaultArity.
	Arity int
	// End is what every result is to end with, the last one too: it is added
	// where it is lacking.
	End []byte
	// MaxPayload is what a job's payload may have, in bytes; 0 is
	// gearman.DefaultMaxPayload.
	MaxPayload int
	// Part, if set, is called for each record (Stage is 0) and each job of Task
	// (Stage is its level, from 1) as it ends, in no order. Seq counts each of the
	// two kinds by itself. An error ends the batch.
	Part func(r *Record) error
}

// withDefaults returns a copy with every field set, or says which is wrong.
func (r Reduction) withDefaults() (Reduction, error) {
	if r.Arity == 0 {
		r.Arity = DefaultArity
	}
	if r.MaxPayload == 0 {
		r.MaxPayload = gearman.DefaultMaxPayload
	}
	switch {
	case r.Arity < 2 || r.Arity > MaxArity:
		return r, fmt.Errorf("reduce: arity %d is not from 2 to %d", r.Arity, MaxArity)
	case r.MaxPayload < 0:
		return r, fmt.Errorf("reduce: largest payload %d is negative", r.MaxPayload)
	}
	return r, nil
}

// PartError says which part of a reduction has failed, so that it has no
// result: a record, or a job that was to join results.
type PartError struct {
	Level       int    // 0: a record; from 1: a job of Reduction.Task
	First, Last int    // the records that it stands for, from 1
	Name        string // of the record, if it has one
	Err         error
}

func (e *PartError) Error() string {
	switch records := span(e.First, e.Last); {
	case e.Level > 0:
		return fmt.Sprintf("reduce %s at level %d: %v", records, e.Level, e.Err)
	case e.Name != "":
		return fmt.Sprintf("%s (%s): %v", records, e.Name, e.Err)
	default:
		return fmt.Sprintf("%s: %v", records, e.Err)
	}
}

// span is what a row of records is called.
func span(first, last int) string {
	if first == last {
		return fmt.Sprintf("record %d", first)
	}
	return fmt.Sprintf("records %d to %d", first, last)
}

func (e *PartError) Unwrap() error { return e.Err }
