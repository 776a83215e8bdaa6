package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"gm/internal/bytesize"
	"gm/internal/escape"
	"gm/pkg/batch"
)

// mapBlock is how a worker cuts up a job with a reducer that does not say how,
// in bytes.
const mapBlock = 1 << 20

// mapSpec is what the reducer of a job says about it: the name of a function,
// which has no blanks, and behind it what gm work is to do, as in
//
//	add block=1MiB arity=8 split=\n
//
// A client of another make names the function only.
type mapSpec struct {
	reducer string // empty: results are put one after the other
	blocks  []int  // of the parts, in bytes; a part is cut up again by the next in turn
	arity   int
	split   []byte // what ends a record
	comma   byte   // of CSV or TSV, instead of split; 0: neither
	header  int    // records that are put before each part
	jobs    int    // parts in flight
	retries int    // of each part and each job of the reducer
}

// newMapSpec returns what goes for a reducer that says nothing more.
func newMapSpec(reducer string) mapSpec {
	return mapSpec{
		reducer: reducer,
		blocks:  []int{mapBlock},
		arity:   batch.DefaultArity,
		split:   []byte("\n"),
		jobs:    batch.DefaultWindow,
	}
}

// parseMapSpec reads what String writes. What is left out is as in newMapSpec.
func parseMapSpec(s string) (mapSpec, error) {
	reducer, options, _ := strings.Cut(s, " ")
	m := newMapSpec(reducer)
	for _, option := range strings.Split(options, " ") {
		if option == "" {
			continue
		}
		name, value, _ := strings.Cut(option, "=")
		if err := m.set(name, value); err != nil {
			return m, fmt.Errorf("reducer %q: %s: %w", s, name, err)
		}
	}
	return m, nil
}

// set sets an option.
func (m *mapSpec) set(name, value string) (err error) {
	switch name {
	case "block":
		m.blocks = m.blocks[:0]
		for _, size := range strings.Split(value, ",") {
			n, err := bytesize.Parse(size)
			if err == nil && (n < 1 || n > math.MaxInt32) {
				err = errors.New("not from 1 to 2G")
			}
			if err != nil {
				return err
			}
			m.blocks = append(m.blocks, int(n))
		}
	case "arity":
		m.arity, err = parseWithin(value, 2, batch.MaxArity)
	case "split":
		var delim string
		if delim, err = escape.Decode(value); err == nil && delim == "" {
			err = errors.New("it is empty")
		}
		m.split = []byte(delim)
	case "comma":
		var comma string
		if comma, err = escape.Decode(value); err == nil && len(comma) != 1 {
			err = fmt.Errorf("%q is not one byte", value)
		}
		if err == nil {
			m.comma = comma[0]
		}
	case "header":
		m.header, err = parseWithin(value, 0, math.MaxInt32)
	case "jobs":
		m.jobs, err = parseWithin(value, 1, math.MaxInt32)
	case "retries":
		m.retries, err = parseWithin(value, 0, math.MaxInt32)
	default:
		err = errors.New("no such option")
	}
	return err
}

func parseWithin(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is not from %d to %d", s, low, high)
	}
	return n, nil
}

// String returns the reducer as a client submits it: the function, and the
// options that are not as in newMapSpec, but always block, so that workers and
// people see whose they are.
func (m mapSpec) String() string {
	var b strings.Builder
	b.WriteString(m.reducer + " block=")
	for i, size := range m.blocks {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(bytesize.Format(int64(size)))
	}
	usual := newMapSpec("")
	number := func(name string, n, usual int) {
		if n != usual {
			fmt.Fprintf(&b, " %s=%d", name, n)
		}
	}
	number("arity", m.arity, usual.arity)
	switch {
	case m.comma != 0:
		b.WriteString(" comma=" + escape.Encode([]byte{m.comma}))
	case !bytes.Equal(m.split, usual.split):
		b.WriteString(" split=" + escape.Encode(m.split))
	}
	number("header", m.header, usual.header)
	number("jobs", m.jobs, usual.jobs)
	number("retries", m.retries, usual.retries)
	return b.String()
}

// ofParts returns the reducer that the parts have; empty: they have none.
func (m mapSpec) ofParts() string {
	if len(m.blocks) < 2 {
		return ""
	}
	m.blocks = m.blocks[1:]
	return m.String()
}

// parts cuts a payload up.
func (m mapSpec) parts(payload []byte) *batch.Blocks {
	return batch.NewBlocks(bytes.NewReader(payload), batch.BlockOptions{
		Size: m.blocks[0], Delim: m.split, Comma: m.comma, Header: m.header,
	})
}

// count returns how many parts a payload has.
func (m mapSpec) count(payload []byte) (int, error) {
	parts := m.parts(payload)
	for n := 0; ; n++ {
		switch _, err := parts.Next(); err {
		case nil:
		case io.EOF:
			return n, nil
		default:
			return n, err
		}
	}
}
