//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"gm/pkg/store"
)

// change is what becomes of a key.
type change struct {
	key   string
	value []byte // nil if the record is removed
}

// journal is a file of batches of changes that are to be made again if the
// database was not closed after them. It begins with
//
//	"gmTJ", 4 bytes
//	version, 4 bytes, little-endian
//	salt, 8 bytes: random, so that no payload can pass for a batch
//	crc32c of these, 4 bytes
//
// and journals of gm's first versions begin with the first batch. Each is
//
//	length of what follows the checksum, 4 bytes, little-endian
//	crc32c of the salt and of it, 4 bytes
//	changes: key and value, each a uvarint length and its bytes; a value's
//	length is one more than it is, and 0 if there is none
type journal struct {
	file *os.File
	size int64
	head []byte
	sum  uint32 // the checksum of the salt
	buf  []byte
}

const (
	journalMagic   = "gmTJ"
	journalVersion = 2
	journalHead    = 4 + 4 + 8 + 4
)

// openJournal opens a new journal, in place of what may be there.
func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f}
	if err := j.makeHead(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// makeHead makes the header with a new salt. The first append writes it: on a
// full disk, there may be no room for it.
func (j *journal) makeHead() error {
	b := binary.LittleEndian.AppendUint32([]byte(journalMagic), journalVersion)
	b = append(b, make([]byte, 8)...)
	if _, err := rand.Read(b[8:]); err != nil {
		return fmt.Errorf("make a salt: %w", err)
	}
	j.sum = store.CRC(0, b[8:])
	j.head = binary.LittleEndian.AppendUint32(b, store.CRC(0, b))
	return nil
}

// cutHeader returns the checksum of the salt in the header of a journal, 0 if it
// has none, and what follows the header.
func cutHeader(b []byte) (sum uint32, batches []byte, err error) {
	if !bytes.HasPrefix(b, []byte(journalMagic)) {
		return 0, b, nil
	}
	if len(b) < journalHead {
		return 0, nil, nil
	}
	head := b[:journalHead]
	if store.CRC(0, head[:16]) != binary.LittleEndian.Uint32(head[16:]) {
		err = errSum
	} else if v := binary.LittleEndian.Uint32(head[4:]); v != journalVersion {
		err = fmt.Errorf("version %d is unknown", v)
	}
	return store.CRC(0, head[8:16]), b[journalHead:], err
}

// append makes changes durable, all or none. After an error that is a
// *store.UncertainError they may be there.
func (j *journal) append(changes []change) error {
	b := j.buf[:0]
	if j.size == 0 {
		b = append(b, j.head...)
	}
	start := len(b)
	b = append(b, make([]byte, 8)...)
	for _, c := range changes {
		b = append(binary.AppendUvarint(b, uint64(len(c.key))), c.key...)
		if c.value == nil {
			b = append(b, 0)
		} else {
			b = append(binary.AppendUvarint(b, uint64(len(c.value))+1), c.value...)
		}
	}
	batch := b[start:]
	binary.LittleEndian.PutUint32(batch, uint32(len(batch)-8))
	binary.LittleEndian.PutUint32(batch[4:], store.CRC(j.sum, batch[8:]))
	if j.buf = b; cap(b) > 4<<20 {
		j.buf = nil
	}
	_, err := j.file.WriteAt(b, j.size)
	if err == nil {
		err = datasync(j.file)
	}
	if err != nil {
		return j.rollback(fmt.Errorf("journal: %w", err))
	}
	j.size += int64(len(b))
	return nil
}

// rollback removes what was not wholly appended, for the reason err.
func (j *journal) rollback(err error) error {
	if undo := errors.Join(j.file.Truncate(j.size), datasync(j.file)); undo != nil {
		return &store.UncertainError{Err: errors.Join(err, undo)}
	}
	return err
}

// reset forgets the batches behind a size; all of them if it is 0.
func (j *journal) reset(size int64) error {
	j.size = size
	return errors.Join(j.file.Truncate(size), datasync(j.file))
}

// remove is the end of the journal.
func (j *journal) remove() error {
	return errors.Join(j.file.Close(), os.Remove(j.file.Name()))
}

// readJournal calls f for every change in a journal, if there is one, and
// damage for every batch that is damaged: the database most likely has it. A
// batch that was not written to its end is none.
func readJournal(path string, f func(change) error, damage func(error)) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	all := int64(len(b))
	sum, b, err := cutHeader(b)
	if err != nil {
		damage(fmt.Errorf("header: %w", err))
	}
	for at := all - int64(len(b)); len(b) >= 8; {
		n := int64(binary.LittleEndian.Uint32(b))
		if n > int64(len(b)-8) {
			return nil
		}
		batch := b[8 : 8+n]
		if store.CRC(sum, batch) != binary.LittleEndian.Uint32(b[4:]) {
			damage(fmt.Errorf("batch at %d: %w", at, errSum))
			batch = nil
		}
		for len(batch) > 0 {
			c, rest, err := parseChange(batch)
			if err != nil {
				return err
			}
			if err := f(c); err != nil {
				return err
			}
			batch = rest
		}
		b, at = b[8+n:], at+8+n
	}
	return nil
}

func parseChange(b []byte) (c change, rest []byte, err error) {
	take := func(less uint64) (part []byte, ok bool) {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size)+less {
			err = io.ErrUnexpectedEOF
			return nil, false
		}
		b = b[size:]
		if n < less {
			return nil, true
		}
		part, b = b[:n-less:n-less], b[n-less:]
		return part, true
	}
	key, ok := take(0)
	if ok {
		c.key = string(key)
		c.value, _ = take(1)
	}
	return c, b, err
}
