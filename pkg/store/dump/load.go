package dump

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"gm/pkg/store"
)

// Bounds of a batch, in operations and in bytes of payloads and values.
const (
	maxBatchOps   = 2000
	maxBatchBytes = 8 << 20
)

// ErrNotEmpty is returned by [NewLoader] for a store that holds something, if
// the loader may not add to it.
var ErrNotEmpty = errors.New("the store is not empty")

// Loader loads lines into a store. One goroutine at a time may use it. The
// caller owns the store and closes it. Nobody else may write to it meanwhile.
type Loader struct {
	store store.Store
	batch []store.Op
	bytes int // payloads and values in batch

	seqs    map[uint64]digest   // the jobs in the store, by number
	uniques map[digest]struct{} // their functions and uniques
	extras  map[string]struct{} // the keys of the extras in the store
	lastSeq uint64              // the highest number of a job that is known
	highest uint64              // in the store's extra [store.NumberKey], 0 if there is none

	complete bool   // the last line was an end line
	sinceEnd Counts // the lines after the last end line
	total    Counts
}

// Counts counts the lines that a [Loader] read. It has neither the end lines nor
// the extras whose key the store held already.
type Counts struct {
	Jobs   int `json:"jobs"`   // jobs added
	Extras int `json:"extras"` // extras added
	Joined int `json:"joined"` // jobs left out: the store holds one with that function and unique
	There  int `json:"there"`  // jobs left out: the store holds the same job
}

// NewLoader returns a loader for s. Unless merge is set, a store that holds
// something is [ErrNotEmpty]. With merge, NewLoader reads all of s: Load leaves
// out the jobs and extras that s holds. A store that does not list its contents
// counts as empty.
func NewLoader(ctx context.Context, s store.Store, merge bool) (*Loader, error) {
	l := &Loader{
		store: s, lastSeq: store.FirstSeq(time.Now()),
		seqs: map[uint64]digest{}, uniques: map[digest]struct{}{}, extras: map[string]struct{}{},
	}
	if n, ok := s.(store.Numbered); ok {
		last, err := n.LastSeq(ctx)
		if err != nil {
			return nil, err
		}
		l.lastSeq = max(l.lastSeq, last)
	}
	switch {
	case !s.Caps().Lists:
		return l, nil
	case merge:
		return l, l.readStore(ctx)
	}
	return l, checkEmpty(ctx, s)
}

// checkEmpty returns ErrNotEmpty if s holds a job or an extra.
func checkEmpty(ctx context.Context, s store.Store) error {
	var err error
	if r, ok := s.(store.Reader); ok {
		err = r.ReplayHeads(ctx, func(*store.Record, int) error { return ErrNotEmpty })
	} else {
		err = s.Replay(ctx, func(*store.Record) error { return ErrNotEmpty })
	}
	if err == nil {
		err = s.Extras(ctx, "", func(string, []byte) error { return ErrNotEmpty })
	}
	return err
}

// readStore remembers all that the store holds.
func (l *Loader) readStore(ctx context.Context) error {
	err := l.store.Replay(ctx, func(r *store.Record) error {
		l.rememberJob(r)
		return nil
	})
	if err != nil {
		return err
	}
	return l.store.Extras(ctx, "", func(key string, value []byte) error {
		l.extras[key] = struct{}{}
		if key == store.NumberKey {
			l.raiseNumber(value)
		}
		return nil
	})
}

// rememberJob notes that the store holds r.
func (l *Loader) rememberJob(r *store.Record) {
	l.seqs[r.Seq] = digestOf(r.Function, r.Unique, string(r.Payload))
	if coalesces(r) {
		l.uniques[digestOf(r.Function, r.Unique)] = struct{}{}
	}
	l.lastSeq = max(l.lastSeq, r.Seq)
}

// raiseNumber notes the number of a [store.NumberKey] extra, and reports whether
// it is higher than the one in the store. A value that is no number is not.
func (l *Loader) raiseNumber(value []byte) bool {
	n, err := store.ParseNumber(value)
	if err != nil || n <= l.highest {
		return false
	}
	l.highest = n
	l.lastSeq = max(l.lastSeq, n) // jobs without a number come after it
	return true
}

// coalesces reports whether no other job may have r's function and unique.
func coalesces(r *store.Record) bool { return r.Unique != "" && r.Unique != "-" }

// digest stands for bytes of any length.
type digest [16]byte

