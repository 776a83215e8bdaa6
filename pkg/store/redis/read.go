package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	redigo "github.com/gomodule/redigo/redis"

	"gm/pkg/store"
)

// The maximum sizes of a part that is read at a time.
const (
	pageRows  = 500
	pageBytes = 8 << 20
	pageScan  = 1000 // keys that Redis visits in a step of a scan
)

// Replay implements [store.Store]. Jobs that gearmand has queued come last, with new
// numbers.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	return s.replay(ctx, false, func(r *store.Record, _ int) error { return f(r) })
}

// ReplayHeads implements [store.Reader].
func (s *Store) ReplayHeads(ctx context.Context, f func(r *store.Record, size int) error) error {
	return s.replay(ctx, true, f)
}

func (s *Store) replay(ctx context.Context, heads bool, f func(*store.Record, int) error) error {
	if err := s.undoUncertain(ctx); err != nil {
		return fmt.Errorf("replay from Redis: %w", err)
	}
	foreign, err := s.foreignKeys(ctx)
	if err != nil {
		return fmt.Errorf("replay from Redis: %w", err)
	}
	entries, err := s.readIndex(ctx)
	if err != nil {
		return fmt.Errorf("replay from Redis: %w", err)
	}
	var last uint64
	if n := len(entries); n > 0 {
		last = entries[n-1].seq
	}
	var lost []string // names of jobs that another server has done
	err = s.readJobs(ctx, entries, heads, func(name string, j job) error {
		switch {
		case j.err != nil:
			s.skip(name, j.err)
			return nil
		case j.record == nil:
			lost = append(lost, name)
			return nil
		}
		return callWith(ctx, f, j.record, j.size)
	})
	if err == nil {
		err = s.adopt(ctx, foreign, last, func(r *store.Record) error {
			size := len(r.Payload)
			if heads {
				r.Payload = nil
			}
			return callWith(ctx, f, r, size)
		})
	}
	if err == nil {
		err = s.forgetNames(ctx, lost)
	}
	if err != nil {
		return fmt.Errorf("replay from Redis: %w", err)
	}
	return nil
}

// callWith calls f, and returns the error of ctx if it has ended meanwhile.
func callWith(ctx context.Context, f func(*store.Record, int) error, r *store.Record, size int) error {
	if err := f(r, size); err != nil {
		return err
	}
	return ctx.Err()
}

// undoUncertain undoes the uncertain jobs.
func (s *Store) undoUncertain(ctx context.Context) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.closed {
		return errClosed
	}
	if len(s.undo) == 0 {
		return ctx.Err()
	}
	return s.commitOps(ctx, nil)
}

// forgetNames removes the names of jobs that another server has done. It changes
// nothing in a store that another server holds.
func (s *Store) forgetNames(ctx context.Context, names []string) error {
	if len(names) == 0 || s.config.AsIs {
		return nil
	}
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	err := s.writeBatch(ctx, func(b *batch) error {
		for _, name := range names {
			b.appendOp(0, "forget", name)
		}
		return nil
	}, nil)
	if held := new(store.HeldError); errors.As(err, &held) {
		return nil
	}
	if err == nil {
		s.log.Info("another server has done jobs meanwhile", "jobs", len(names))
	}
	return err
}

// job is a job as it was found. Without a record and an error, it does not exist any
// more.
type job struct {
	record *store.Record
	size   int
	err    error
}

// readJobs reads the jobs of entries and calls f for each.
func (s *Store) readJobs(ctx context.Context, entries []entry, heads bool, f func(name string, j job) error) error {
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) && n < pageRows && (n == 0 || size+entries[n].size <= pageBytes) {
			if !heads {
				size += entries[n].size
			}
			n++
		}
		jobs, err := s.readPage(ctx, entries[:n], heads)
		if err != nil {
			return err
		}
		for i, j := range jobs {
			if err := f(entries[i].name, j); err != nil {
				return err
			}
		}
		entries = entries[n:]
	}
	return ctx.Err()
}

