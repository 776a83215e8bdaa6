package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"gm/pkg/store"
)

// How much is read at a time, so that no reading lasts: FILE-wal can't begin
// anew while one does.
const (
	chunkRows  = 1000
	chunkBytes = 4 << 20
)

// maxMends is how often a file is mended in one pass over it.
const maxMends = 2

// Replay implements store.Store.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	p := replay{Store: s, payloads: true, f: func(j *store.Record, _ int) error { return f(j) }}
	return p.run(ctx)
}

// ReplayHeads implements store.Reader. It reads the payloads too, for their
// checksums.
func (s *Store) ReplayHeads(ctx context.Context, f func(j *store.Record, size int) error) error {
	p := replay{Store: s, f: f}
	return p.run(ctx)
}

// replay is one pass over the jobs: first those in their place, then those
// that somebody has moved, then those of gearmand. That is their order, as
// gearmand's were queued last.
type replay struct {
	*Store
	payloads bool
	f        func(*store.Record, int) error

	limit     int64 // the highest row when the pass began
	last      int64 // the highest row that was read
	rows      int64 // that were read
	misplaced []placed
	foreign   []int64
	mended    int
}

// placed is a row that is not where its sequence belongs.
type placed struct{ id, seq int64 }

func (p *replay) run(ctx context.Context) error {
	indexed, err := p.begin(ctx)
	if err != nil {
		return err
	}
	for more := true; more; {
		if more, err = p.next(ctx); err != nil {
			return err
		}
	}
	if indexed != p.rows {
		if err := p.findLost(ctx); err != nil {
			return err
		}
	}
	slices.SortFunc(p.misplaced, func(a, b placed) int { return cmp.Compare(a.seq, b.seq) })
	if err := p.inBatches(ctx, len(p.misplaced), func(w *writer, i int) (*store.Record, int, error) {
		return p.restore(w, p.misplaced[i])
	}); err != nil {
		return err
	}
	slices.Sort(p.foreign)
	first := max(p.limit, int64(store.FirstSeq(time.Now()))) + 1
	return p.inBatches(ctx, len(p.foreign), func(w *writer, i int) (*store.Record, int, error) {
		return p.adopt(w, p.foreign[i], first+int64(i))
	})
}

// begin returns how many rows the index has, which is quickly counted, and
// sets the limit.
func (p *replay) begin(ctx context.Context) (indexed int64, err error) {
	for {
		err = p.read(ctx, func(r *reader) error {
			jobs := quote(p.cfg.Table)
			return errors.Join(
				r.each("SELECT max(rowid) FROM "+jobs, func(stmt *sqlite3.Stmt) error {
					p.limit = stmt.ColumnInt64(0)
					return nil
				}),
				r.each("SELECT count(*) FROM "+jobs, func(stmt *sqlite3.Stmt) error {
					indexed = stmt.ColumnInt64(0)
					return nil
				}))
		})
		if !broken(err) || p.mended == maxMends {
			break
		}
		if err := p.mendOnce(err); err != nil {
			return 0, err
		}
	}
	if err != nil {
		return 0, p.failReading(err)
	}
	p.last = minRow
	return indexed, nil
}

// minRow is below every row.
const minRow = -1 << 63

func (p *replay) mendOnce(why error) error {
	p.mended++
	return p.mend(why)
}

// next reads a chunk of rows and hands out those in their place.
func (p *replay) next(ctx context.Context) (more bool, err error) {
	var c jobChunk
	err = p.read(ctx, func(r *reader) error {
		c = jobChunk{last: p.last, limit: p.limit, payloads: p.payloads}
		return c.read(r)
	})
	if broken(err) && p.mended < maxMends {
		return true, p.mendOnce(err)
	}
	if err != nil {
		return false, p.failReading(err)
	}
	p.last, p.rows = c.last, p.rows+c.rows
	p.misplaced = append(p.misplaced, c.misplaced...)
	p.foreign = append(p.foreign, c.foreign...)
	for _, id := range c.unsettled {
		p.cfg.Logger.Warn("run time changed by another hand", "store", "sqlite:"+p.cfg.File, "job", id)
	}
	p.setAside(ctx, c.faults)
	return c.more, p.handOut(ctx, c.jobs, c.sizes)
}

// jobChunk is as many rows as are read at a time.
type jobChunk struct {
	last, limit int64 // what the rows are above, and not above
	payloads    bool

	rows      int64
	jobs      []*store.Record
	sizes     []int // of their payloads
	misplaced []placed
	foreign   []int64
	unsettled []int64
	faults    []fault
	more      bool // there may be another
}

func (c *jobChunk) read(r *reader) error {
	defer r.jobs.Reset()
	if err := r.jobs.BindInt64(1, c.last); err != nil {
		return err
	}
	for size := 0; r.jobs.Step(); {
		if err := r.row.scan(r.jobs); err != nil {
			return err
		}
		if r.row.id > c.limit {
			return nil
		}
		if r.row.id <= c.last {
			return fmt.Errorf("%w: rows %d and %d are not in order", errBroken, c.last, r.row.id)
		}
		c.take(r)
		if size += len(r.row.data); size > chunkBytes || c.rows == chunkRows {
			c.more = true
			return nil
		}
	}
	return r.jobs.Err()
}

