package sqlstore

import (
	"context"
	"fmt"
	"math"

	"gm/pkg/store"
)

// PageSize is the number of jobs that one statement of a Replay returns.
const PageSize = 5000

// The parts of a payload that a Reading can request, in SQL.
const (
	wholePayload = "data"
	payloadSize  = "octet_length(data)"
)

// beforeFirst is below the number of every job.
const beforeFirst = math.MinInt64

// Reading is one pass over the jobs of a table.
type Reading struct {
	Data string // requested part of the payloads, in SQL: the column data or its size
	Last int64  // highest number so far

	f       func(j *store.Record, size int) error
	skipped func(what string, err error)
}

// OnlySizes reports whether the sizes of the payloads are requested instead of the
// payloads.
func (r *Reading) OnlySizes() bool { return r.Data == payloadSize }

// ReadRow is a row as a Reading gets it. The memory of its Data may be used again
// when the call returns.
type ReadRow struct {
	Row
	Numbered bool // seq is not NULL
	Size     int  // of the payload, if that was requested instead of Data
}

// Pass passes the job of a row on, and numbers a row that has no number. err is
// the error of reading the row, which is then reported and left out. table is its
// name for the report.
func (r *Reading) Pass(ctx context.Context, table string, row ReadRow, err error) error {
	if !row.Numbered {
		row.Seq = r.Last + 1
	}
	r.Last = row.Seq
	var j *store.Record
	if err == nil {
		j, err = row.Record()
	}
	if err != nil {
		r.Skip(table, row.Seq, err)
		return nil
	}
	if err := r.f(j, row.Size); err != nil {
		return err
	}
	return ctx.Err()
}

// Skip reports a row that is left out.
func (r *Reading) Skip(table string, seq int64, err error) {
	r.Last = seq
	r.skipped(fmt.Sprintf("row with seq %d of %s", seq, table), err)
}
