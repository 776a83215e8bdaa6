package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"gm/pkg/gearman"
)

// BlockOptions are the settings of Blocks.
type BlockOptions struct {
	// Size is the maximum size of a block in bytes, without its header; a
	// longer record is a block of its own. 1 or less makes each record a block.
	Size int
	// Records is the maximum number of records in a block, besides the header;
	// 0 means as many as fit into Size. If it is set, a Size of 0 means no limit.
	Records int
	// Delim ends a record; an empty one is a newline. It is not used with
	// Comma.
	Delim []byte
	// Comma, if not 0, separates the fields of a record that ends with a
	// newline: a comma in CSV, a tab in TSV. A field that begins with a double
	// quote may contain newlines, up to its closing quote; two quotes mean one
	// (RFC 4180). Without a closing quote, the rest of the input is one record.
	Comma byte
	// Header is the number of records at the beginning of the input that are
	// repeated before each block. An input with no more records than these has
	// no blocks.
	Header int
	// Limit is the maximum size of a block in bytes, with its header; 0 is no
	// limit. A longer record is an Input with an error. A header of that size
	// or more ends the input with an error.
	Limit int
}

// Blocks cuts a stream into blocks of whole records with their delimiters. All
// blocks in a row, without their headers, are the same bytes as the stream
// after its header. The last record may lack its delimiter. A block takes as
// much memory as its length.
type Blocks struct {
	feed
	size   int
	delim  []byte
	comma  byte
	limit  int
	most   int    // records in a block; 0: no limit
	header int    // its records that have not been read
	head   []byte // the records of it that have been read
	began  bool   // a record has been taken
	large  bool   // the input is larger than a block
	repeat bool   // the delimiter may overlap with itself

	// The search for the record's end that begins at the front of buf, or at
	// the end of the last record there.
	at     int  // offset where it goes on
	quoted bool // between quotes
	opens  bool // a quote would open a field, or go on after a doubled one

	over bool // the rest of a record that is over the limit comes first
}

// NewBlocks returns the blocks of the stream r.
func NewBlocks(r io.Reader, o BlockOptions) *Blocks {
	delim := bytes.Clone(o.Delim)
	if len(delim) == 0 || o.Comma != 0 {
		delim = []byte("\n")
	}
	b := &Blocks{
		feed: feed{src: r, most: o.Limit}, size: o.Size, delim: delim, comma: o.Comma, header: o.Header, limit: o.Limit, most: o.Records,
	}
	if b.most > 0 && b.size == 0 {
		b.size = math.MaxInt
	}
	for i := 1; i < len(delim); i++ {
		b.repeat = b.repeat || bytes.HasPrefix(delim, delim[i:])
	}
	return b
}

// Next returns the next block. A record that is over the limit is returned as
// [Splitter.Next] does. An error of the reader is returned after the complete
// records before it; then there is no further block.
func (b *Blocks) Next() (Input, error) {
	if b.over {
		b.skipRest()
	}
	for ; b.header > 0; b.header-- {
		n, err := b.block(0, 1)
		if err == nil && b.exceeds(n) || errors.Is(err, gearman.ErrTooLarge) {
			err = fmt.Errorf("read header: %w", tooLarge(b.limit))
		}
		if err != nil {
			return Input{}, err
		}
		b.head = append(b.head, b.cutFront(nil, n, 0)...)
	}
	size := b.size
	if b.limit > 0 {
		size = min(size, b.limit-len(b.head))
	}
	n, err := b.block(size, b.most)
	switch {
	case errors.Is(err, gearman.ErrTooLarge):
		b.over = true
		return Input{Err: err}, nil
	case err != nil:
		return Input{}, err
	case b.exceeds(n):
		b.skip(n)
		b.began = true
		return Input{Err: tooLarge(b.limit)}, nil
	}
	return Input{Payload: b.cutFront(b.head, n, 0)}, nil
}

// exceeds reports whether n bytes and the header are over the limit.
func (b *Blocks) exceeds(n int) bool { return b.limit > 0 && len(b.head)+n > b.limit }

