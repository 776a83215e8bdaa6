package batch

import (
	"bytes"
	"fmt"
	"io"
)

// Source gives records one by one, and io.EOF after the last one. A record
// belongs to the caller.
type Source interface {
	Next() ([]byte, error)
}

// Records is a Source of records at hand. Next takes them off its front.
type Records [][]byte

// Next returns the next record.
func (r *Records) Next() ([]byte, error) {
	if len(*r) == 0 {
		return nil, io.EOF
	}
	first := (*r)[0]
	*r = (*r)[1:]
	return first, nil
}

const minRead = 64 << 10

// Splitter cuts a stream into records at a delimiter. A record may have any
// length; it takes that much memory. Two delimiters in a row have an empty
// record between them; the last record may lack its delimiter, and nothing
// after a last delimiter is no record.
type Splitter struct {
	src   io.Reader
	delim []byte
	keep  bool

	buf     []byte // read and not yet returned
	scanned int    // bytes at the front of buf known to begin no delimiter
	err     error  // what ended src
}

// NewSplitter returns a Splitter of what r gives. With keep a record has its
// delimiter at its end. It panics if delim is empty.
func NewSplitter(r io.Reader, delim []byte, keep bool) *Splitter {
	if len(delim) == 0 {
		panic("batch: empty delimiter")
	}
	return &Splitter{src: r, delim: bytes.Clone(delim), keep: keep}
}

// Next returns the next record. After an error of the reader, which is
// returned once what came before it has been, there is no further record.
func (s *Splitter) Next() ([]byte, error) {
	for {
		if i := bytes.Index(s.buf[s.scanned:], s.delim); i >= 0 {
			return s.take(s.scanned+i, len(s.delim)), nil
		}
		s.scanned = max(0, len(s.buf)-len(s.delim)+1)
		if s.err != nil {
			break
		}
		s.fill()
	}
	if s.err != io.EOF {
		return nil, fmt.Errorf("read records: %w", s.err)
	}
	if len(s.buf) == 0 {
		return nil, io.EOF
	}
	return s.take(len(s.buf), 0), nil
}

// take returns the record of n bytes and drops the end bytes behind it.
func (s *Splitter) take(n, end int) []byte {
	size := n
	if s.keep {
		size += end
	}
	record, rest := s.buf[:size:size], s.buf[n+end:]
	s.scanned = 0
	if size < minRead {
		s.buf = rest
		return bytes.Clone(record)
	}
	// A large record takes the buffer with it instead of being copied.
	s.buf = append(make([]byte, 0, max(minRead, len(rest))), rest...)
	return record
}

// fill reads once, into a buffer with room for it.
func (s *Splitter) fill() {
	if cap(s.buf)-len(s.buf) < minRead/2 {
		grown := make([]byte, len(s.buf), max(2*len(s.buf), minRead))
		copy(grown, s.buf)
		s.buf = grown
	}
	for range 100 {
		n, err := s.src.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		s.err = err
		if n > 0 || err != nil {
			return
		}
	}
	s.err = io.ErrNoProgress
}
