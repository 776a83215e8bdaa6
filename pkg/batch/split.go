package batch

import (
	"bytes"
	"fmt"
	"io"
)

// Splitter cuts a stream into records at a delimiter. A record may have any
// length; it takes that much memory. Two delimiters in a row have an empty
// record between them; the last record may lack its delimiter, and nothing
// after a last delimiter is no record.
type Splitter struct {
	feed
	delim   []byte
	keep    bool
	scanned int // bytes at the front of buf known to begin no delimiter
}

// NewSplitter returns a Splitter of what r gives. With keep a record has its
// delimiter at its end. It panics if delim is empty.
func NewSplitter(r io.Reader, delim []byte, keep bool) *Splitter {
	if len(delim) == 0 {
		panic("batch: empty delimiter")
	}
	return &Splitter{feed: feed{src: r}, delim: bytes.Clone(delim), keep: keep}
}

// Next returns the next record. After an error of the reader, which is
// returned once what came before it has been, there is no further record.
func (s *Splitter) Next() (Input, error) {
	for {
		if i := bytes.Index(s.buf[s.scanned:], s.delim); i >= 0 {
			n, drop := s.scanned+i+len(s.delim), len(s.delim)
			if s.keep {
				drop = 0
			}
			s.scanned = 0
			return Input{Payload: s.take(nil, n, drop)}, nil
		}
		s.scanned = max(0, len(s.buf)-len(s.delim)+1)
		if s.err != nil {
			break
		}
		s.fill(0)
	}
	switch {
	case s.err != io.EOF:
		return Input{}, fmt.Errorf("read records: %w", s.err)
	case len(s.buf) == 0:
		return Input{}, io.EOF
	}
	s.scanned = 0
	return Input{Payload: s.take(nil, len(s.buf), 0)}, nil
}
