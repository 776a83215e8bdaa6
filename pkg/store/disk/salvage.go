package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"gm/pkg/store/lockfile"
)

// salvage replaces f, which is broken, by a new file with everything that can be
// read of it, and keeps f under another name.
//
// It goes through the tree first, past whatever is broken. What was below that
// is looked for in the pages that the tree does not have: those that have lost
// their way into it, but also old ones, of which bbolt has copies or which it
// has not used again. A job found there may have been done already, so that it
// is taken only if it belongs where something is missing.
func (s *Store) salvage(f *os.File, m meta, why error) error {
	s.cfg.Logger.Error("file is broken, reading what can be read", "store", "disk:"+s.cfg.Dir, "file", f.Name(), "err", why)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if m.pageSize == 0 {
		m.pageSize = int64(os.Getpagesize())
	}
	pages := uint64((info.Size() + m.pageSize - 1) / m.pageSize)
	v := &salvager{
		Store: s,
		tree:  tree{file: f, pageSize: m.pageSize, high: pages},
		seen:  newBitmap(pages),
		late:  make(map[uint64]int),
	}
	if v.sealing, err = v.findSealing(m); err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	out, err := newFiller(&s.files, s.temporary("salvage"), sealing{salt: v.sealing.salt})
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	v.out = out
	if err := v.run(m, why); err != nil {
		out.discard()
		return fmt.Errorf("salvage: %w", err)
	}
	if err := errors.Join(out.sync(), out.close()); err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	kept, err := s.keepBroken(s.file())
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	if err := lockfile.KeepMode(out.path, s.file()); err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	// The one step that replaces the broken file.
	if err := errors.Join(s.files.rename(out.path, s.file()), s.files.syncDir(s.cfg.Dir)); err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	s.cfg.Logger.Warn("broken file replaced", "store", "disk:"+s.cfg.Dir, "kept", kept,
		"jobs", v.jobs, "astray", len(v.late), "places", v.faults.n)
	return nil
}

type salvager struct {
	*Store
	out     *filler
	tree    tree
	sealing sealing // of the broken file
	seen    *bitmap

	lost     []lostSpan
	faults   faults
	jobs     int            // found in the tree
	late     map[uint64]int // jobs found elsewhere: how often each was tried
	sequence uint64         // no job of the tree was above it when it was written
}

// lostSpan is a stretch of a bucket of which something may be missing.
type lostSpan struct {
	bucket string // empty: of all
	keys   span
}

func (v *salvager) run(m meta, why error) error {
	if err := v.walk(m); err != nil {
		return err
	}
	switch {
	case m.high == 0:
		v.lose(place{}, errNoMeta)
	case v.faults.n == 0:
		// The last transaction may be one that can't be seen any more.
		v.lost = append(v.lost, lostSpan{jobsBucket, span{lo: jobKey(v.sequence + 1)}})
		v.faults.add(fault{name: []byte("file"), err: why})
	}
	err := v.scan()
	if err == nil {
		err = v.dropOrphans()
	}
	if err == nil {
		err = v.out.raise(v.sequence)
	}
	if err != nil {
		return err
	}
	v.faults.report(v.Store)
	return v.writeAside(v.faults.list)
}

// lose notes that something is missing at a place.
func (v *salvager) lose(at place, err error) {
	v.lost = append(v.lost, lostSpan{at.bucket, span{bytes.Clone(at.keys.lo), bytes.Clone(at.keys.hi)}})
	name := at.bucket
	if name == "" {
		name = "file"
	}
	v.faults.add(fault{name: []byte(name), page: at.page, err: err})
}

// walk takes what the tree has.
func (v *salvager) walk(m meta) error {
	if m.high == 0 {
		return nil
	}
	w := walk{
		tree: &v.tree, whole: true, seen: v.seen,
		// Those of the others are not above it, whatever may have become of
		// their names.
		bucket: func(_ string, b *bucket) { v.sequence = max(v.sequence, b.sequence) },
		bad:    func(at place, err error) error { v.lose(at, err); return nil },
		leaf:   v.leaf,
	}
	return w.run(m.root)
}

