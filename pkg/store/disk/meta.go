package disk

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// A bbolt file begins with two pages that take turns: a transaction with an
// even number writes the first, an odd one the second, and the higher of the
// two that are whole counts. Behind the page's header:
//
//	magic 4, version 4, page size 4, flags 4, root bucket 16, freelist's page 8,
//	high water mark 8, transaction 8, FNV-1a of that 8
const (
	metaSize  = 64
	metaMagic = 0xED0CDAED
	metaVers  = 2

	flagMeta   = 0x04
	noFreelist = ^uint64(0)
)

// meta is what one of the two pages says.
type meta struct {
	pageSize   int64
	root       uint64
	sealing    uint64 // the code of a sealing. For bbolt it is the sequence of the root bucket, which it never changes
	freelist   uint64
	high       uint64
	tx         uint64
	wasDamaged bool // one byte was wrong, and is known
}

func metaSum(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b[:metaSize-8])
	return h.Sum64()
}

// parseMeta takes a meta off b.
func parseMeta(b []byte) (meta, bool) {
	b = b[:metaSize]
	if order.Uint32(b) != metaMagic || order.Uint32(b[4:]) != metaVers || order.Uint64(b[56:]) != metaSum(b) {
		return meta{}, false
	}
	m := meta{
		pageSize: int64(order.Uint32(b[8:])),
		root:     order.Uint64(b[16:]),
		sealing:  order.Uint64(b[24:]),
		freelist: order.Uint64(b[32:]),
		high:     order.Uint64(b[40:]),
		tx:       order.Uint64(b[48:]),
	}
	return m, m.pageSize >= 1024 && m.pageSize <= 1<<24 && m.pageSize&(m.pageSize-1) == 0 && m.root < m.high && m.high < 1<<48
}

// repairMeta is parseMeta of bytes of which one may be wrong: its checksum of
// 64 bits says which, and what it was.
func repairMeta(b []byte) (meta, bool) {
	if m, ok := parseMeta(b); ok {
		return m, true
	}
	try := append([]byte(nil), b[:metaSize]...)
	for i := range try {
		was := try[i]
		for v := range 256 {
			try[i] = byte(v)
			if m, ok := parseMeta(try); ok {
				m.wasDamaged = true
				return m, true
			}
		}
		try[i] = was
	}
	return meta{}, false
}

// appendMeta appends the page that bbolt would write for m.
func appendMeta(m meta) []byte {
	b := make([]byte, m.pageSize)
	order.PutUint64(b, m.tx%2)
	order.PutUint16(b[8:], flagMeta)
	c := b[headerSize:]
	order.PutUint32(c, metaMagic)
	order.PutUint32(c[4:], metaVers)
	order.PutUint32(c[8:], uint32(m.pageSize))
	order.PutUint64(c[16:], m.root)
	order.PutUint64(c[24:], m.sealing)
	order.PutUint64(c[32:], m.freelist)
	order.PutUint64(c[40:], m.high)
	order.PutUint64(c[48:], m.tx)
	order.PutUint64(c[56:], metaSum(c))
	return b
}

// errNoMeta is the error of a file without either meta page.
var errNoMeta = errors.New("both of its first pages are broken")

// readMeta returns the meta that counts. If there is an error too, another may
// have counted, which can't be read. A *readError is the only result.
func readMeta(f io.ReaderAt) (meta, error) {
	var b [headerSize + metaSize]byte
	var metas [2]meta
	var ok [2]bool
	if n, err := f.ReadAt(b[:], 0); n == len(b) {
		metas[0], ok[0] = repairMeta(b[headerSize:])
	} else if err = readFailed(0, err); isReadError(err) {
		return meta{}, err
	}
	// Where the second is depends on the first.
	sizes := []int64{int64(os.Getpagesize()), 4096, 1024, 2048, 8192, 16384, 32768, 65536}
	if ok[0] {
		sizes = []int64{metas[0].pageSize}
	}
	for _, size := range sizes {
		if n, err := f.ReadAt(b[:], size); n == len(b) && !ok[1] {
			metas[1], ok[1] = repairMeta(b[headerSize:])
		} else if err = readFailed(1, err); n < len(b) && isReadError(err) {
			return meta{}, err
		}
	}
	switch {
	case ok[0] && ok[1]:
		if metas[1].tx > metas[0].tx {
			return metas[1], nil
		}
		return metas[0], nil
	case ok[0]:
		return metas[0], fmt.Errorf("page 1 is broken")
	case ok[1]:
		return metas[1], fmt.Errorf("page 0 is broken")
	}
	return meta{}, errNoMeta
}

// writeFreelist writes the list of free pages behind all others, and a meta
// that says so, as a transaction of bbolt would. So bbolt, which would go
// through the whole mapped file for it, need not.
func writeFreelist(files *fsys, f *os.File, m meta, used *bitmap) (meta, error) {
	var free []uint64
	for id := uint64(2); id < m.high; id++ {
		if !used.has(id) {
			free = append(free, id)
		}
	}
	const manyIDs = 0xFFFF // in the header's count: the true count comes first
	size := int64(headerSize + 8*(len(free)+1))
	pages := (size + m.pageSize - 1) / m.pageSize
	b := make([]byte, pages*m.pageSize)
	order.PutUint64(b, m.high)
	order.PutUint16(b[8:], flagFreelist)
	order.PutUint32(b[12:], uint32(pages-1))
	ids := b[headerSize:]
	if len(free) < manyIDs {
		order.PutUint16(b[10:], uint16(len(free)))
	} else {
		order.PutUint16(b[10:], manyIDs)
		order.PutUint64(ids, uint64(len(free)))
		ids = ids[8:]
	}
	for i, id := range free {
		order.PutUint64(ids[8*i:], id)
	}
	if err := files.writeAt(f, b, int64(m.high)*m.pageSize); err != nil {
		return m, err
	}
	if err := files.sync(f); err != nil {
		return m, err
	}
	next := m
	next.freelist, next.high, next.tx = m.high, m.high+uint64(pages), m.tx+1
	if err := files.writeAt(f, appendMeta(next), int64(next.tx%2)*m.pageSize); err != nil {
		return m, err
	}
	return next, files.sync(f)
}
