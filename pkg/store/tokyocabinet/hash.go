//go:build tokyocabinet && cgo

package tokyocabinet

// #cgo LDFLAGS: -ltokyocabinet
// #include <stdlib.h>
// #include <tchdb.h>
import "C"

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// database is an open database of the library. One goroutine at a time uses it.
type database interface {
	put(key string, value []byte) error
	get(key string) ([]byte, error) // nil without a value
	remove(key string) error
	rewind() error
	next() (string, error) // "" after the last
	sync() error
	size() int64
	handle() *os.File // of the same file
	close() error
	// abandon closes the database, but leaves the mark that it is open.
	abandon() error
}

// hash is an open hash database of the library. One goroutine at a time uses it.
type hash struct {
	h *C.TCHDB
	// file is the same file. It stays open as long as the library has it open: closing
	// any descriptor of that file releases the library's lock.
	file *os.File
}

// defaultBuckets is the number of buckets that the library gives a new
// database.
const defaultBuckets = 131071

// openHash opens a database. If it does not exist, openHash makes it with that
// number of buckets.
func openHash(path string, buckets int64) (*hash, error) {
	h := C.tchdbnew()
	// On a full disk, writing to a mapped page without a block ends the process.
	// Header and buckets have blocks from the start.
	C.tchdbsetxmsiz(h, 0)
	C.tchdbtune(h, C.int64_t(buckets), -1, -1, 0)
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if !C.tchdbopen(h, name, C.HDBOWRITER|C.HDBOCREAT|C.HDBOLCKNB) {
		err := fmt.Errorf("open: %w", (&hash{h: h}).err())
		C.tchdbdel(h)
		return nil, err
	}
	d := &hash{h: h}
	if err := d.openFile(path); err != nil {
		return nil, err
	}
	return d, nil
}

// openFile opens the file too. If that fails, it closes the database.
func (d *hash) openFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return errors.Join(err, d.close())
	}
	if d.file != nil {
		_ = d.file.Close()
	}
	d.file = file
	return nil
}

// err returns the library's last error.
func (d *hash) err() error { return errors.New(C.GoString(C.tcerrmsg(C.tchdbecode(d.h)))) }

// withReason adds the error of the system to that of the library, which has no reason:
// for the library, a full disk is a "write error".
func withReason(err, reason error) error {
	if reason == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, reason)
}

func (d *hash) close() error {
	defer C.tchdbdel(d.h)
	var err error
	if !C.tchdbclose(d.h) {
		err = fmt.Errorf("close: %w", d.err())
	}
	if d.file != nil {
		err = errors.Join(err, d.file.Close())
	}
	return err
}

// abandon closes the database, but leaves the mark that it is open.
func (d *hash) abandon() error {
	file, err := os.OpenFile(d.file.Name(), os.O_RDWR, 0)
	if err != nil {
		return errors.Join(err, d.close())
	}
	err = d.close()
	_, markErr := file.WriteAt([]byte{flagOpen}, flagsAt)
	return errors.Join(err, markErr, file.Sync(), file.Close())
}

// put puts a value under a key.
func (d *hash) put(key string, value []byte) error {
	ok, reason := C.tchdbput(d.h, unsafe.Pointer(unsafe.StringData(key)), C.int(len(key)), unsafe.Pointer(unsafe.SliceData(value)), C.int(len(value)))
	if !ok {
		return fmt.Errorf("put: %w", withReason(d.err(), reason))
	}
	return nil
}

// get returns the value under a key, or nil if there is none.
func (d *hash) get(key string) ([]byte, error) {
	var size C.int
	p := C.tchdbget(d.h, unsafe.Pointer(unsafe.StringData(key)), C.int(len(key)), &size)
	if p == nil {
		if C.tchdbecode(d.h) == C.TCENOREC {
			return nil, nil
		}
		return nil, fmt.Errorf("get: %w", d.err())
	}
	defer C.free(p)
	return append(make([]byte, 0, int(size)), unsafe.Slice((*byte)(p), int(size))...), nil
}

// remove removes the value under a key, if there is one.
func (d *hash) remove(key string) error {
	if !C.tchdbout(d.h, unsafe.Pointer(unsafe.StringData(key)), C.int(len(key))) && C.tchdbecode(d.h) != C.TCENOREC {
		return fmt.Errorf("remove: %w", d.err())
	}
	return nil
}

// rewind sets the iterator before the first key.
func (d *hash) rewind() error {
	if !C.tchdbiterinit(d.h) {
		return fmt.Errorf("list: %w", d.err())
	}
	return nil
}

// next returns the iterator's next key, or "" after the last.
func (d *hash) next() (string, error) {
	var size C.int
	p := C.tchdbiternext(d.h, &size)
	if p == nil {
		if C.tchdbecode(d.h) == C.TCENOREC {
			return "", nil
		}
		return "", fmt.Errorf("list: %w", d.err())
	}
	defer C.free(p)
	return C.GoStringN((*C.char)(p), size), nil
}

// sync writes the database to the disk.
func (d *hash) sync() error {
	if !C.tchdbsync(d.h) {
		return fmt.Errorf("sync: %w", d.err())
	}
	return nil
}

// compact writes a new database, without free blocks.
func (d *hash) compact(path string) error {
	if !C.tchdboptimize(d.h, -1, -1, -1, C.UINT8_MAX) {
		return fmt.Errorf("optimize: %w", d.err())
	}
	return d.openFile(path) // it is another file now
}

// size returns the size of the file.
func (d *hash) size() int64 { return int64(C.tchdbfsiz(d.h)) }

func (d *hash) handle() *os.File { return d.file }
