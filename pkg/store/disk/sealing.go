package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"math"
	"os"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
)

// The checksums of a file. Each record, piece of a payload and extra has one,
// which proves that the store wrote it. A random salt is mixed into all of them:
// it is made with the file, and nobody who submits a job knows it, so that
// nothing in a payload passes for a record, wherever a search in a broken file
// leads. The salt is kept where no payload can be: in the file's first two pages
// and in the headers of the log.

// sealing says how the checksums of a file are made.
type sealing struct {
	salt store.Salt // 0 in a file of gm's first form that could not be given one

	// A file of the first form has entries without a salt for as long as they
	// are not written again.
	oldJobs   uint64 // jobs without a salt have this number at most
	oldExtras bool   // there may be extras without a salt
}

// newSealing returns the sealing of a new file, which has a new salt.
func newSealing() (sealing, error) {
	t, err := newSalt()
	return sealing{salt: store.Salt(t) | 1}, err
}

// old reports whether entries without a salt count.
func (c sealing) old() bool { return c.salt != 0 && (c.oldJobs > 0 || c.oldExtras) }

// withOld returns c of a file of which any entry may be without a salt.
func (c sealing) withOld() sealing {
	return sealing{salt: c.salt, oldJobs: math.MaxUint64, oldExtras: true}
}

// code returns c as one number: 0 without a salt, else the salt, shifted by a
// bit that says whether entries without it count.
func (c sealing) code() uint64 {
	code := uint64(c.salt) << 1
	if c.old() {
		code |= 1
	}
	return code
}

// sealingOf returns the sealing with that code. Which entries may be without a
// salt is not known: all of them, if any.
func sealingOf(code uint64) sealing {
	c := sealing{salt: store.Salt(code >> 1)}
	if c.salt != 0 && code&1 != 0 {
		return c.withOld()
	}
	return c
}

