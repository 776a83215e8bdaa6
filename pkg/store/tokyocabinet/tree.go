//go:build tokyocabinet && cgo

package tokyocabinet

// #include <stdlib.h>
// #include <tcbdb.h>
//
// // detach marks a database as read-only and not in a transaction, so that closing it
// // changes no file.
// static void detach(TCBDB *b) {
//   b->wmode = false;
//   b->tran = false;
//   free(b->rbopaque);
//   b->rbopaque = NULL;
//   b->hdb->omode = HDBOREADER;
//   b->hdb->tran = false;
//   b->hdb->fatal = true; // otherwise closing removes the log
// }
import "C"

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// walSuffix is the suffix of the library's log of a transaction.
const walSuffix = ".wal"

// tree is an open B+ tree database of the library. One goroutine at a time uses
// it. The library holds changed pages in memory and writes them in any order. Therefore
// changes are made in transactions: the library's log has the old content of each part
// of the file that a transaction overwrites.
type tree struct {
	b    *C.TCBDB
	cur  *C.BDBCUR
	last string // the last key that next returned

	file *os.File // the same file, as in hash
	wal  *os.File // the log of the transactions, nil in a new database

	head []byte // header and buckets as they were before the transaction
}

// Numbers of pages that the library caches. A page has up to 16 KiB of small records, or
// one large record.
const (
	cachedLeaves = 128
	cachedNodes  = 128
)

// treeBuckets is the number of buckets that the library gives a new B+ tree
// database.
const treeBuckets = 32749

// openTree opens a database. If it does not exist, openTree makes it with that
// number of buckets.
func openTree(path string, buckets int64) (*tree, error) {
	b := C.tcbdbnew()
	C.tcbdbsetxmsiz(b, 0) // as in openHash
	C.tcbdbsetcache(b, cachedLeaves, cachedNodes)
	C.tcbdbtune(b, -1, -1, C.int64_t(buckets), -1, -1, 0)
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	d := &tree{b: b}
	if !C.tcbdbopen(b, name, C.BDBOWRITER|C.BDBOCREAT|C.BDBOLCKNB|C.BDBOTSYNC) {
		err := fmt.Errorf("open: %w", d.err())
		C.tcbdbdel(b)
		return nil, err
	}
	d.cur = C.tcbdbcurnew(b)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	d.file = file
	return d, nil
}

