//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"gm/internal/codec"
	"gm/pkg/store"
)

// change is a new value for a key.
type change struct {
	key   string
	value []byte // nil if the record is removed
}

// journal is a file of batches of changes. If the database was not closed after a batch,
// its changes must be made again. The file begins with
//
//	"gmTJ", 4 bytes
//	version, 4 bytes, little-endian
//	salt, 8 bytes, random, so that no payload looks like a batch
//	crc32c of these, 4 bytes
//
// Journals of gm's first versions begin with the first batch. A batch is
//
//	length of the changes, 4 bytes, little-endian
//	crc32c of the salt and of the changes, 4 bytes
//	changes: key and value, each a uvarint length and its bytes; for a value, the
//	length plus one, or 0 if the record is removed
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

// openJournal opens a new journal. It replaces an existing one.
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

// makeHead makes the header with a new salt. The first append writes it, because on a
// full disk there may be no room for it.
func (j *journal) makeHead() error {
	b := binary.LittleEndian.AppendUint32([]byte(journalMagic), journalVersion)
	salt, err := codec.NewSalt()
	if err != nil {
		return err
	}
	b = binary.LittleEndian.AppendUint64(b, salt)
	j.sum = codec.CRC(0, b[8:])
	j.head = binary.LittleEndian.AppendUint32(b, codec.CRC(0, b))
	return nil
}

// cutHeader returns the checksum of the salt in the header of a journal, or 0
// if it has none, and the bytes after the header.
func cutHeader(b []byte) (sum uint32, batches []byte, err error) {
	if !bytes.HasPrefix(b, []byte(journalMagic)) {
		return 0, b, nil
	}
	if len(b) < journalHead {
		return 0, nil, nil
	}
	head := b[:journalHead]
	if codec.CRC(0, head[:16]) != binary.LittleEndian.Uint32(head[16:]) {
		err = codec.ErrChecksum
	} else if v := binary.LittleEndian.Uint32(head[4:]); v != journalVersion {
		err = fmt.Errorf("version %d is unknown", v)
	}
	return codec.CRC(0, head[8:16]), b[journalHead:], err
}

// appendBatch makes changes durable, all or none. After a *store.UncertainError, the
// journal may have them.
func (j *journal) appendBatch(changes []change) error {
	b := j.buf[:0]
	if j.size == 0 {
		b = append(b, j.head...)
	}
	start := len(b)
	b = append(b, make([]byte, 8)...)
	for _, c := range changes {
		b = codec.AppendField(b, c.key)
		if c.value == nil {
			b = append(b, 0)
		} else {
			b = append(binary.AppendUvarint(b, uint64(len(c.value))+1), c.value...)
		}
	}
	batch := b[start:]
	binary.LittleEndian.PutUint32(batch, uint32(len(batch)-8))
	binary.LittleEndian.PutUint32(batch[4:], codec.CRC(j.sum, batch[8:]))
	if j.buf = b; cap(b) > 4<<20 {
		j.buf = nil
	}
	_, err := j.file.WriteAt(b, j.size)
	if err == nil {
		err = datasync(j.file)
	}
	if err != nil {
		return j.removeLast(fmt.Errorf("journal: %w", err))
	}
	j.size += int64(len(b))
	return nil
}

// removeLast removes a batch that was not appended completely because of err.
func (j *journal) removeLast(err error) error {
	if undo := errors.Join(j.file.Truncate(j.size), datasync(j.file)); undo != nil {
		return &store.UncertainError{Err: errors.Join(err, undo)}
	}
	return err
}

// truncate removes the batches after a size.
func (j *journal) truncate(size int64) error {
	j.size = size
	return errors.Join(j.file.Truncate(size), datasync(j.file))
}

// closeAndRemove closes and removes the journal.
func (j *journal) closeAndRemove() error {
	return errors.Join(j.file.Close(), os.Remove(j.file.Name()))
}

// readJournal calls f for every change in a journal, if it exists. It calls damage for
// every damaged batch: the database most likely has its changes. It ignores an
// incomplete batch at the end.
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
		if codec.CRC(sum, batch) != binary.LittleEndian.Uint32(b[4:]) {
			damage(fmt.Errorf("batch at %d: %w", at, codec.ErrChecksum))
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

// parseChange returns the change that b begins with, and the rest.
func parseChange(b []byte) (c change, rest []byte, err error) {
	key, b, ok := codec.CutField(b)
	if !ok {
		return c, b, io.ErrUnexpectedEOF
	}
	c.key = string(key)
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size)+1 {
		return c, b, io.ErrUnexpectedEOF
	}
	if b = b[size:]; n == 0 {
		return c, b, nil
	}
	return change{key: c.key, value: b[: n-1 : n-1]}, b[n-1:], nil
}