func digestOf(parts ...string) digest {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(p))))
		io.WriteString(h, p)
	}
	return digest(h.Sum(nil))
}

// Load loads all lines of r. Jobs keep their numbers. A job that the store holds
// is left out, as is one with the function and unique of another that waits. A
// job without a number, or with the number of another job, gets the next free
// one. An extra that the store holds is left out, except a higher
// [store.NumberKey].
//
// An error names the number of the line at fault; the lines before it are
// committed. A line is an error if it is no JSON object of the format, if it
// exceeds a limit of the store, or if it is an end line with the wrong counts.
func (l *Loader) Load(ctx context.Context, r io.Reader) error {
	in := bufio.NewReaderSize(r, bufferSize)
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return fmt.Errorf("read dump: %w", err)
		}
		if len(bytes.TrimSpace(text)) > 0 {
			if err := l.loadLine(ctx, text); err != nil {
				return errors.Join(fmt.Errorf("line %d: %w", n, err), l.flushBatch(ctx))
			}
		}
		if err == io.EOF {
			return l.flushBatch(ctx)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// Complete reports whether the last line that Load read was an end line. If it
// was not, the dump may have been cut short.
func (l *Loader) Complete() bool { return l.complete }

// Counts returns the counts of all lines read so far.
func (l *Loader) Counts() Counts { return l.total }

// loadLine puts one line into the next batch.
func (l *Loader) loadLine(ctx context.Context, text []byte) error {
	var line dumpLine
	if err := json.Unmarshal(text, &line); err != nil {
		return err
	}
	if line.End {
		return l.checkEnd(&line)
	}
	l.complete = false
	op, err := line.op()
	if err != nil {
		return err
	}
	if err := l.store.Caps().Refusal(&op); err != nil {
		return err
	}
	if op.Kind == store.Put {
		l.sinceEnd.Extras++
		_, there := l.extras[op.Key]
		if op.Key == store.NumberKey && l.raiseNumber(op.Value) {
			there = false
		}
		if there {
			return nil
		}
		l.extras[op.Key] = struct{}{}
		l.total.Extras++
		return l.addOp(ctx, op, len(op.Value))
	}
	l.sinceEnd.Jobs++
	r := op.Record
	if add, err := l.assignSeq(r); !add {
		return err
	}
	l.rememberJob(r)
	l.total.Jobs++
	return l.addOp(ctx, op, len(r.Payload))
}

// assignSeq gives r a number if it has none or the number of another job. It
// returns false for a job that must be left out, and an error if no higher number
// is free.
func (l *Loader) assignSeq(r *store.Record) (add bool, err error) {
	if other, taken := l.seqs[r.Seq]; taken && r.Seq != 0 && other == digestOf(r.Function, r.Unique, string(r.Payload)) {
		l.total.There++
		return false, nil
	}
	if _, waits := l.uniques[digestOf(r.Function, r.Unique)]; waits && coalesces(r) {
		l.total.Joined++
		return false, nil
	}
	if r.Seq == 0 {
		r.Seq = l.lastSeq + 1
	}
	for ; r.Seq != 0; r.Seq++ {
		if _, taken := l.seqs[r.Seq]; !taken {
			return true, nil
		}
	}
	return false, fmt.Errorf("no higher number is free: the limit is %d", uint64(math.MaxUint64))
}

// checkEnd compares the counts of an end line with the lines since the last one.
// More lines may follow it.
func (l *Loader) checkEnd(line *dumpLine) error {
	if line.Jobs == nil || line.Extras == nil || *line.Jobs != l.sinceEnd.Jobs || *line.Extras != l.sinceEnd.Extras {
		return fmt.Errorf("the end does not count the %d jobs and %d extras before it: the dump is not whole", l.sinceEnd.Jobs, l.sinceEnd.Extras)
	}
	l.complete, l.sinceEnd = true, Counts{}
	return nil
}

// addOp adds op to the next batch, and commits the batch once it is full.
func (l *Loader) addOp(ctx context.Context, op store.Op, size int) error {
	l.batch = append(l.batch, op)
	if l.bytes += size; len(l.batch) < maxBatchOps && l.bytes < maxBatchBytes {
		return nil
	}
	return l.flushBatch(ctx)
}

// flushBatch commits the next batch, if it has an operation.
func (l *Loader) flushBatch(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	batch := l.batch
	l.batch, l.bytes = nil, 0
	return l.store.Commit(ctx, batch)
}