// leaf takes what a leaf of the tree has.
func (v *salvager) leaf(at place, p *page) error {
	for i := range p.count {
		e, ok := p.element(i)
		key, value := p.keyOf(e), p.valueOf(e)
		if !ok || value == nil {
			continue
		}
		name, err := v.classify(key, value)
		if err != nil {
			v.loseEntry(at, key, value, err)
			continue
		}
		v.sealing.renew(name, key, value)
		if string(name) == jobsBucket {
			err = v.takeJobs(at, key, value)
		} else {
			err = v.out.put(name, key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeJobs takes what can be read of an entry of the jobs' bucket.
func (v *salvager) takeJobs(at place, key, value []byte) error {
	p, ok := v.sealing.parsePack(key, value)
	if !ok {
		v.jobs++
		return v.out.put(jobsName, key, value)
	}
	var whole []byte
	for x := range p.all() {
		stretch := value[x.from:x.to]
		if x.record == nil {
			v.loseEntry(at, key, stretch, errChecksum)
			continue
		}
		whole = append(whole, stretch...)
		v.jobs++
	}
	return v.out.put(jobsName, key, whole)
}

// loseEntry notes that an entry, or a part of one, is missing.
func (v *salvager) loseEntry(at place, key, value []byte, err error) {
	v.lost = append(v.lost, lostSpan{at.bucket, span{bytes.Clone(key), append(bytes.Clone(key), 0)}})
	v.faults.add(fault{name: []byte(at.bucket), page: at.page, key: bytes.Clone(key), value: bytes.Clone(value), err: err})
}

// classify says to which bucket an entry belongs: its checksum tells, or that of
// one of the records in it.
func (v *salvager) classify(key, value []byte) (name []byte, err error) {
	for _, name := range [][]byte{bodiesName, extrasName} {
		if _, err := v.sealing.unseal(name, key, value); err == nil {
			return name, nil
		}
	}
	for key, record := range v.sealing.records(key, value) {
		if seq, ok := v.sealing.recordSeq(record); ok && len(key) == 8 && seq == seqOf(key) {
			return jobsName, nil
		}
	}
	return nil, errChecksum
}

// scan takes what is missing from the pages that the tree does not have.
func (v *salvager) scan() error {
	return v.leaves(func(p *page) error {
		for i := range p.count {
			e, ok := p.element(i)
			key, value := p.keyOf(e), p.valueOf(e)
			if !ok || value == nil {
				continue
			}
			if err := v.stray(key, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// leaves calls f for each leaf that the tree does not have. Pages that overflow
// one that is whole are part of it: what a payload has there is no page. One
// that is not in use any more may be written over there.
func (v *salvager) leaves(f func(*page) error) error {
	behind := uint64(0) // the last page that was whole
	for id := uint64(2); id < v.tree.high; id++ {
		if v.seen.has(id) || id < behind {
			continue
		}
		var header [headerSize]byte
		if n, err := v.tree.file.ReadAt(header[:], int64(id)*v.tree.pageSize); n < len(header) {
			if err = readFailed(id, err); isReadError(err) {
				return err
			}
			continue
		}
		if order.Uint64(header[:]) != id || order.Uint16(header[8:]) != flagLeaf {
			continue
		}
		p, err := v.tree.load(id, nil, true)
		if isReadError(err) {
			return err
		}
		if p == nil {
			continue
		}
		if err == nil && v.isWhole(p) {
			behind = id + uint64(p.size/v.tree.pageSize)
		}
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

// isWhole reports whether all of a leaf is as it was written.
func (v *salvager) isWhole(p *page) bool {
	if p.check(span{}, false) != nil {
		return false
	}
	for i := range p.count {
		e, _ := p.element(i)
		if _, err := v.classify(p.keyOf(e), p.valueOf(e)); err != nil {
			return false
		}
	}
	return true
}

// stray takes an entry of a page that the tree does not have, if it is one
// that is missing.
func (v *salvager) stray(key, value []byte) error {
	name, err := v.classify(key, value)
	if err != nil || !v.missing(string(name), key) {
		return nil
	}
	v.sealing.renew(name, key, value)
	if string(name) == jobsBucket {
		for _, record := range v.sealing.records(key, value) {
			if err := v.strayJob(record); err != nil {
				return err
			}
		}
		return nil
	}
	if there, err := v.out.get(name, key); err != nil || there != nil {
		return err
	}
	return v.out.put(name, key, value)
}

// strayJob takes the record of a job that is missing. If there are several, it
// is the one of its last attempt.
func (v *salvager) strayJob(record []byte) error {
	r, _, err := v.sealing.decode(record)
	if err != nil {
		return nil // it is a part that is broken
	}
	there, err := v.out.record(r.Seq)
	if err != nil {
		return err
	}
	attempts, again := v.late[r.Seq]
	if there != nil && (!again || r.Attempts <= attempts) {
		return nil
	}
	v.late[r.Seq] = r.Attempts
	v.sequence = max(v.sequence, r.Seq)
	return v.out.putRecord(r.Seq, record)
}

// missing says whether an entry is one that may have been lost. A piece of a
// payload always is: whether it is wanted, its job decides.
func (v *salvager) missing(name string, key []byte) bool {
	if name == bodiesBucket {
		return true
	}
	for _, l := range v.lost {
		if (l.bucket == "" || l.bucket == name) && l.keys.has(key) {
			return true
		}
	}
	return false
}

// dropOrphans removes the pieces of payloads whose jobs are not there.
func (v *salvager) dropOrphans() error {
	var orphans [][]byte
	bodies, err := v.out.bucket(bodiesName)
	if err != nil {
		return err
	}
	c := bodies.Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		job, err := v.out.writer.get(seqOf(key))
		if err != nil {
			return err
		}
		if len(key) != 12 || job == nil {
			orphans = append(orphans, bytes.Clone(key))
		}
	}
	for _, key := range orphans {
		if err := v.out.delete(bodiesName, key); err != nil {
			return err
		}
	}
	return nil
}
