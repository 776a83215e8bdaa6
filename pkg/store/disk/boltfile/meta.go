package boltfile

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"gm/pkg/store/disk/fsys"
	"gm/pkg/store/internal/filestore"
)

// A bbolt file begins with two pages that are written in turn: a transaction
// with an even number writes the first, an odd one the second. The page with the
// higher number that is whole counts. After the page's header:
//
//	magic 4, version 4, page size 4, flags 4, root bucket 16, freelist's page 8,
//	high water mark 8, transaction 8, FNV-1a of that 8
const (
	metaSize  = 64
	metaMagic = 0xED0CDAED
	metaVers  = 2

	flagMeta = 0x04
)

// Meta is the content of one of the first two pages.
type Meta struct {
	PageSize int64
	Root     uint64 // the page of the tree of buckets
	// Tag is a number for the user of the file. For bbolt it is the sequence of
	// the root bucket, which bbolt never changes.
	Tag      uint64
	Freelist uint64 // the page with the list of free pages
	High     uint64 // above all pages in use
	Tx       uint64 // the number of the transaction
	// WasDamaged means that one byte was wrong, and was corrected.
	WasDamaged bool
}

func metaSum(b []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(b[:metaSize-8])
	return h.Sum64()
}

// parseMeta parses a meta. It reports whether the meta is whole.
func parseMeta(b []byte) (Meta, bool) {
	b = b[:metaSize]
	if order.Uint32(b) != metaMagic || order.Uint32(b[4:]) != metaVers || order.Uint64(b[56:]) != metaSum(b) {
		return Meta{}, false
	}
	m := Meta{
		PageSize: int64(order.Uint32(b[8:])),
		Root:     order.Uint64(b[16:]),
		Tag:      order.Uint64(b[24:]),
		Freelist: order.Uint64(b[32:]),
		High:     order.Uint64(b[40:]),
		Tx:       order.Uint64(b[48:]),
	}
	return m, m.PageSize >= 1024 && m.PageSize <= 1<<24 && m.PageSize&(m.PageSize-1) == 0 && m.Root < m.High && m.High < 1<<48
}

// repairMeta is parseMeta for bytes of which one may be wrong: the checksum of
// 64 bits tells which byte it is, and its value.
func repairMeta(b []byte) (Meta, bool) {
	if m, ok := parseMeta(b); ok {
		return m, true
	}
	try := append([]byte(nil), b[:metaSize]...)
	for i := range try {
		was := try[i]
		for v := range 256 {
			try[i] = byte(v)
			if m, ok := parseMeta(try); ok {
				m.WasDamaged = true
				return m, true
			}
		}
		try[i] = was
	}
	return Meta{}, false
}

// appendMeta appends the page that bbolt would write for m.
func appendMeta(m Meta) []byte {
	b := make([]byte, m.PageSize)
	order.PutUint64(b, m.Tx%2)
	order.PutUint16(b[8:], flagMeta)
	c := b[HeaderSize:]
	order.PutUint32(c, metaMagic)
	order.PutUint32(c[4:], metaVers)
	order.PutUint32(c[8:], uint32(m.PageSize))
	order.PutUint64(c[16:], m.Root)
	order.PutUint64(c[24:], m.Tag)
	order.PutUint64(c[32:], m.Freelist)
	order.PutUint64(c[40:], m.High)
	order.PutUint64(c[48:], m.Tx)
	order.PutUint64(c[56:], metaSum(c))
	return b
}

// ErrNoMeta is returned by ReadMeta if neither of the first two pages is whole.
var ErrNoMeta = errors.New("both of its first pages are broken")

