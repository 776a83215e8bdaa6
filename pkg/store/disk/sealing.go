package disk

import (
	"bytes"
	"io"
	"iter"
	"math"
	"os"

	bolt "go.etcd.io/bbolt"

	"gm/internal/codec"
	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/internal/filestore"
)

// The checksums of a file. Each record, piece of a payload and extra has a
// checksum, which proves that the store wrote it. A random salt is mixed into
// all of them. It is made with the file, and clients do not know it: nothing in
// a payload passes for a record, even if a search through a broken file meets
// it. The salt is kept where no payload can be: in the file's first two pages
// and in the headers of the log.

// sealing describes the checksums of a file.
type sealing struct {
	salt codec.Salt // 0 in a file of gm's first form that could not get a salt

	// A file of the first form has entries without a salt until they are
	// written again.
	oldJobs   uint64 // the highest number of a job without a salt
	oldExtras bool   // there may be extras without a salt
}

// newSealing returns the sealing of a new file, which has a new salt.
func newSealing() (sealing, error) {
	t, err := codec.NewSalt()
	return sealing{salt: codec.Salt(t) | 1}, err
}

// old reports whether entries without a salt are valid.
func (c sealing) old() bool { return c.salt != 0 && (c.oldJobs > 0 || c.oldExtras) }

// withOld returns c for a file in which any entry may be without a salt.
func (c sealing) withOld() sealing {
	return sealing{salt: c.salt, oldJobs: math.MaxUint64, oldExtras: true}
}

// code returns c as one number: 0 without a salt, otherwise the salt, shifted
// by one bit. That bit is 1 if entries without a salt are valid.
func (c sealing) code() uint64 {
	code := uint64(c.salt) << 1
	if c.old() {
		code |= 1
	}
	return code
}

// sealingOf returns the sealing with that code. The code does not tell which
// entries may be without a salt: all of them, if any.
func sealingOf(code uint64) sealing {
	c := sealing{salt: codec.Salt(code >> 1)}
	if c.salt != 0 && code&1 != 0 {
		return c.withOld()
	}
	return c
}

// readSealing returns the sealing of a file with the tree t and the meta m.
func readSealing(t *boltfile.Tree, m boltfile.Meta) sealing {
	c := sealingOf(m.Tag)
	if !c.old() {
		return c
	}
	if bodies, err := t.Bucket(bodiesBucket); err == nil && bodies.Sequence() > 0 {
		c.oldJobs = bodies.Sequence()
	}
	if extras, err := t.Bucket(extrasBucket); err == nil {
		switch extras.Sequence() {
		case allRenewed:
			return sealing{salt: c.salt}
		case extrasRenewed:
			c.oldExtras = false
		}
	}
	return c
}

// The sequence of the extras' bucket of a file of the first form has one of these
// values after entries got the salt. The sequence of the bodies' bucket is
// sealing.oldJobs.
const (
	extrasRenewed = 1 // all extras have the salt
	allRenewed    = 2 // all entries have the salt
)

