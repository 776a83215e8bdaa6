package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	redigo "github.com/gomodule/redigo/redis"

	"gm/pkg/store"
)

// Connections for reading, idle and in all.
const (
	idleReaders = 2
	maxReaders  = 8
)

// How much is read at a time.
const (
	pageRows  = 500
	pageBytes = 8 << 20
	pageScan  = 1000 // number of keys that Redis visits for a step of a scan
)

// Replay adopts the jobs that gearmand has queued and calls f for every job.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	return s.replay(ctx, false, func(r *store.Record, _ int) error { return f(r) })
}

// ReplayHeads is Replay without payloads.
func (s *Store) ReplayHeads(ctx context.Context, f func(r *store.Record, size int) error) error {
	return s.replay(ctx, true, f)
}

// entry is a job in the index.
type entry struct {
	seq  uint64
	size int
	name string
}

func (s *Store) replay(ctx context.Context, heads bool, f func(*store.Record, int) error) error {
	if err := s.settle(ctx); err != nil {
		return fmt.Errorf("replay from Redis: %w", err)
	}
	foreign, err := s.foreign(ctx)
	if err != nil {
		return fmt.Errorf("replay from Redis: %w", err)
	}
	entries, err := s.index(ctx)
	if err != nil {
		return fmt.Errorf("replay from Redis: %w", err)
	}
	var last uint64
	if n := len(entries); n > 0 {
		last = entries[n-1].seq
	}
	var gone []string // names whose jobs another server has done
	err = s.pages(ctx, entries, heads, func(name string, j job) error {
		switch {
		case j.err != nil:
			s.skip(name, j.err)
			return nil
		case j.record == nil:
			gone = append(gone, name)
			return nil
		}
		return call(ctx, f, j.record, j.size)
	})
	if err == nil {
		err = s.adopt(ctx, foreign, last, func(r *store.Record) error {
			size := len(r.Payload)
			if heads {
				r.Payload = nil
			}
			return call(ctx, f, r, size)
		})
	}
	if err == nil {
		err = s.forget(ctx, gone)
	}
	if err != nil {
		return fmt.Errorf("replay from Redis: %w", err)
	}
	return nil
}

// call calls f, whose caller may have ended ctx meanwhile.
func call(ctx context.Context, f func(*store.Record, int) error, r *store.Record, size int) error {
	if err := f(r, size); err != nil {
		return err
	}
	return ctx.Err()
}

// settle undoes the uncertain jobs.
func (s *Store) settle(ctx context.Context) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return errClosed
	}
	if len(s.undo) == 0 {
		return ctx.Err()
	}
	return s.commit(ctx, nil)
}

// forget removes the names of jobs that another server has done. A store that
// is not ours stays as it is.
func (s *Store) forget(ctx context.Context, names []string) error {
	if len(names) == 0 || s.config.AsIs {
		return nil
	}
	s.write.Lock()
	defer s.write.Unlock()
	err := s.writeBatch(ctx, func(b *batch) error {
		for _, name := range names {
			b.put(0, "forget", name)
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

// index returns all jobs in the order of their numbers.
func (s *Store) index(ctx context.Context) ([]entry, error) {
	var entries []entry
	err := s.scan(ctx, "HSCAN", s.layout.jobs, "", func(page [][]byte) error {
		for i := 0; i+1 < len(page); i += 2 {
			seq, size, ok := head(page[i+1])
			if !ok {
				s.skip(string(page[i]), &store.CorruptError{Where: string(page[i]), Why: "shorter than a row"})
				continue
			}
			entries = append(entries, entry{seq, size, string(page[i])})
		}
		return nil
	})
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.name, b.name))
	})
	return slices.CompactFunc(entries, func(a, b entry) bool { return a.name == b.name }), err
}

// scan calls f for each page of a SCAN, or an HSCAN of key. A key that exists
// during the whole scan is returned at least once.
func (s *Store) scan(ctx context.Context, command, key, match string, f func(page [][]byte) error) error {
	var args []any
	if key != "" {
		args = append(args, key)
	}
	at := len(args)
	args = append(args, "0", "COUNT", pageScan)
	if match != "" {
		args = append(args, "MATCH", match)
	}
	for {
		reply, err := redigo.Values(s.do(ctx, command, args...))
		if err != nil {
			return err
		}
		if len(reply) != 2 {
			return fmt.Errorf("%s: answer of %d parts, want 2", command, len(reply))
		}
		cursor, err := redigo.String(reply[0], nil)
		if err != nil {
			return err
		}
		page, err := redigo.ByteSlices(reply[1], nil)
		if err != nil {
			return err
		}
		if err := f(page); err != nil {
			return err
		}
		if cursor == "0" {
			return nil
		}
		args[at] = cursor
	}
}

// job is a job as it was found: neither a record nor an error if it is gone.
type job struct {
	record *store.Record
	size   int
	err    error
}

