//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"errors"
	"fmt"
	"os"
)

// verify returns an error unless the library can open the database: every record must be
// valid, and the library, which trusts the whole file, must find it. It calls f for each
// record.
func (t *table) verify(f func(*record, *entry)) error {
	if t.damage != nil {
		return t.damage
	}
	links := make(map[int64]int) // number of links to an offset, minus 1 if a record is there
	free := make(map[int64]int64)
	records := int64(0)
	pages := newTreeCheck(t)
	link := func(offset int64) {
		if offset != 0 {
			links[offset]++
		}
	}
	var fault error
	fail := func(offset int64, err error) {
		if fault == nil {
			fault = fmt.Errorf("at %d: %w", offset, err)
		}
	}
	for at := t.first; at < t.size && fault == nil; {
		r, size, err := t.readBlock(at)
		if errors.Is(err, errForm) && t.recount {
			if rest, readErr := t.isZero(at); readErr == nil && rest {
				t.size = at
				break
			}
		}
		if err != nil {
			return fmt.Errorf("at %d: %w", at, err)
		}
		if r == nil {
			free[at] = size
		} else {
			err := t.verifyRecord(r, pages, f)
			if err == nil && hashOf(r.key) != r.hash {
				err = errors.New("hash does not match")
			}
			if err != nil {
				fail(at, err)
				break
			}
			records++
			links[at]--
			link(r.left)
			link(r.right)
		}
		at += size
	}
	if t.recount {
		t.records = records
	}
	switch {
	case fault != nil:
		return fault
	case records != t.records:
		return fmt.Errorf("%d records, want %d", records, t.records)
	}
	if err := t.eachBucket(link); err != nil {
		return err
	}
	for offset, n := range links {
		if n != 0 {
			return fmt.Errorf("record at %d: %d links too many", offset, n)
		}
	}
	if err := t.verifyPool(free); err != nil || !t.isTree {
		return err
	}
	return pages.verify()
}

// writeCounts writes the numbers of records and bytes that verify counted into
// the header.
func (t *table) writeCounts() error {
	f, err := os.OpenFile(t.file.Name(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 16)
	t.order.PutUint64(b, uint64(t.records))
	t.order.PutUint64(b[8:], uint64(t.size))
	_, err = f.WriteAt(b, recordsAt)
	return errors.Join(err, f.Close())
}

// verifyRecord returns an error unless a record is a job or an extra, or a page
// of them. It calls f for each.
func (t *table) verifyRecord(r *record, pages *treeCheck, f func(*record, *entry)) error {
	if t.isTree {
		return pages.addPage(r, f)
	}
	x, err := decode(r.key, r.value)
	if err == nil {
		f(r, x)
	}
	return err
}

// eachBucket calls f for the offset in each bucket.
func (t *table) eachBucket(f func(offset int64)) error {
	b := make([]byte, t.buckets*t.wide)
	if _, err := t.file.ReadAt(b, headerSize); err != nil {
		return err
	}
	for ; len(b) > 0; b = b[t.wide:] {
		f(t.parseOffset(b))
	}
	return nil
}

// verifyPool returns an error unless the blocks in the pool of free blocks are free.
func (t *table) verifyPool(free map[int64]int64) error {
	from := headerSize + t.buckets*t.wide
	b := make([]byte, t.first-from)
	if _, err := t.file.ReadAt(b, from); err != nil {
		return err
	}
	offset := int64(0)
	for len(b) > 0 && b[0] != 0 {
		step, n := vnum(b)
		size, m := vnum(b[n:])
		if n == 0 || m == 0 {
			return errors.New("pool of free blocks: a number is not complete")
		}
		offset += step << t.apow
		if free[offset] != size<<t.apow {
			return fmt.Errorf("pool of free blocks: none at %d", offset)
		}
		delete(free, offset)
		b = b[n+m:]
	}
	return nil
}

// isZero reports whether all bytes from an offset on are zero.
func (t *table) isZero(offset int64) (bool, error) {
	b := make([]byte, 1<<20)
	for offset < t.size {
		n, err := t.file.ReadAt(b, offset)
		for _, c := range b[:n] {
			if c != 0 {
				return false, nil
			}
		}
		if offset += int64(n); err != nil && offset < t.size {
			return false, err
		}
	}
	return true, nil
}
