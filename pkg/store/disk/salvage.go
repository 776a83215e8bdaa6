package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"gm/internal/codec"
	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/internal/filestore"
)

// salvage replaces f, which is broken, with a new file that has everything that
// can be read from f, and keeps f under another name.
//
// First it goes through the tree and passes by broken pages. Then it searches
// for the missing entries in the pages outside of the tree. Some of these lost
// the page above them; others are old ones, which bbolt has copied or freed. A
// job in an old page may have been done since, so that it counts only if it
// belongs where something is missing.
func (s *Store) salvage(f *os.File, m boltfile.Meta, why error) error {
	s.base.Log.Error("file is broken: its readable part goes into a new file", "file", f.Name(), "err", why)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if m.PageSize == 0 {
		m.PageSize = int64(os.Getpagesize())
	}
	all := m // any page of the file may be in use
	all.High = uint64((info.Size() + m.PageSize - 1) / m.PageSize)
	v := &salvager{
		Store: s,
		tree:  boltfile.NewTree(f, all),
		seen:  boltfile.NewPageSet(all.High),
		late:  make(map[uint64]int),
	}
	if v.sealing, err = v.findSealing(m); err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	out, err := s.newFiller("salvage", sealing{salt: v.sealing.salt})
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	v.out = out
	if err := v.salvageAll(m, why); err != nil {
		out.discard()
		return fmt.Errorf("salvage: %w", err)
	}
	if err := errors.Join(out.syncAll(), out.Close()); err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	kept, err := s.keepBroken(s.file())
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	if err := filestore.KeepMode(out.path, s.file()); err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	// The one step that replaces the broken file.
	if err := errors.Join(s.files.Rename(out.path, s.file()), s.files.SyncDir(s.cfg.Dir)); err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	s.base.Log.Warn("broken file replaced", "kept", kept,
		"jobs", v.jobs, "astray", len(v.late), "places", v.faults.n)
	return nil
}

type salvager struct {
	*Store
	out     *filler
	tree    *boltfile.Tree
	sealing sealing // of the broken file
	seen    *boltfile.PageSet

	lost     []lostSpan
	faults   faults
	jobs     int            // number of jobs in the tree
	late     map[uint64]int // jobs outside of the tree, with their attempts
	sequence uint64         // highest number of a job when the tree was written
}

// lostSpan is a range of keys in which something may be missing.
type lostSpan struct {
	bucket string // empty for all
	keys   boltfile.Span
}

func (v *salvager) salvageAll(m boltfile.Meta, why error) error {
	if err := v.walkTree(m); err != nil {
		return err
	}
	switch {
	case m.High == 0:
		v.addLost(boltfile.Place{}, boltfile.ErrNoMeta)
	case v.faults.n == 0:
		// The last transaction may be one whose meta is broken.
		v.lost = append(v.lost, lostSpan{jobsBucket, boltfile.Span{Low: jobKey(v.sequence + 1)}})
		v.faults.add(fault{name: []byte("file"), err: why})
	}
	err := v.addStrays()
	if err == nil {
		err = v.dropOrphans()
	}
	if err == nil {
		err = v.out.raiseHighest(v.sequence)
	}
	if err != nil {
		return err
	}
	v.faults.reportTo(v.Store)
	return v.writeAside(v.faults.list)
}

// addLost notes that something is missing at a place.
func (v *salvager) addLost(at boltfile.Place, err error) {
	v.lost = append(v.lost, lostSpan{at.Bucket, boltfile.Span{Low: bytes.Clone(at.Keys.Low), High: bytes.Clone(at.Keys.High)}})
	name := at.Bucket
	if name == "" {
		name = "file"
	}
	v.faults.add(fault{name: []byte(name), page: at.Page, err: err})
}

// walkTree copies the entries of the tree.
func (v *salvager) walkTree(m boltfile.Meta) error {
	if m.High == 0 {
		return nil
	}
	w := boltfile.Walk{
		Tree: v.tree, Whole: true, Seen: v.seen,
		// The sequences of the other buckets are never above that of the jobs,
		// so that a broken name does no harm.
		Bucket: func(_ string, b *boltfile.Bucket) { v.sequence = max(v.sequence, b.Sequence()) },
		Bad:    func(at boltfile.Place, err error) error { v.addLost(at, err); return nil },
		Leaf:   v.copyLeaf,
	}
	return w.Run()
}