// loadSealing reads the sealing of the file. In a file of the first form that
// has got a salt, loadSealing mixes the salt into all checksums, or, if the file
// has more than small bytes, into those of the extras. On a full disk, only
// entries that change get the salt.
func (e *engine) loadSealing(small int64) error {
	for range 2 {
		m, err := e.ReadMeta()
		if err != nil {
			return err
		}
		if e.sealing = readSealing(e.Tree(m), m); !e.sealing.oldExtras {
			return nil
		}
		names, done := [][]byte{extrasName}, uint64(extrasRenewed)
		if int64(m.High)*e.PageSize() <= small {
			names, done = [][]byte{jobsName, bodiesName, extrasName}, allRenewed
		}
		if err := e.renewBuckets(names, done); filestore.IsFull(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// renewBatch is the number of bytes that renewBuckets writes at a time.
const renewBatch = 4 << 20

// renewBuckets mixes the salt into the checksums of all entries of buckets. It
// stores the highest number of a job that may be without the salt, and at the end
// done.
func (e *engine) renewBuckets(names [][]byte, done uint64) error {
	err := e.Update(func(tx *bolt.Tx) error {
		jobs := tx.Bucket(jobsName)
		last, _ := jobs.Cursor().Last()
		return tx.Bucket(bodiesName).SetSequence(max(1, seqOf(last), jobs.Sequence()))
	})
	for _, name := range names {
		for next := []byte{}; next != nil && err == nil; {
			err = e.Update(func(tx *bolt.Tx) (err error) {
				next, err = e.sealing.renewSome(tx.Bucket(name), name, next)
				return err
			})
		}
	}
	if err != nil {
		return err
	}
	return e.Update(func(tx *bolt.Tx) error { return tx.Bucket(extrasName).SetSequence(done) })
}

// renewSome renews entries of a bucket from a key on, and returns the key of the
// next, or nil.
func (c sealing) renewSome(b *bolt.Bucket, name, from []byte) (next []byte, err error) {
	var keys, values [][]byte
	size := 0
	cursor := b.Cursor()
	key, value := cursor.Seek(from)
	for ; key != nil && size < renewBatch; key, value = cursor.Next() {
		value = bytes.Clone(value)
		c.renew(name, key, value)
		keys, values = append(keys, bytes.Clone(key)), append(values, value)
		size += len(value)
	}
	next = bytes.Clone(key)
	for i := range keys {
		if err := b.Put(keys[i], values[i]); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// decode decodes a record as codec.DecodeHead does.
func (c sealing) decode(record []byte) (*store.Record, *codec.Body, error) {
	r, body, err := c.salt.DecodeHead(record)
	if err != nil && c.old() {
		if r, body, err := codec.DecodeHead(record); err == nil && r.Seq <= c.oldJobs {
			return r, body, nil
		}
	}
	return r, body, err
}

// recordSeq returns the number of a record's job. It reports whether the
// checksum matches.
func (c sealing) recordSeq(record []byte) (seq uint64, ok bool) {
	seq, ok = c.salt.RecordSeq(record)
	if !ok && c.old() {
		seq, ok = codec.Salt(0).RecordSeq(record)
		ok = ok && seq <= c.oldJobs
	}
	return seq, ok
}

// unseal returns the data of a sealed value.
func (c sealing) unseal(name, key, value []byte) ([]byte, error) {
	data, salt, err := codec.Unseal(name, key, value)
	switch {
	case err != nil:
		return nil, err
	case salt == c.salt:
		return data, nil
	case salt == 0 && c.old() && (string(name) == extrasBucket && c.oldExtras || string(name) == bodiesBucket && seqOf(key) <= c.oldJobs):
		return data, nil
	}
	return nil, codec.ErrChecksum
}

// renew mixes the salt into the checksums of an entry that match without it.
func (c sealing) renew(name, key, value []byte) {
	switch {
	case !c.old():
	case string(name) == jobsBucket:
		for _, record := range c.records(key, value) {
			if _, ok := c.salt.RecordSeq(record); ok {
				continue
			}
			if _, ok := c.recordSeq(record); ok {
				c.salt.Mix(record)
			}
		}
	default:
		if _, err := c.unseal(name, key, value); err == nil {
			c.salt.ResealValue(name, key, value)
		}
	}
}

// sealEntries makes the checksums of entries from the log, whose own checksums
// matched, anew.
func (c sealing) sealEntries(entries []entry) {
	for i := range entries {
		x := &entries[i]
		switch {
		case len(x.value) < codec.SealSize:
		case x.kind == store.Add:
			c.salt.Reseal(x.value)
		case x.kind == store.Put:
			c.salt.ResealValue(extrasName, x.key, x.value)
		}
	}
}

// records goes through the records of an entry of the jobs' bucket, each with the
// key that it would have alone. A broken stretch has the key of its pack.
func (c sealing) records(key, value []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		p, ok := c.parsePack(key, value)
		if !ok {
			yield(key, value)
			return
		}
		for x := range p.all() {
			at, record := key, value[x.from:x.to]
			if x.record != nil {
				at, record = jobKey(x.seq), x.record
			}
			if !yield(at, record) {
				return
			}
		}
	}
}

// findSealing returns the sealing of a broken file with the meta m. If m is
// broken too, findSealing uses the salt in the headers of the log, or else the
// salt of most records.
func (v *salvager) findSealing(m boltfile.Meta) (c sealing, err error) {
	logged := v.loggedSealing()
	switch {
	case v.wal != nil:
		return v.Store.sealing, nil
	case m.High > 0 && m.Tag != 0:
		if c = readSealing(v.tree, m); logged == (sealing{salt: c.salt}) {
			return logged, nil // the log was begun after all entries got the salt
		}
		return c, nil
	case m.High > 0: // it has the first form, or had it until this transaction
		c = logged.withOld()
	case logged.salt != 0:
		return logged, nil
	default:
		v.base.Log.Warn("salt of the broken file is lost: the salt of most of its records is used")
		if c, err = v.commonSealing(); err != nil {
			return c, err
		}
	}
	if c.salt != 0 {
		return c, nil
	}
	c, err = newSealing() // for the new file
	return c.withOld(), err
}

// loggedSealing returns the sealing in the headers of the log. Its salt is 0 if
// neither header has one.
func (s *Store) loggedSealing() sealing {
	for i := range 2 {
		f, err := os.Open(s.walFile(i))
		if err != nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(f, walHeader))
		_ = f.Close()
		if _, code, whole := parseHeader(b); err == nil && whole && code != 0 {
			return sealingOf(code)
		}
	}
	return sealing{}
}

// commonSealing returns the sealing with the salt of most records of the file.
func (v *salvager) commonSealing() (sealing, error) {
	votes := make(map[codec.Salt]int)
	err := v.strayLeaves(func(p *boltfile.Page) error {
		for i := range p.Len() {
			key, value, ok := p.Entry(i)
			if !ok || value == nil {
				continue
			}
			record := value
			if len(key) == packKeySize { // the first of a pack
				if record, _, ok = codec.CutField(value); !ok {
					continue
				}
			}
			if len(record) < 5 {
				continue
			}
			t := codec.SaltOf(record)
			seq, _ := t.RecordSeq(record)
			if p, ok := v.sealing.parsePack(key, nil); ok && p.spans(seq) || len(key) == 8 && seq == seqOf(key) {
				votes[t]++
			}
		}
		return nil
	})
	var c sealing
	for t, n := range votes {
		if n > votes[c.salt] {
			c.salt = t
		}
	}
	return c, err
}