// ReadMeta returns the meta that counts. If it returns an error too, the other
// page, which is broken, may have counted. If IsReadError reports true for the
// error, the meta is not valid.
func ReadMeta(f io.ReaderAt) (Meta, error) {
	var b [HeaderSize + metaSize]byte
	var metas [2]Meta
	var ok [2]bool
	if n, err := f.ReadAt(b[:], 0); n == len(b) {
		metas[0], ok[0] = repairMeta(b[HeaderSize:])
	} else if err = readFailed(0, err); IsReadError(err) {
		return Meta{}, err
	}
	// The place of the second depends on the page size, which is in the first.
	sizes := []int64{int64(os.Getpagesize()), 4096, 1024, 2048, 8192, 16384, 32768, 65536}
	if ok[0] {
		sizes = []int64{metas[0].PageSize}
	}
	for _, size := range sizes {
		if n, err := f.ReadAt(b[:], size); n == len(b) && !ok[1] {
			metas[1], ok[1] = repairMeta(b[HeaderSize:])
		} else if err = readFailed(1, err); n < len(b) && IsReadError(err) {
			return Meta{}, err
		}
	}
	switch {
	case ok[0] && ok[1]:
		if metas[1].Tx > metas[0].Tx {
			return metas[1], nil
		}
		return metas[0], nil
	case ok[0]:
		return metas[0], errors.New("page 1 is broken")
	case ok[1]:
		return metas[1], errors.New("page 0 is broken")
	}
	return Meta{}, ErrNoMeta
}

// Create makes a new file with an empty tree, as bbolt would, and with tag in
// the first two pages. It fails if the file exists.
func Create(files *fsys.FS, path string, tag uint64) error {
	f, err := files.Open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	m := Meta{PageSize: int64(os.Getpagesize()), Tag: tag, Freelist: 2, Root: 3, High: 4}
	b := appendMeta(m)
	m.Tx = 1
	b = append(append(b, appendMeta(m)...), make([]byte, 2*m.PageSize)...)
	for id, flags := range map[uint64]uint16{m.Freelist: flagFreelist, m.Root: flagLeaf} {
		page := b[int64(id)*m.PageSize:]
		order.PutUint64(page, id)
		order.PutUint16(page[8:], flags)
	}
	return errors.Join(files.WriteAt(f, b, 0), files.Sync(f), f.Close())
}

// Prepare makes a verified file ready for Open: it lengthens the file to the
// pages of m, none of which are in use where the file ends before, and writes
// the list of free pages, which are those that used does not have, after all
// others, and a meta with the tag of m, as a transaction of bbolt would.
// Otherwise bbolt would read the whole mapped file to find them. A full disk is
// an error only if m was damaged.
func Prepare(files *fsys.FS, f *os.File, m Meta, used *PageSet) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < int64(m.High)*m.PageSize {
		if err := files.Truncate(f, int64(m.High)*m.PageSize); err != nil {
			return err
		}
	}
	err = writeFreelist(files, f, m, used)
	if filestore.IsFull(err) && !m.WasDamaged {
		return nil // bbolt finds the free pages itself
	}
	return err
}

// writeFreelist writes the list of free pages and a meta.
func writeFreelist(files *fsys.FS, f *os.File, m Meta, used *PageSet) error {
	var free []uint64
	for id := uint64(2); id < m.High; id++ {
		if !used.Has(id) {
			free = append(free, id)
		}
	}
	const manyIDs = 0xFFFF // in the header's count means that the count is the first id
	size := int64(HeaderSize + 8*(len(free)+1))
	pages := (size + m.PageSize - 1) / m.PageSize
	b := make([]byte, pages*m.PageSize)
	order.PutUint64(b, m.High)
	order.PutUint16(b[8:], flagFreelist)
	order.PutUint32(b[12:], uint32(pages-1))
	ids := b[HeaderSize:]
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
	if err := files.WriteAt(f, b, int64(m.High)*m.PageSize); err != nil {
		return fmt.Errorf("write the list of free pages: %w", err)
	}
	if err := files.Sync(f); err != nil {
		return err
	}
	next := m
	next.Freelist, next.High, next.Tx = m.High, m.High+uint64(pages), m.Tx+1
	if err := files.WriteAt(f, appendMeta(next), int64(next.Tx%2)*m.PageSize); err != nil {
		return err
	}
	return files.Sync(f)
}
