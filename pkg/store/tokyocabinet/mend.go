//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"errors"
	"os"
)

// mend closes a hash database that was not closed, without a new file, because the disk
// has no room for one. Every record must be valid, and there must be room for the
// changes that only the journal has. Otherwise mend returns an error, and leaves the
// database and the journal usable.
func (s *Store) mend(t *table) error {
	t.recount = true
	if err := t.verify(func(_ *record, x *entry) { s.noteNumber(x) }); err != nil {
		return err
	}
	var changes []change
	add := func(c change) error { changes = append(changes, c); return nil }
	var damage error
	err := readJournal(s.path+".journal", add, func(err error) { damage = err })
	if err = errors.Join(err, damage); err != nil {
		return err
	}
	for key, old := range s.undo {
		changes = append(changes, change{key, old})
	}
	if err := t.writeCounts(); err != nil {
		return err
	}
	d, err := openHash(s.path, defaultBuckets)
	if err != nil {
		return err
	}
	if err := errors.Join(s.makeMissing(d, changes), d.sync()); err != nil {
		return errors.Join(err, d.abandon())
	}
	if err := os.Truncate(s.path+".journal", 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, d.abandon())
	}
	s.base.Log.Warn("the disk is full: the database was closed without a new file")
	return d.close()
}

// makeMissing makes the changes that a database does not have yet.
func (s *Store) makeMissing(d *hash, changes []change) error {
	for _, c := range changes {
		current, err := d.get(c.key)
		switch {
		case err != nil:
			return err
		case c.value == nil:
			err = d.remove(c.key)
		default:
			x, wrong := decode([]byte(c.key), c.value)
			if wrong != nil {
				return wrong
			}
			s.noteNumber(x)
			if !bytes.Equal(current, c.value) {
				err = d.put(c.key, c.value)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
