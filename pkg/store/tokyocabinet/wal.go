//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gm/pkg/store/internal/filestore"
)

// The library's log of a transaction has the size of the file before, 8 bytes,
// and then the content of parts of it before they were overwritten: offset, 8
// bytes, size, 4 bytes, and the content. The first part is the header.

// past is a part of a file as it was before a transaction.
type past struct {
	offset  int64
	content []byte
}

// parseLog returns the size of the file before the transaction and the old parts. It
// ignores an incomplete part, which was not overwritten in the file. If the log has no
// header, the transaction has changed nothing, and ok is false.
func parseLog(b []byte, order binary.ByteOrder) (size int64, parts []past, ok bool, err error) {
	if len(b) < 8+12+headerSize {
		return 0, nil, false, nil
	}
	size = int64(order.Uint64(b))
	for b = b[8:]; len(b) >= 12; {
		offset, n := int64(order.Uint64(b)), int64(order.Uint32(b[8:]))
		if offset < 0 || offset > size || n > size-offset {
			return 0, nil, false, fmt.Errorf("a part at %d of %d bytes is not in the file", offset, n)
		}
		if n > int64(len(b)-12) {
			break
		}
		parts = append(parts, past{offset, b[12 : 12+n]})
		b = b[12+n:]
	}
	return size, parts, true, nil
}

// undoTransaction undoes the unfinished transaction of a database, if there is one, and
// empties the log. The library would do it too, but it trusts the log. A damaged log
// stays in its place, and the error wraps errLog.
func undoTransaction(path string) error {
	b, err := os.ReadFile(path + walSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = errors.Join(undoLogged(file, b), file.Close())
	if err != nil {
		return err
	}
	log, err := os.OpenFile(path+walSuffix, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	return errors.Join(datasync(log), log.Close())
}

var errLog = errors.New("log of the last transaction")

// undoLogged undoes the transaction with the log b. Only a database with the mark that
// it is open has an unfinished transaction: without the mark, it was closed since.
func undoLogged(file *os.File, b []byte) error {
	t, err := readTable(file)
	if err != nil || !t.open {
		return err
	}
	size, parts, ok, err := parseLog(b, t.order)
	if err != nil {
		return fmt.Errorf("%w: %w", errLog, err)
	}
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if size > info.Size() {
		return fmt.Errorf("%w: the file had %d bytes and has %d now", errLog, size, info.Size())
	}
	for i := len(parts) - 1; i >= 0; i-- {
		content := parts[i].content
		if i == 0 && parts[i].offset == 0 && len(content) == headerSize {
			// The mark stays until the end, because the log is valid as long as it
			// exists.
			content = append([]byte(nil), content...)
			content[flagsAt] |= flagOpen
		}
		if _, err := file.WriteAt(content, parts[i].offset); err != nil {
			return err
		}
	}
	return errors.Join(file.Truncate(size), file.Sync())
}

// undoLast undoes the unfinished transaction of the database. It sets the log
// of another database aside.
func (s *Store) undoLast() error {
	if !s.isTree {
		return nil
	}
	name := s.path + walSuffix
	size, err := filestore.FileSize(name)
	if err != nil || size < 0 {
		return err
	}
	databaseSize, err := filestore.FileSize(s.path)
	if err != nil {
		return err
	}
	if databaseSize > 0 {
		err = undoTransaction(s.path)
		if !errors.Is(err, errLog) {
			return err
		}
	}
	if size == 0 {
		return os.Remove(name)
	}
	kept := filestore.BrokenName(s.path) + walSuffix
	if failed := errors.Join(os.Rename(name, kept), filestore.SyncDir(filepath.Dir(s.path))); failed != nil {
		return failed
	}
	if err == nil {
		err = fmt.Errorf("%w: the database is missing", errLog)
	}
	s.base.Skip(kept, err)
	return nil
}
