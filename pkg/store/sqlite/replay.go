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

// The maximum sizes of a part that is read at a time: FILE-wal cannot start
// again while somebody reads.
const (
	chunkRows  = 1000
	chunkBytes = 4 << 20
)

// maxMends is the maximum number of times that a file is mended in one pass
// over it.
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

// replay is one pass over the jobs: first those whose row has the number of their
// sequence, then those that another program has moved, then those of gearmand, which
// were queued last.
type replay struct {
	*Store
	payloads bool
	f        func(*store.Record, int) error

	out    int64 // the highest row whose job was returned
	mended int   // how often the file was mended

	// The state since the file was last mended.
	limit     int64 // the highest row at that time
	last      int64 // the highest row that was read
	rows      int64 // number of rows that were read
	misplaced []placed
	foreign   []int64
}

// placed is a row whose number is not its sequence.
type placed struct{ id, seq int64 }

func (p *replay) run(ctx context.Context) error {
	p.out = minRow
	for {
		err := p.readInPlace(ctx)
		if err == nil {
			break
		}
		if !isBroken(err) || p.mended == maxMends {
			return p.failReading(err)
		}
		p.mended++
		if err := p.mend(err); err != nil {
			return err
		}
	}
	slices.SortFunc(p.misplaced, func(a, b placed) int { return cmp.Compare(a.seq, b.seq) })
	if err := p.inBatches(ctx, len(p.misplaced), func(w *writer, i int) (*store.Record, int, error) {
		return p.moveBack(w, p.misplaced[i])
	}); err != nil {
		return err
	}
	slices.Sort(p.foreign)
	first := int64(p.AdoptFrom(time.Now(), uint64(max(p.limit, 0)))) + 1
	return p.inBatches(ctx, len(p.foreign), func(w *writer, i int) (*store.Record, int, error) {
		return p.adopt(w, p.foreign[i], first+int64(i))
	})
}

// readInPlace returns the jobs whose row has the number of their sequence, and collects
// the others.
func (p *replay) readInPlace(ctx context.Context) error {
	p.last, p.rows, p.misplaced, p.foreign = minRow, 0, nil, nil
	indexed, err := p.readCounts(ctx)
	if err != nil {
		return err
	}
	for more := true; more; {
		if more, err = p.readChunk(ctx); err != nil {
			return err
		}
	}
	if indexed != p.rows {
		if err := p.checkIndex(ctx); err != nil {
			return err
		}
	}
	return p.checkNumbers(ctx)
}

// minRow is below every row.
const minRow = -1 << 63

// readCounts sets the limit and returns the number of rows in the index, which takes
// little time.
func (p *replay) readCounts(ctx context.Context) (indexed int64, err error) {
	jobs := quote(p.cfg.Table)
	err = p.read(ctx, func(r *reader) error {
		return errors.Join(
			r.queryEach("SELECT max(rowid) FROM "+jobs, func(stmt *sqlite3.Stmt) error {
				p.limit = stmt.ColumnInt64(0)
				return nil
			}),
			r.queryEach("SELECT count(*) FROM "+jobs, func(stmt *sqlite3.Stmt) error {
				indexed = stmt.ColumnInt64(0)
				return nil
			}))
	})
	return indexed, err
}

// readChunk reads a chunk of rows and returns the jobs in their place.
func (p *replay) readChunk(ctx context.Context) (more bool, err error) {
	var c jobChunk
	err = p.read(ctx, func(r *reader) error {
		c = jobChunk{last: p.last, limit: p.limit, out: p.out, payloads: p.payloads}
		return c.readRows(r)
	})
	if err != nil {
		return false, err
	}
	p.last, p.rows = c.last, p.rows+c.rows
	p.misplaced = append(p.misplaced, c.misplaced...)
	p.foreign = append(p.foreign, c.foreign...)
	if len(p.misplaced) > 0 && int64(len(p.misplaced)+len(p.foreign)) < p.rows-c.wrong {
		// A program that numbers rows again changes all numbers.
		return false, fmt.Errorf("%w: row %d has job %d", errBroken, p.misplaced[0].id, p.misplaced[0].seq)
	}
	p.setAside(ctx, c.faults)
	if err := p.rescheduleAll(ctx, c.unscheduled); err != nil {
		return false, err
	}
	if len(c.jobs) > 0 {
		p.out = int64(c.jobs[len(c.jobs)-1].Seq)
	}
	return c.more, p.returnJobs(ctx, c.jobs, c.sizes)
}

// rescheduleAll writes the run times of jobs again that another program has changed or
// that were damaged: the two cannot be distinguished.
func (p *replay) rescheduleAll(ctx context.Context, jobs []*store.Record) error {
	if len(jobs) == 0 {
		return nil
	}
	return p.write(ctx, "reschedule jobs in", false, func(w *writer) error {
		for _, j := range jobs {
			p.base.Log.Warn("the run time was changed by another program", "job", j.Seq, "run_at_ms", j.RunAt)
			if err := w.reschedule(j); err != nil {
				return err
			}
		}
		return nil
	})
}

// jobChunk is a part of the rows that is read at a time.
type jobChunk struct {
	last, limit int64 // only rows above last and up to limit are read
	out         int64 // only jobs above it are returned
	payloads    bool

	rows        int64
	wrong       int64 // rows that are faults
	jobs        []*store.Record
	sizes       []int // of their payloads
	unscheduled []*store.Record
	misplaced   []placed
	foreign     []int64
	faults      []fault
	more        bool // there may be another chunk
}