func (c *jobChunk) take(r *reader) {
	x := &r.row
	c.last = x.id
	c.rows++
	switch err := x.verify(); {
	case err != nil:
		c.faults = append(c.faults, faultOf(x, err))
	case x.foreign:
		c.foreign = append(c.foreign, x.id)
	case x.seq != x.id:
		c.misplaced = append(c.misplaced, placed{x.id, x.seq})
	default:
		if !x.settled() {
			c.unsettled = append(c.unsettled, x.id)
		}
		c.jobs = append(c.jobs, x.record(c.payloads))
		c.sizes = append(c.sizes, len(x.data))
	}
}

func (p *replay) handOut(ctx context.Context, jobs []*store.Record, sizes []int) error {
	for i, j := range jobs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.f(j, sizes[i]); err != nil {
			return err
		}
	}
	return nil
}

// inBatches calls change for 0 to n-1 in transactions, and hands out the jobs
// it returns once they are kept. A job whose row is gone by then is nil.
func (p *replay) inBatches(ctx context.Context, n int, change func(w *writer, i int) (*store.Record, int, error)) error {
	for start := 0; start < n; {
		var jobs []*store.Record
		var sizes []int
		end := start
		err := p.write(ctx, "adopt jobs in", func(w *writer) error {
			jobs, sizes, end = jobs[:0], sizes[:0], start
			for size := 0; end < n && end-start < chunkRows && size < chunkBytes; end++ {
				j, payload, err := change(w, end)
				if err != nil {
					return err
				}
				if j == nil {
					continue
				}
				if !p.payloads {
					j.Payload = nil
				}
				jobs, sizes = append(jobs, j), append(sizes, payload)
				size += payload
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := p.handOut(ctx, jobs, sizes); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// restore moves a row to where its sequence belongs. That may be taken, by a
// copy that somebody made: then it gets a new one.
func (p *replay) restore(w *writer, x placed) (*store.Record, int, error) {
	there, err := w.find(x.id)
	if err != nil || !there || w.row.seq != x.seq {
		return nil, 0, err
	}
	j := w.row.record(true)
	err = w.moveRow(x.id, x.seq)
	if errors.Is(err, sqlite3.CONSTRAINT) {
		p.foreign = append(p.foreign, x.id)
		return nil, 0, nil
	}
	return j, len(j.Payload), err
}

// adopt gives a row that gearmand wrote a sequence and what else gm needs, in
// a row of its own. That also mends what gearmand does itself no good with: it
// writes an empty payload as NULL, and then does not start again.
func (p *replay) adopt(w *writer, id, seq int64) (*store.Record, int, error) {
	there, err := w.find(id)
	if err != nil || !there {
		return nil, 0, err
	}
	j := w.row.record(true)
	j.Seq = uint64(seq)
	if err := w.removeRow(id); err != nil {
		return nil, 0, err
	}
	return j, len(j.Payload), w.add(j)
}

// findLost looks for rows that the index has and the table has not, and sees
// to it that they have the same again.
func (p *replay) findLost(ctx context.Context) error {
	var lost []fault
	var rows int64
	err := p.read(ctx, func(r *reader) error {
		var err error
		rows, err = r.eachIndexed(p.cfg.Table, func(id int64, key, function string) {
			if id <= p.limit && len(lost) < maxLost {
				lost = append(lost, fault{id: id, gone: true, unique: key, name: function, why: errLost})
			}
		})
		return err
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && !broken(err):
		return p.failReading(err)
	case err == nil && len(lost) == 0 && rows >= p.rows:
		return nil // there are new ones
	}
	p.setAside(ctx, lost)
	return p.write(ctx, "mend", func(w *writer) error { return w.Exec("REINDEX " + quote(p.cfg.Table)) })
}

// maxLost is how many rows that are lost are told of one by one.
const maxLost = 10_000

var errLost = errors.New("the index has it, the table has not")

// eachIndexed calls f for each entry of a table's index that has no row, and
// returns how many entries there are.
func (r *reader) eachIndexed(table string, f func(id int64, key, function string)) (entries int64, err error) {
	jobs := quote(table)
	there, _, err := r.Prepare("SELECT 1 FROM " + jobs + " NOT INDEXED WHERE rowid = ?")
	if err != nil {
		return 0, err
	}
	defer there.Close()
	index := quote("sqlite_autoindex_" + table + "_1") // of the primary key
	err = r.each("SELECT rowid, unique_key, function_name FROM "+jobs+" INDEXED BY "+index+" ORDER BY unique_key, function_name",
		func(stmt *sqlite3.Stmt) error {
			entries++
			id := stmt.ColumnInt64(0)
			if err := there.BindInt64(1, id); err != nil {
				return err
			}
			if !there.Step() {
				f(id, stmt.ColumnText(1), stmt.ColumnText(2))
			}
			return there.Reset()
		})
	return entries, err
}

// mend makes a new file of what can be read of the one that is there.
func (s *Store) mend(why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.open(); err != nil {
		return err
	}
	if err := s.rebuild(why); err != nil {
		return s.fail("mend", err)
	}
	_, err := s.open()
	return err
}