// skipRest drops the rest of a record that is over the limit. The search for its
// end goes on where it was.
func (b *Blocks) skipRest() {
	for b.over = false; ; b.fill(0) {
		n, found := b.end()
		if !found {
			n = b.at
		}
		if b.err != nil && !found {
			n = len(b.buf)
		}
		b.skip(n)
		b.began = true
		b.at = 0
		if found || b.err != nil {
			return
		}
	}
}

// cutFront does the same as feed.cutFront, and resets the search.
func (b *Blocks) cutFront(head []byte, n, drop int) []byte {
	b.began = true
	return b.feed.cutFront(head, n, drop)
}

// block returns the length of the next block: of one record, and of as many as
// size has room for and most allows, unless that is 0. It may be over the limit if it is one record whose end is
// there; if the end is not there yet, the error is tooLarge's.
func (b *Blocks) block(size, most int) (int, error) {
	whole := 0
	if most == 0 {
		for len(b.buf) < size && b.err == nil {
			b.fill(b.room(size))
		}
		b.large = b.large || size > 0 && len(b.buf) >= size
		whole = b.skim(size)
	}
	b.seek(whole)
	for n := 1; ; {
		end, found := b.end()
		switch {
		case found && end > size:
			if whole > 0 {
				return whole, nil
			}
			return end, nil
		case found && n == most:
			return end, nil
		case found:
			n++
			whole = end
			b.seek(whole)
		case whole > 0 && len(b.buf) > size:
			return whole, nil
		case whole == 0 && b.exceeds(b.at):
			return 0, tooLarge(b.limit)
		case b.err == nil:
			b.fill(0)
		case b.err == io.EOF && len(b.buf) <= size, b.err == io.EOF && whole == 0:
			if len(b.buf) == 0 {
				return 0, io.EOF
			}
			return len(b.buf), nil
		case whole > 0:
			return whole, nil
		default:
			return 0, fmt.Errorf("read records: %w", b.err)
		}
	}
}

// room returns the number of bytes to make room for: a block and some more, so
// that it need not be moved. If no block has been full yet, the block size may
// be larger than the whole input.
func (b *Blocks) room(size int) int {
	if b.large {
		return size + minRead
	}
	return min(size, 3*min(len(b.buf), maxFeed/3)) + minRead
}

// skim returns the length of the whole records in the first size bytes, as far
// as they are found from behind.
func (b *Blocks) skim(size int) int {
	if b.comma != 0 || b.repeat || size <= 0 {
		return 0
	}
	i := bytes.LastIndex(b.buf[:min(size, len(b.buf))], b.delim)
	if i < 0 {
		return 0
	}
	return i + len(b.delim)
}

// seek begins the search for the end of the record that begins at at.
func (b *Blocks) seek(at int) { b.at, b.quoted, b.opens = at, false, true }

// end goes on with the search as far as there is input.
func (b *Blocks) end() (end int, found bool) {
	if b.comma != 0 {
		return b.endQuoted()
	}
	if i := bytes.Index(b.buf[b.at:], b.delim); i >= 0 {
		return b.at + i + len(b.delim), true
	}
	b.at = max(b.at, len(b.buf)-len(b.delim)+1)
	return 0, false
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// endQuoted is end for records of fields that may be quoted.
func (b *Blocks) endQuoted() (end int, found bool) {
	for {
		rest := b.buf[b.at:]
		if b.quoted {
			i := bytes.IndexByte(rest, '"')
			if i < 0 {
				b.at = len(b.buf)
				return 0, false
			}
			b.at += i + 1
			b.quoted, b.opens = false, true
			continue
		}
		newline := bytes.IndexByte(rest, '\n')
		if newline >= 0 {
			rest = rest[:newline]
		}
		quote := bytes.IndexByte(rest, '"')
		switch {
		case quote >= 0:
			b.quoted = b.atField(quote)
			b.at += quote + 1
			b.opens = false
		case newline >= 0:
			return b.at + newline + 1, true
		default:
			b.opens = b.atField(len(rest))
			b.at = len(b.buf)
			return 0, false
		}
	}
}

// atField reports whether a quote i bytes further on would open a field.
func (b *Blocks) atField(i int) bool {
	switch at := b.at + i; {
	case i == 0:
		return b.opens
	case b.buf[at-1] == b.comma:
		return true
	default:
		return !b.began && at == len(byteOrderMark) && bytes.HasPrefix(b.buf, byteOrderMark)
	}
}
