package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// magic is the beginning of a database.
const magic = "SQLite format 3\x00"

// image is the content of a database's files: the pages, and their newer
// versions in FILE-wal. It trusts neither.
type image struct {
	file, wal *os.File // wal is nil if there is none
	pageSize  int
	usable    int              // of each page, in bytes
	pages     uint32           // number of pages
	newer     map[uint32]int64 // offsets of pages in wal
	isSQLite  bool             // the file begins with magic, or is a beginning of it
}

func openImage(path string) (*image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m := &image{file: f, newer: make(map[uint32]int64)}
	if err := m.readHeader(); err != nil {
		_ = m.closeFiles()
		return nil, err
	}
	m.wal, err = os.Open(path + "-wal")
	if err == nil {
		err = m.readWAL()
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		_ = m.closeFiles()
		return nil, err
	}
	return m, nil
}

func (m *image) closeFiles() error {
	if m.wal != nil {
		_ = m.wal.Close()
	}
	return m.file.Close()
}

func (m *image) readHeader() error {
	info, err := m.file.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, 100)
	n, err := m.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	m.isSQLite = bytes.HasPrefix([]byte(magic), head[:min(n, len(magic))])
	m.pageSize = int(binary.BigEndian.Uint16(head[16:]))
	if m.pageSize == 1 {
		m.pageSize = 65536
	}
	if m.pageSize < 512 || m.pageSize&(m.pageSize-1) != 0 {
		m.pageSize = 4096 // SQLite's own since 2016
	}
	m.usable = m.pageSize // neither gm nor gearmand reserves any of it
	m.pages = uint32((info.Size() + int64(m.pageSize) - 1) / int64(m.pageSize))
	return nil
}

// page returns a page. Bytes behind the end of the file are zero.
func (m *image) page(n uint32) ([]byte, error) {
	if n == 0 || n > m.pages {
		return nil, fmt.Errorf("page %d of %d", n, m.pages)
	}
	b := make([]byte, m.pageSize)
	from, at := m.file, int64(n-1)*int64(m.pageSize)
	if offset, ok := m.newer[n]; ok {
		from, at = m.wal, offset
	}
	if _, err := from.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// The sizes of the headers in FILE-wal, in bytes.
const (
	walHeader   = 32
	frameHeader = 24
)

// frame is the header of a page in FILE-wal.
type frame struct {
	page   uint32
	commit uint32 // the size of the database in pages in the last frame of a transaction, else 0
	salt   uint64 // distinguishes these frames from older ones
}

func parseFrame(b []byte) frame {
	return frame{
		page:   binary.BigEndian.Uint32(b),
		commit: binary.BigEndian.Uint32(b[4:]),
		salt:   binary.BigEndian.Uint64(b[8:]),
	}
}

// eachFrame calls f for each frame of FILE-wal and its page, until f returns
// false. Both are valid until f returns.
func eachFrame(wal *os.File, pageSize int, f func(head, page []byte, offset int64) bool) error {
	b := make([]byte, frameHeader+pageSize)
	for at := int64(walHeader); ; at += int64(len(b)) {
		_, err := wal.ReadAt(b, at)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !f(b[:frameHeader], b[frameHeader:], at+frameHeader) {
			return nil
		}
	}
}

// readWAL finds the pages in FILE-wal that belong to whole transactions, even
// if their checksums do not match.
func (m *image) readWAL() error {
	salt, err := walSalt(m.wal, m.pageSize)
	if err != nil || salt == 0 {
		return err
	}
	pending := make(map[uint32]int64)
	strange := 0
	return eachFrame(m.wal, m.pageSize, func(head, _ []byte, offset int64) bool {
		x := parseFrame(head)
		if x.salt != salt {
			strange++
			return strange < 2 // one frame may be damaged, several are older
		}
		strange = 0
		pending[x.page] = offset
		if x.commit > 0 {
			for n, at := range pending {
				m.newer[n] = at
				m.pages = max(m.pages, n)
			}
			clear(pending)
		}
		return true
	})
}

// walSalt returns the salt that the header and the first two frames have, or at least
// two of them. Otherwise it returns 0.
func walSalt(wal *os.File, pageSize int) (uint64, error) {
	head := make([]byte, walHeader)
	if n, err := wal.ReadAt(head, 0); err != nil && (!errors.Is(err, io.EOF) || n < walHeader) {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return 0, err
	}
	salts := []uint64{binary.BigEndian.Uint64(head[16:])}
	err := eachFrame(wal, pageSize, func(head, _ []byte, _ int64) bool {
		salts = append(salts, parseFrame(head).salt)
		return len(salts) < 3
	})
	for i, salt := range salts {
		for _, other := range salts[i+1:] {
			if salt == other {
				return salt, err
			}
		}
	}
	return 0, err
}

// walDamage returns a description of the damage of FILE-wal, or "". SQLite
// reads the file up to the first frame whose checksum does not match. It
// ignores the rest without an error, because an interrupted transaction looks the same.
// But no other transaction ends after an interrupted one.
func walDamage(path string) (string, error) {
	wal, err := os.Open(path + "-wal")
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer wal.Close()
	m, err := openImage(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer m.closeFiles()
	head := make([]byte, walHeader)
	if _, err := wal.ReadAt(head, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		return "", err
	}
	salt, err := walSalt(wal, m.pageSize)
	if err != nil {
		return "", err
	}
	sum := walSum{big: head[3]&1 == 1}
	sum.add(head[:24])
	whole := sum.is(head[24:]) && binary.BigEndian.Uint32(head)&^1 == 0x377f0682
	frames, lost, strange := 0, 0, 0
	err = eachFrame(wal, m.pageSize, func(head, page []byte, _ int64) bool {
		x := parseFrame(head)
		if x.salt != salt {
			whole = false
			strange++
			return strange < 2
		}
		strange = 0
		if whole {
			sum.add(head[:8])
			sum.add(page)
			whole = sum.is(head[16:])
		}
		if whole {
			frames++
		} else if x.commit > 0 {
			lost++
		}
		return true
	})
	if lost > 0 {
		return fmt.Sprintf("%s-wal: transactions behind a damaged frame %d: %d", path, frames+1, lost), err
	}
	return "", err
}

// walSum is the checksum of FILE-wal.
type walSum struct {
	big    bool // words are big-endian
	s0, s1 uint32
}

func (s *walSum) add(b []byte) {
	var order binary.ByteOrder = binary.LittleEndian
	if s.big {
		order = binary.BigEndian
	}
	for ; len(b) >= 8; b = b[8:] {
		s.s0 += order.Uint32(b) + s.s1
		s.s1 += order.Uint32(b[4:]) + s.s0
	}
}

func (s *walSum) is(b []byte) bool {
	return binary.BigEndian.Uint32(b) == s.s0 && binary.BigEndian.Uint32(b[4:]) == s.s1
}
