package batch

import (
	"fmt"

	"gm/pkg/gearman"
)

const (
	// DefaultArity is the default of Reduction.Arity: two levels are enough for
	// some hundred records, three for some thousand.
	DefaultArity = 16
	// MaxArity is the maximum of Reduction.Arity.
	MaxArity = 1 << 16
)

// Reduction combines the results of a Batch into one. It concatenates Arity
// results that follow each other in the order of the input, with only End
// between them, and sends them as the payload of one job of Task. The result of
// that job is a result of the next level, and so on until one is left. So
// Task's function must be associative: applied to the concatenation of its own
// results, it must return the same as applied to the concatenation of their
// inputs. The order is kept.
//
// Each result goes through Task at least once, even a single one. Without
// records there is no job, and the result is empty.
//
// Unless memory is short, the choice of the results to join depends only on
// their number and sizes. Where Arity results do not fit into one payload fewer
// are joined. Results that wait count against Batch.Memory; when nothing else
// can go on because of it, fewer than Arity are joined too.
type Reduction struct {
	// Task has the settings of the jobs of all levels. Its payload, callbacks
	// and retries are not used.
	Task gearman.Task
	// Arity is the number of results joined by one job, from 2 to MaxArity; 0
	// is DefaultArity.
	Arity int
	// End is the required end of every result, including the last one: it is
	// added where it is missing.
	End []byte
	// MaxPayload is the maximum size of a job's payload in bytes; 0 is
	// gearman.DefaultMaxPayload.
	MaxPayload int
	// Part, if set, is called for each record (Stage is 0) and each job of Task
	// (Stage is its level, from 1) when it ends, in no order. Seq counts the
	// two kinds separately. An error ends the batch.
	Part func(r *Record) error
}

// withDefaults returns a copy with every field set, or an error that names a
// wrong field.
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

// PartError names the part of a reduction that has failed: a record, or a job
// that joins results. The reduction has no result then.
type PartError struct {
	Level       int    // 0: a record; from 1: a job of Reduction.Task
	First, Last int    // the first and last of its records, from 1
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

// span formats a range of records.
func span(first, last int) string {
	if first == last {
		return fmt.Sprintf("record %d", first)
	}
	return fmt.Sprintf("records %d to %d", first, last)
}

func (e *PartError) Unwrap() error { return e.Err }