// readSealing returns the sealing of a file whose first page is m.
func (t *tree) readSealing(m meta) sealing {
	c := sealingOf(m.sealing)
	if !c.old() {
		return c
	}
	if bodies, err := t.bucket(m.root, bodiesBucket); err == nil && bodies.sequence > 0 {
		c.oldJobs = bodies.sequence
	}
	if extras, err := t.bucket(m.root, extrasBucket); err == nil {
		switch extras.sequence {
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
	extrasRenewed = 1 // no extra is without the salt
	allRenewed    = 2 // no entry is
)

// readSealing reads the sealing of the file. One of the first form that has got a
// salt has it in the checksums of all entries after that, or, if it is larger
// than small bytes, of all extras. On a full disk it has it in those that change.
func (e *engine) readSealing(small int64) error {
	for range 2 {
		m, err := readMeta(e.file)
		if err != nil {
			return err
		}
		t := tree{file: e.file, pageSize: e.pageSize, high: m.high}
		if e.sealing = t.readSealing(m); !e.sealing.oldExtras {
			return nil
		}
		names, done := [][]byte{extrasName}, uint64(extrasRenewed)
		if int64(m.high)*e.pageSize <= small {
			names, done = [][]byte{jobsName, bodiesName, extrasName}, allRenewed
		}
		if err := e.renew(names, done); full(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// renewBatch is how many bytes are written anew at a time.
const renewBatch = 4 << 20

// renew mixes the salt into the checksums of all entries of buckets, and keeps up
// to which number other jobs may be without it, and that it is done.
func (e *engine) renew(names [][]byte, done uint64) error {
	err := e.update(func(tx *bolt.Tx) error {
		jobs := tx.Bucket(jobsName)
		last, _ := jobs.Cursor().Last()
		return tx.Bucket(bodiesName).SetSequence(max(1, seqOf(last), jobs.Sequence()))
	})
	for _, name := range names {
		for next := []byte{}; next != nil && err == nil; {
			err = e.update(func(tx *bolt.Tx) (err error) {
				next, err = e.sealing.renewSome(tx.Bucket(name), name, next)
				return err
			})
		}
	}
	if err != nil {
		return err
	}
	return e.update(func(tx *bolt.Tx) error { return tx.Bucket(extrasName).SetSequence(done) })
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

// decode decodes a record as store.DecodeHead does.
func (c sealing) decode(record []byte) (*store.Record, *store.Body, error) {
	r, body, err := c.salt.DecodeHead(record)
	if err != nil && c.old() {
		if r, body, err := store.DecodeHead(record); err == nil && r.Seq <= c.oldJobs {
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
		seq, ok = store.Salt(0).RecordSeq(record)
		ok = ok && seq <= c.oldJobs
	}
	return seq, ok
}

// A sealed value begins with the CRC-32C of its bucket's name, its key and the
// rest, with the salt, 4 bytes, little-endian.
const sealSize = 4

func sealOf(name, key, data []byte) uint32 {
	sum := store.CRC(0, name)
	sum = store.CRC(sum, key)
	return store.CRC(sum, data)
}

func (c sealing) appendSealed(dst, name, key, data []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, sealOf(name, key, data)^uint32(c.salt))
	return append(dst, data...)
}

// unseal returns what is in a sealed value.
func (c sealing) unseal(name, key, value []byte) ([]byte, error) {
	if len(value) < sealSize {
		return nil, errors.New("shorter than a checksum")
	}
	data := value[sealSize:]
	switch binary.LittleEndian.Uint32(value) ^ sealOf(name, key, data) {
	case uint32(c.salt):
		return data, nil
	case 0:
		if c.old() && (string(name) == extrasBucket && c.oldExtras || string(name) == bodiesBucket && seqOf(key) <= c.oldJobs) {
			return data, nil
		}
	}
	return nil, errChecksum
}

// renew mixes the salt into the checksums of an entry that are right without it.
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
		if data, err := c.unseal(name, key, value); err == nil {
			binary.LittleEndian.PutUint32(value, sealOf(name, key, data)^uint32(c.salt))
		}
	}
}

// sealEntries makes the checksums of entries that were read from the log, and
// are right, anew.
func (c sealing) sealEntries(entries []entry) {
	for i := range entries {
		x := &entries[i]
		switch {
		case len(x.value) < sealSize:
		case x.kind == store.Add:
			binary.LittleEndian.PutUint32(x.value, store.CRC(0, x.value[4:])^uint32(c.salt))
		case x.kind == store.Put:
			binary.LittleEndian.PutUint32(x.value, sealOf(extrasName, x.key, x.value[sealSize:])^uint32(c.salt))
		}
	}
}

// records goes through the records of an entry of the jobs' bucket, each under
// the key that it would have alone. A stretch that is broken is under the
// pack's.
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

// findSealing returns the sealing of a broken file whose first page is m. If m is
// broken too, findSealing takes the salt from the headers of the log, or else the
// salt that most records have.
func (v *salvager) findSealing(m meta) (c sealing, err error) {
	logged := v.loggedSealing()
	switch {
	case v.wal != nil:
		return v.Store.sealing, nil
	case m.high > 0 && m.sealing != 0:
		if c = v.tree.readSealing(m); logged == (sealing{salt: c.salt}) {
			return logged, nil // the log was begun after all entries got the salt
		}
		return c, nil
	case m.high > 0: // it is of the first form, or was until this transaction
		c = logged.withOld()
	case logged.salt != 0:
		return logged, nil
	default:
		v.cfg.Logger.Warn("salt of the broken file is lost: the salt of most of its records is used", "store", "disk:"+v.cfg.Dir)
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

// loggedSealing returns the sealing that the headers of the log have. Its salt
// is 0 if neither has one.
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

// commonSealing returns the sealing with the salt that most records of the file
// seem to have.
func (v *salvager) commonSealing() (sealing, error) {
	votes := make(map[store.Salt]int)
	err := v.leaves(func(p *page) error {
		for i := range p.count {
			e, ok := p.element(i)
			key, value := p.keyOf(e), p.valueOf(e)
			if !ok || value == nil {
				continue
			}
			record := value
			if len(key) == packKeySize { // the first of a pack
				size, n := binary.Uvarint(value)
				if n <= 0 || size > uint64(len(value)-n) {
					continue
				}
				record = value[n : n+int(size)]
			}
			if len(record) < 5 {
				continue
			}
			t := store.Salt(binary.LittleEndian.Uint32(record) ^ store.CRC(0, record[4:]))
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