// readPage reads one page of jobs.
func (s *Store) readPage(ctx context.Context, entries []entry, heads bool) ([]job, error) {
	what := "all"
	if heads {
		what = "heads"
	}
	args := []any{s.layout.jobs, s.layout.payloads, s.layout.prefix, what}
	for _, e := range entries {
		args = append(args, e.name)
	}
	reply, err := redigo.Values(s.runScript(ctx, rowsScript.get(), args...))
	if err != nil {
		return nil, err
	}
	if len(reply) != 3*len(entries) {
		return nil, fmt.Errorf("answer of %d values, want %d", len(reply), 3*len(entries))
	}
	jobs := make([]job, len(entries))
	for i := range jobs {
		jobs[i] = makeJob(entries[i].name, reply[3*i:3*i+3])
	}
	return jobs, nil
}

// makeJob makes a job of its row, priority and payload or size.
func makeJob(name string, values []any) (j job) {
	row, ok := values[0].([]byte)
	switch {
	case ok && values[2] == nil && !strings.Contains(name, "-"): // a job that gearmand does not find
		return job{err: &store.CorruptError{Where: name, Why: "its payload is missing"}}
	case !ok || values[2] == nil:
		return job{}
	}
	r, size, err := decodeRow(row)
	if corrupt := new(store.CorruptError); errors.As(err, &corrupt) {
		corrupt.Where = name
		return job{err: err}
	}
	switch payload := values[2].(type) {
	case []byte:
		r.Payload, j.size = payload, len(payload)
	case int64:
		j.size = int(payload)
	}
	j.record = r
	priority, ok := values[1].([]byte)
	if !ok {
		if j.size != size {
			return job{err: &store.CorruptError{Where: name, Why: fmt.Sprintf("payload of %d bytes, want %d", j.size, size)}}
		}
		return j
	}
	if p := parsePriority(priority); p != r.Priority || j.size != size {
		// gearmand has replaced it by a newer job.
		r.Priority, r.RunAt, r.Attempts, r.Accepted, r.Reducer = p, 0, 0, 0, ""
	}
	return j
}

// parsePriority parses gearmand's priority. An invalid one counts as normal.
func parsePriority(b []byte) uint8 {
	n, err := strconv.ParseUint(string(b), 10, 8)
	if err != nil || n > 2 {
		return 1
	}
	return uint8(n)
}

// LastSeq implements [store.Numbered].
func (s *Store) LastSeq(ctx context.Context) (uint64, error) {
	last, err := redigo.Uint64(s.runCommand(ctx, "GET", s.layout.last))
	if errors.Is(err, redigo.ErrNil) { // no job yet, or another program has deleted it
		var entries []entry
		if entries, err = s.readIndex(ctx); len(entries) > 0 {
			last = entries[len(entries)-1].seq
		}
	}
	if err != nil {
		return 0, fmt.Errorf("read the last number from Redis: %w", err)
	}
	return last, nil
}

// ReadPayload implements [store.Reader].
func (s *Store) ReadPayload(ctx context.Context, r *store.Record) ([]byte, error) {
	payload, err := redigo.Bytes(s.runScript(ctx, payloadScript.get(),
		s.layout.jobs, s.layout.payloads, s.layout.prefix, seqBytes(r.Seq), s.layout.jobName(r), hiddenName(r.Seq)))
	if errors.Is(err, redigo.ErrNil) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read payload from Redis: %w", err)
	}
	return payload, nil
}

// Check implements [store.Checker].
func (s *Store) Check(ctx context.Context, report func(what string)) error {
	entries, err := s.readIndex(ctx)
	if err == nil {
		err = s.readJobs(ctx, entries, false, func(name string, j job) error {
			switch {
			case j.err != nil:
				report(j.err.Error())
			case j.record == nil:
				report(fmt.Sprintf("%s: the payload is missing: another server has done the job, or the payload is lost", name))
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("check Redis store: %w", err)
	}
	return nil
}