// copyLeaf copies the entries of a leaf of the tree.
func (v *salvager) copyLeaf(at boltfile.Place, p *boltfile.Page) error {
	for i := range p.Len() {
		key, value, ok := p.Entry(i)
		if !ok || value == nil {
			continue
		}
		name, err := v.classify(key, value)
		if err != nil {
			v.addLostEntry(at, key, value, err)
			continue
		}
		v.sealing.renew(name, key, value)
		if string(name) == jobsBucket {
			err = v.copyJobs(at, key, value)
		} else {
			err = v.out.put(name, key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyJobs copies the readable records of an entry of the jobs' bucket.
func (v *salvager) copyJobs(at boltfile.Place, key, value []byte) error {
	p, ok := v.sealing.parsePack(key, value)
	if !ok {
		v.jobs++
		return v.out.put(jobsName, key, value)
	}
	// The key may have changed, and could overlap that of another entry now. The new
	// one is of the records, which have checksums.
	var whole pack
	for x := range p.all() {
		stretch := value[x.from:x.to]
		if x.record == nil {
			v.addLostEntry(at, key, stretch, codec.ErrChecksum)
			continue
		}
		if len(whole.records) == 0 {
			whole.first = x.seq
		}
		whole.last, whole.records = x.seq, append(whole.records, stretch...)
		v.jobs++
	}
	if len(whole.records) == 0 {
		return nil
	}
	return v.out.put(jobsName, whole.key(), whole.records)
}

// addLostEntry notes that an entry, or a part of it, is missing.
func (v *salvager) addLostEntry(at boltfile.Place, key, value []byte, err error) {
	v.lost = append(v.lost, lostSpan{at.Bucket, boltfile.Span{Low: bytes.Clone(key), High: append(bytes.Clone(key), 0)}})
	v.faults.add(fault{name: []byte(at.Bucket), page: at.Page, key: bytes.Clone(key), value: bytes.Clone(value), err: err})
}

// classify returns the bucket of an entry: the one for which its checksum, or
// that of one of its records, matches.
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
	return nil, codec.ErrChecksum
}

// addStrays copies missing entries from the pages outside of the tree.
func (v *salvager) addStrays() error {
	return v.strayLeaves(func(p *boltfile.Page) error {
		for i := range p.Len() {
			key, value, ok := p.Entry(i)
			if !ok || value == nil {
				continue
			}
			if err := v.addStray(key, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// strayLeaves calls f for each leaf outside of the tree.
func (v *salvager) strayLeaves(f func(*boltfile.Page) error) error {
	return v.tree.Strays(v.seen, v.isWhole, f)
}

// isWhole reports whether all entries of a leaf are as they were written.
func (v *salvager) isWhole(p *boltfile.Page) bool {
	for i := range p.Len() {
		key, value, _ := p.Entry(i)
		if _, err := v.classify(key, value); err != nil {
			return false
		}
	}
	return true
}

// addStray copies an entry of a page outside of the tree, if it may be missing.
func (v *salvager) addStray(key, value []byte) error {
	name, err := v.classify(key, value)
	if err != nil || !v.isMissing(string(name), key) {
		return nil
	}
	v.sealing.renew(name, key, value)
	if string(name) == jobsBucket {
		for _, record := range v.sealing.records(key, value) {
			if err := v.addStrayJob(record); err != nil {
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

// addStrayJob copies the record of a job that is missing. Of several records of a
// job, the one with the most attempts counts.
func (v *salvager) addStrayJob(record []byte) error {
	r, _, err := v.sealing.decode(record)
	if err != nil {
		return nil // a broken stretch
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

// isMissing reports whether an entry may have been lost. It is true for each
// piece of a payload: dropOrphans removes those without a job.
func (v *salvager) isMissing(name string, key []byte) bool {
	if name == bodiesBucket {
		return true
	}
	for _, l := range v.lost {
		if (l.bucket == "" || l.bucket == name) && l.keys.Has(key) {
			return true
		}
	}
	return false
}

// dropOrphans removes the pieces of payloads whose jobs are not in the file.
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
		if len(key) != pieceKeySize || job == nil {
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