// openLog creates the log of the transactions for its owner only: the library would
// create it for everybody.
func (d *tree) openLog() error {
	wal, err := os.OpenFile(d.file.Name()+walSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	d.wal = wal
	return err
}

// err returns the library's last error.
func (d *tree) err() error { return errors.New(C.GoString(C.tcerrmsg(C.tcbdbecode(d.b)))) }

func (d *tree) close() error {
	if d.cur != nil {
		C.tcbdbcurdel(d.cur)
	}
	defer C.tcbdbdel(d.b)
	var err error
	if !C.tcbdbclose(d.b) {
		err = fmt.Errorf("close: %w", d.err())
	}
	if d.file != nil {
		err = errors.Join(err, d.file.Close())
	}
	if d.wal != nil {
		err = errors.Join(err, d.wal.Close())
		if err == nil { // the library removes it only after a transaction
			if e := os.Remove(d.wal.Name()); !errors.Is(e, os.ErrNotExist) {
				err = e
			}
		}
	}
	return err
}

// abandon leaves the files in the state in which the end of the process leaves them.
func (d *tree) abandon() error {
	C.detach(d.b)
	C.tcbdbcurdel(d.cur)
	C.tcbdbclose(d.b)
	C.tcbdbdel(d.b)
	err := d.file.Close()
	if d.wal != nil {
		err = errors.Join(err, d.wal.Close())
	}
	return err
}

// reserve reserves room for a transaction with that number of changes: for its
// log and, if it puts records, for pages that move.
func (d *tree) reserve(changes int, room int64, puts bool) error {
	const perPage = 40 << 10 // two versions of a leaf, and a part of a node
	pages := min(int64(changes)*perPage, 2*d.size())
	if err := reserve(d.wal, 0, 64<<10+pages); err != nil {
		return err
	}
	if !puts {
		return nil
	}
	return reserve(d.file, d.size(), 64<<10+room+room/4+pages/2)
}

// begin begins a transaction. Without one, only changes are allowed that move no record
// from one page to another.
func (d *tree) begin() error {
	t, err := readTable(d.file)
	if err != nil {
		return err
	}
	if t.damage != nil {
		return t.damage
	}
	size := int(headerSize + t.buckets*t.wide)
	if cap(d.head) < size {
		d.head = make([]byte, size)
	}
	d.head = d.head[:size]
	if _, err := d.file.ReadAt(d.head, 0); err != nil {
		return err
	}
	if ok, reason := C.tcbdbtranbegin(d.b); !ok {
		return fmt.Errorf("begin a transaction: %w", withReason(d.err(), reason))
	}
	return nil
}

// commit ends a transaction and writes it to the disk. A transaction ends when its log
// becomes empty.
func (d *tree) commit() error {
	if ok, reason := C.tcbdbtrancommit(d.b); !ok {
		return fmt.Errorf("commit: %w", withReason(d.err(), reason))
	}
	return nil
}

// rollBack undoes a failed transaction, and closes the database. The library ignores a
// failure to write a bucket to its log, so rollBack restores the buckets from a copy.
func (d *tree) rollBack() error {
	path := d.file.Name()
	if err := d.abandon(); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(d.head, 0)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return undoTransaction(path)
}

// put puts a value under a key.
func (d *tree) put(key string, value []byte) error {
	ok, reason := C.tcbdbput(d.b, unsafe.Pointer(unsafe.StringData(key)), C.int(len(key)), unsafe.Pointer(unsafe.SliceData(value)), C.int(len(value)))
	if !ok {
		return fmt.Errorf("put: %w", withReason(d.err(), reason))
	}
	return nil
}

// get returns the value under a key, or nil if there is none.
func (d *tree) get(key string) ([]byte, error) {
	var size C.int
	p := C.tcbdbget(d.b, unsafe.Pointer(unsafe.StringData(key)), C.int(len(key)), &size)
	if p == nil {
		if C.tcbdbecode(d.b) == C.TCENOREC {
			return nil, nil
		}
		return nil, fmt.Errorf("get: %w", d.err())
	}
	defer C.free(p)
	return append(make([]byte, 0, int(size)), unsafe.Slice((*byte)(p), int(size))...), nil
}

// remove removes the value under a key, if there is one.
func (d *tree) remove(key string) error {
	if !C.tcbdbout(d.b, unsafe.Pointer(unsafe.StringData(key)), C.int(len(key))) && C.tcbdbecode(d.b) != C.TCENOREC {
		return fmt.Errorf("remove: %w", d.err())
	}
	return nil
}

// rewind sets the iterator before the first key.
func (d *tree) rewind() error {
	d.last = ""
	return nil
}

// next returns the first key after the one that it returned last, or "" after
// the last.
func (d *tree) next() (string, error) {
	from := d.last + "\x00"
	if d.last == "" {
		from = "\x00"
	}
	if !C.tcbdbcurjump(d.cur, unsafe.Pointer(unsafe.StringData(from)), C.int(len(from))) {
		return "", d.endOr("list")
	}
	var size C.int
	p := C.tcbdbcurkey(d.cur, &size)
	if p == nil {
		return "", d.endOr("list")
	}
	defer C.free(p)
	d.last = C.GoStringN((*C.char)(p), size)
	return d.last, nil
}

// endOr returns the library's last error, or nil if it is that there are no more
// records.
func (d *tree) endOr(operation string) error {
	if C.tcbdbecode(d.b) == C.TCENOREC {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, d.err())
}

// sync writes the database to the disk, also within a transaction.
func (d *tree) sync() error {
	if ok, reason := C.tcbdbmemsync(d.b, true); !ok {
		return fmt.Errorf("sync: %w", withReason(d.err(), reason))
	}
	return nil
}

// size returns the size of the file.
func (d *tree) size() int64 { return int64(C.tcbdbfsiz(d.b)) }

func (d *tree) handle() *os.File { return d.file }