func (c *jobChunk) readRows(r *reader) error {
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
		r.heavy = r.heavy || len(r.row.data) >= heavyPayload
		c.addRow(r)
		if size += len(r.row.data); size > chunkBytes || c.rows == chunkRows {
			c.more = true
			return nil
		}
	}
	return r.jobs.Err()
}

func (c *jobChunk) addRow(r *reader) {
	x := &r.row
	c.last = x.id
	c.rows++
	switch err := x.verify(); {
	case err != nil:
		c.wrong++
		c.faults = append(c.faults, faultOf(x, err))
	case x.foreign:
		c.foreign = append(c.foreign, x.id)
	case x.seq != x.id:
		c.misplaced = append(c.misplaced, placed{x.id, x.seq})
	case x.id > c.out:
		j := x.record(c.payloads)
		if !x.isScheduled() {
			c.unscheduled = append(c.unscheduled, j)
		}
		c.jobs = append(c.jobs, j)
		c.sizes = append(c.sizes, len(x.data))
	}
}

// returnJobs passes jobs to f.
func (p *replay) returnJobs(ctx context.Context, jobs []*store.Record, sizes []int) error {
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

// inBatches calls change for 0 to n-1 in transactions, and returns the jobs of each
// after its commit. change returns nil for a row that does not exist any more.
func (p *replay) inBatches(ctx context.Context, n int, change func(w *writer, i int) (*store.Record, int, error)) error {
	for start := 0; start < n; {
		var jobs []*store.Record
		var sizes []int
		end := start
		err := p.write(ctx, "adopt jobs in", false, func(w *writer) error {
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
		if err := p.returnJobs(ctx, jobs, sizes); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// moveBack gives a row the number of its sequence. If another row has that number,
// because a program has copied the row, it gets a new sequence.
func (p *replay) moveBack(w *writer, x placed) (*store.Record, int, error) {
	there, err := w.findRow(x.id)
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

// adopt replaces a row that gearmand wrote with one that has a sequence and gm's other
// columns. That also mends empty payloads: gearmand writes them as NULL, with which it
// does not start again.
func (p *replay) adopt(w *writer, id, seq int64) (*store.Record, int, error) {
	there, err := w.findRow(id)
	if err != nil || !there {
		return nil, 0, err
	}
	j := w.row.record(true)
	j.Seq = uint64(seq)
	if err := w.removeRow(id); err != nil {
		return nil, 0, err
	}
	return j, len(j.Payload), w.addJob(j)
}

// checkNumbers returns an error unless SQLite finds every row by its number: other rows
// could never be removed. It reads from the last row to the first, because then SQLite
// need not search for the next one.
func (p *replay) checkNumbers(ctx context.Context) error {
	jobs := quote(p.cfg.Table)
	return p.read(ctx, func(r *reader) error {
		n, err := r.queryText("SELECT count(*) FROM (SELECT rowid AS id FROM " + jobs + " NOT INDEXED ORDER BY rowid DESC) AS x " +
			"LEFT JOIN " + jobs + " AS y ON y.rowid = x.id WHERE y.rowid IS NULL")
		if err == nil && n != "0" {
			err = fmt.Errorf("%w: %s rows are not found under their numbers", errBroken, n)
		}
		return err
	})
}

// checkIndex returns an error unless the table and its index have the same rows. It
// reads both in one transaction: an earlier difference may be due to jobs that were
// added or removed meanwhile.
func (p *replay) checkIndex(ctx context.Context) error {
	return p.read(ctx, func(r *reader) error {
		if err := r.Exec("BEGIN"); err != nil {
			return err
		}
		defer r.Exec("ROLLBACK")
		rows, err := r.queryText("SELECT count(*) FROM " + quote(p.cfg.Table) + " NOT INDEXED")
		if err != nil {
			return err
		}
		entries, lost, err := r.compareIndex(p.cfg.Table)
		if err == nil && (lost > 0 || fmt.Sprint(entries) != rows) {
			err = fmt.Errorf("%w: %s rows in the table, %d in the index, of which %d are not in the table", errBroken, rows, entries, lost)
		}
		return err
	})
}

// compareIndex returns the number of entries in a table's index, and the number
// of those without a row.
func (r *reader) compareIndex(table string) (entries, lost int64, err error) {
	jobs := quote(table)
	row, _, err := r.Prepare("SELECT 1 FROM " + jobs + " NOT INDEXED WHERE rowid = ?")
	if err != nil {
		return 0, 0, err
	}
	defer row.Close()
	index := quote("sqlite_autoindex_" + table + "_1") // of the primary key
	err = r.queryEach("SELECT rowid FROM "+jobs+" INDEXED BY "+index+" ORDER BY unique_key, function_name",
		func(stmt *sqlite3.Stmt) error {
			entries++
			if err := row.BindInt64(1, stmt.ColumnInt64(0)); err != nil {
				return err
			}
			if !row.Step() {
				lost++
			}
			return row.Reset()
		})
	return entries, lost, err
}

// mend makes a new file from the readable part of the old one.
func (s *Store) mend(why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.open(); err != nil {
		return err
	}
	if err := s.rebuild(why); err != nil {
		return s.base.Fail("mend", err)
	}
	_, err := s.open()
	return err
}