// pages reads the jobs of entries and calls f for each.
func (s *Store) pages(ctx context.Context, entries []entry, heads bool, f func(name string, j job) error) error {
	for len(entries) > 0 {
		n, size := 0, 0
		for n < len(entries) && n < pageRows && (n == 0 || size+entries[n].size <= pageBytes) {
			if !heads {
				size += entries[n].size
			}
			n++
		}
		jobs, err := s.jobs(ctx, entries[:n], heads)
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

// jobs reads one page.
func (s *Store) jobs(ctx context.Context, entries []entry, heads bool) ([]job, error) {
	what := "all"
	if heads {
		what = "heads"
	}
	args := []any{s.layout.jobs, s.layout.payloads, s.layout.prefix, what}
	for _, e := range entries {
		args = append(args, e.name)
	}
	reply, err := redigo.Values(s.read(ctx, rowsScript.get(), args...))
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
	case ok && values[2] == nil && !strings.Contains(name, "-"): // gearmand does not see it
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
		// gearmand has put a newer job in its place.
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

// read runs a script that does not write.
func (s *Store) read(ctx context.Context, script *redigo.Script, args ...any) (any, error) {
	return s.ask(ctx, func(c redigo.Conn) (any, error) { return script.DoContext(ctx, c, args...) })
}

// do runs a command that does not write.
func (s *Store) do(ctx context.Context, command string, args ...any) (any, error) {
	return s.ask(ctx, func(c redigo.Conn) (any, error) { return redigo.DoContext(c, ctx, command, args...) })
}

// ask asks on one of the readers' connections, and on another if that was lost
// while it was idle.
func (s *Store) ask(ctx context.Context, f func(redigo.Conn) (any, error)) (any, error) {
	for lost := 0; ; lost++ {
		c, err := s.readers.GetContext(ctx)
		if err != nil {
			return nil, err
		}
		reply, err := f(c)
		_ = c.Close() // gives it back
		if _, ok := refused(err); err == nil || ok || ctx.Err() != nil || lost == idleReaders {
			return reply, err
		}
	}
}

// LastSeq is that of [store.Numbered].
func (s *Store) LastSeq(ctx context.Context) (uint64, error) {
	last, err := redigo.Uint64(s.do(ctx, "GET", s.layout.last))
	if errors.Is(err, redigo.ErrNil) { // or somebody has deleted it
		var entries []entry
		if entries, err = s.index(ctx); len(entries) > 0 {
			last = entries[len(entries)-1].seq
		}
	}
	if err != nil {
		return 0, fmt.Errorf("read the last number from Redis: %w", err)
	}
	return last, nil
}

// ReadPayload is that of [store.Reader].
func (s *Store) ReadPayload(ctx context.Context, r *store.Record) ([]byte, error) {
	payload, err := redigo.Bytes(s.read(ctx, payloadScript.get(),
		s.layout.jobs, s.layout.payloads, s.layout.prefix, seqBytes(r.Seq), s.layout.name(r), hidden(r.Seq)))
	if errors.Is(err, redigo.ErrNil) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read payload from Redis: %w", err)
	}
	return payload, nil
}

// Extras is that of [store.Store].
func (s *Store) Extras(ctx context.Context, prefix string, f func(key string, value []byte) error) error {
	var keys []string
	err := s.scan(ctx, "HSCAN", s.layout.extras, pattern(prefix), func(page [][]byte) error {
		for i := 0; i < len(page); i += 2 {
			keys = append(keys, string(page[i]))
		}
		return nil
	})
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if err == nil {
		err = s.values(ctx, keys, f)
	}
	if err != nil {
		return fmt.Errorf("read extras from Redis: %w", err)
	}
	return nil
}

// Extra is that of [store.Store].
func (s *Store) Extra(ctx context.Context, key string) ([]byte, error) {
	value, err := redigo.Bytes(s.do(ctx, "HGET", s.layout.extras, key))
	if errors.Is(err, redigo.ErrNil) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read extra %q from Redis: %w", key, err)
	}
	return value, nil
}

// sized calls f for keys in parts of at most pageBytes, unless one has more.
// They are those of extras if hash is their name, or gearmand's if it is empty.
func (s *Store) sized(ctx context.Context, hash string, keys []string, f func(page []string) error) error {
	for some := range slices.Chunk(keys, pageForeign) {
		sizes, err := redigo.Ints(s.read(ctx, sizesScript.get(), redigo.Args{hash}.AddFlat(some)...))
		if err == nil && len(sizes) != len(some) {
			err = fmt.Errorf("answer of %d sizes, want %d", len(sizes), len(some))
		}
		if err != nil {
			return err
		}
		for len(some) > 0 {
			n, size := 1, sizes[0]
			for n < len(some) && size+sizes[n] <= pageBytes {
				size += sizes[n]
				n++
			}
			if err := f(some[:n]); err != nil {
				return err
			}
			some, sizes = some[n:], sizes[n:]
		}
	}
	return ctx.Err()
}

// values calls f for those extras that are there.
func (s *Store) values(ctx context.Context, keys []string, f func(key string, value []byte) error) error {
	return s.sized(ctx, s.layout.extras, keys, func(page []string) error {
		args := redigo.Args{s.layout.extras}.AddFlat(page)
		values, err := redigo.ByteSlices(s.do(ctx, "HMGET", args...))
		if err != nil {
			return err
		}
		for i, value := range values {
			if value == nil {
				continue
			}
			if err := f(page[i], value); err != nil {
				return err
			}
		}
		return nil
	})
}

// Check is that of [store.Checker].
func (s *Store) Check(ctx context.Context, report func(what string)) error {
	entries, err := s.index(ctx)
	if err == nil {
		err = s.pages(ctx, entries, false, func(name string, j job) error {
			switch {
			case j.err != nil:
				report(j.err.Error())
			case j.record == nil:
				report(fmt.Sprintf("%s: has no payload: another server has done it, or it is lost", name))
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("check Redis store: %w", err)
	}
	return nil
}
