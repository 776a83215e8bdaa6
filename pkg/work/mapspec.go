package work

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"gm/internal/bytesize"
	"gm/internal/escape"
	"gm/pkg/batch"
)

// DefaultBlock is the default size of a part, in bytes.
const DefaultBlock = 1 << 20

// MapSpec says how a worker cuts the payload of a job with a reducer into parts,
// and folds their results. It is the reducer of the job, as text: the name of a
// function, which has no blanks, and options, as in
//
//	add block=1MiB arity=8 split=\n
//
// Other clients may name only the function.
type MapSpec struct {
	Reducer string // function; if it is empty, the results are joined in order
	Blocks  []int  // sizes in bytes: of the parts, of the parts of these, and so on
	Arity   int    // number of results that one job of Reducer folds
	Delim   []byte // ends a record
	Comma   byte   // separates the fields of CSV or TSV, whose records Delim does not end; 0 for other formats
	Header  int    // records that are repeated before each part
	Jobs    int    // maximum number of parts in flight
	Retries int    // of each part and each job of Reducer
}

// NewMapSpec returns the default for a reducer: blocks of lines of DefaultBlock
// bytes.
func NewMapSpec(reducer string) MapSpec {
	return MapSpec{
		Reducer: reducer,
		Blocks:  []int{DefaultBlock},
		Arity:   batch.DefaultArity,
		Delim:   []byte("\n"),
		Jobs:    batch.DefaultWindow,
	}
}

// ParseMapSpec reads the text that String writes. Options that it lacks are as in
// NewMapSpec.
func ParseMapSpec(s string) (MapSpec, error) {
	reducer, options, _ := strings.Cut(s, " ")
	m := NewMapSpec(reducer)
	for option := range strings.SplitSeq(options, " ") {
		if option == "" {
			continue
		}
		name, value, _ := strings.Cut(option, "=")
		if err := m.setOption(name, value); err != nil {
			return m, fmt.Errorf("reducer %q: %s: %w", s, name, err)
		}
	}
	return m, nil
}

// setOption sets the option of that name.
func (m *MapSpec) setOption(name, value string) (err error) {
	switch name {
	case "block":
		m.Blocks = m.Blocks[:0]
		for size := range strings.SplitSeq(value, ",") {
			n, err := bytesize.Parse(size)
			if err == nil && (n < 1 || n > math.MaxInt32) {
				err = errors.New("not from 1 to 2G")
			}
			if err != nil {
				return err
			}
			m.Blocks = append(m.Blocks, int(n))
		}
	case "arity":
		m.Arity, err = parseNumber(value, 2, batch.MaxArity)
	case "split":
		var delim string
		if delim, err = escape.Decode(value); err == nil && delim == "" {
			err = errors.New("it is empty")
		}
		m.Delim = []byte(delim)
	case "comma":
		var comma string
		if comma, err = escape.Decode(value); err == nil && len(comma) != 1 {
			err = fmt.Errorf("%q is not one byte", value)
		}
		if err == nil {
			m.Comma = comma[0]
		}
	case "header":
		m.Header, err = parseNumber(value, 0, math.MaxInt32)
	case "jobs":
		m.Jobs, err = parseNumber(value, 1, math.MaxInt32)
	case "retries":
		m.Retries, err = parseNumber(value, 0, math.MaxInt32)
	default:
		err = errors.New("no such option")
	}
	return err
}

// parseNumber returns the number in s, which is from low to high.
func parseNumber(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is not from %d to %d", s, low, high)
	}
	return n, nil
}

// String returns the reducer of the job: the function, the sizes of the blocks, and
// the options that are not as in NewMapSpec.
func (m MapSpec) String() string {
	var b strings.Builder
	b.WriteString(m.Reducer + " block=")
	for i, size := range m.Blocks {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(bytesize.Format(int64(size)))
	}
	usual := NewMapSpec("")
	number := func(name string, n, usual int) {
		if n != usual {
			fmt.Fprintf(&b, " %s=%d", name, n)
		}
	}
	number("arity", m.Arity, usual.Arity)
	switch {
	case m.Comma != 0:
		b.WriteString(" comma=" + escape.Encode([]byte{m.Comma}))
	case !bytes.Equal(m.Delim, usual.Delim):
		b.WriteString(" split=" + escape.Encode(m.Delim))
	}
	number("header", m.Header, usual.Header)
	number("jobs", m.Jobs, usual.Jobs)
	number("retries", m.Retries, usual.Retries)
	return b.String()
}

// reducerOfParts returns the reducer of the parts; empty if they have none.
func (m MapSpec) reducerOfParts() string {
	if len(m.Blocks) < 2 {
		return ""
	}
	m.Blocks = m.Blocks[1:]
	return m.String()
}
