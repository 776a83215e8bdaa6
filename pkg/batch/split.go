package batch

import (
	"bytes"
	"fmt"
	"io"
)

// Splitter cuts a stream into records at a delimiter. A record takes as much
// memory as its length. Two delimiters in a row have an empty record between
// them; the last record may lack its delimiter, and there is no empty record
// after a last delimiter.
type Splitter struct {
	feed
	delim   []byte
	keep    bool
	limit   int
	scanned int  // bytes at the front of buf known to begin no delimiter
	over    bool // the rest of a record that is over the limit comes first
}

// NewSplitter returns a Splitter of the stream r. With keep a record has its
// delimiter at its end. limit is the maximum size of a record in bytes; 0 is no
// limit. It panics if delim is empty.
func NewSplitter(r io.Reader, delim []byte, keep bool, limit int) *Splitter {
	if len(delim) == 0 {
		panic("batch: empty delimiter")
	}
	return &Splitter{feed: feed{src: r, most: limit}, delim: bytes.Clone(delim), keep: keep, limit: limit}
}

// Next returns the next record. One that is over the limit has an error that
// wraps [gearman.ErrTooLarge] and no payload. It is returned as soon as its
// size exceeds the limit; the next call skips its rest in constant memory. An
// error of the reader is returned after the records before it; then there is no
// further record.
func (s *Splitter) Next() (Input, error) {
	if s.over {
		s.skipRest()
	}
	for {
		n, found := s.find()
		switch {
		case found:
			drop := len(s.delim)
			if s.keep {
				drop = 0
			}
			if s.exceeds(n - drop) {
				s.skip(n)
				return Input{Err: tooLarge(s.limit)}, nil
			}
			return Input{Payload: s.cutFront(nil, n, drop)}, nil
		case s.exceeds(n):
			s.over = true
			return Input{Err: tooLarge(s.limit)}, nil
		case s.err != nil:
			return s.last()
		}
		s.fill(0)
	}
}

// find returns the length of the next record with its delimiter, or its minimum
// length if its end has not been read.
func (s *Splitter) find() (n int, found bool) {
	if i := bytes.Index(s.buf[s.scanned:], s.delim); i >= 0 {
		n = s.scanned + i + len(s.delim)
		s.scanned = 0
		return n, true
	}
	s.scanned = max(0, len(s.buf)-len(s.delim)+1)
	return s.scanned, false
}

func (s *Splitter) exceeds(n int) bool { return s.limit > 0 && n > s.limit }

// skipRest drops the rest of a record that is over the limit.
func (s *Splitter) skipRest() {
	for s.over = false; ; s.fill(0) {
		n, found := s.find()
		if s.err != nil && !found {
			n = len(s.buf)
		}
		s.skip(n)
		s.scanned = 0
		if found || s.err != nil {
			return
		}
	}
}

// last returns the last record, which has no delimiter, or the end.
func (s *Splitter) last() (Input, error) {
	switch {
	case s.err != io.EOF:
		return Input{}, fmt.Errorf("read records: %w", s.err)
	case len(s.buf) == 0:
		return Input{}, io.EOF
	}
	n := len(s.buf)
	s.scanned = 0
	if s.exceeds(n) {
		s.skip(n)
		return Input{Err: tooLarge(s.limit)}, nil
	}
	return Input{Payload: s.cutFront(nil, n, 0)}, nil
}
