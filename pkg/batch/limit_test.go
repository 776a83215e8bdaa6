package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gm/pkg/gearman"
)

// overLimit stands for a record that is over the limit.
const overLimit = "over the limit"

// allOrOver is all for a source with a limit.
func allOrOver(t *testing.T, src Source) (records []string) {
	t.Helper()
	for {
		r, err := src.Next()
		switch {
		case err == io.EOF:
			return records
		case err != nil:
			t.Fatal(err)
		case errors.Is(r.Err, gearman.ErrTooLarge) && r.Payload == nil:
			records = append(records, overLimit)
		case r.Err != nil:
			t.Fatalf("got error %v, want ErrTooLarge and no payload", r.Err)
		default:
			records = append(records, string(r.Payload))
		}
	}
}

func TestSplitterLimit(t *testing.T) {
	const limit = 5
	tests := []struct {
		name, in, delim string
		keep            bool
		want            []string
	}{
		{"as long as allowed", "12345\n12345", "\n", false, []string{"12345", "12345"}},
		{"longer", "a\n123456\nb\n", "\n", false, []string{"a", overLimit, "b"}},
		{"the end counts if it is kept", "1234\n12345\nb\n", "\n", true, []string{"1234\n", overLimit, "b\n"}},
		{"without an end", "a\n1234567890", "\n", false, []string{"a", overLimit}},
		{"a byte over, without an end", "123456", "\n", false, []string{overLimit}},
		{"several", "1234567890\n\n1234567890\n12\n", "\n", false, []string{overLimit, "", overLimit, "12"}},
		{"many bytes", "12345<1234><a<>", "<>", false, []string{overLimit}},
		{"many bytes, two", "12345<>123456<><>1<>", "<>", false, []string{"12345", overLimit, "", "1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.in); size++ {
				got := allOrOver(t, NewSplitter(&chunks{[]byte(tt.in), size}, []byte(tt.delim), tt.keep, limit))
				if !slices.Equal(got, tt.want) {
					t.Errorf("%d bytes a read: got %q, want %q", size, got, tt.want)
				}
			}
		})
	}
}

// naiveLimit is naiveBlocks with a limit.
func naiveLimit(in []byte, o BlockOptions) (blocks []string) {
	records := naiveRecords(in, o)
	if len(records) <= o.Header {
		return nil
	}
	head := bytes.Join(records[:o.Header], nil)
	size := min(o.Size, o.Limit-len(head))
	var block []byte
	flush := func() {
		if len(block) > 0 {
			blocks = append(blocks, string(head)+string(block))
			block = nil
		}
	}
	for _, r := range records[o.Header:] {
		if len(block)+len(r) > size {
			flush()
		}
		if len(head)+len(r) > o.Limit {
			blocks = append(blocks, overLimit)
			continue
		}
		block = append(block, r...)
	}
	flush()
	return blocks
}

// Blocks with a limit are those of a naive model, however the input arrives.
func TestBlocksLimit(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		var in bytes.Buffer
		in.WriteString("h,h\n")
		for range rng.IntN(60) {
			switch rng.IntN(8) {
			case 0:
				fmt.Fprintf(&in, "\"%s\n\"\"\"", strings.Repeat("q", rng.IntN(20)))
			case 1, 2:
				in.WriteString("<>")
			case 3, 4:
				in.WriteByte('\n')
			case 5:
				in.WriteByte(',')
			default:
				in.Write(bytes.Repeat([]byte("y"), rng.IntN(12)))
			}
		}
		o := BlockOptions{Size: rng.IntN(30), Delim: []byte("\n"), Header: rng.IntN(2), Limit: 12 + rng.IntN(20)}
		switch rng.IntN(3) {
		case 0:
			o.Comma = ','
		case 1:
			o.Delim, o.Header = []byte("<>"), 0
		}
		got := allOrOver(t, NewBlocks(&chunks{in.Bytes(), 1 + rng.IntN(40)}, o))
		if want := naiveLimit(in.Bytes(), o); !slices.Equal(got, want) {
			t.Fatalf("%+v of %q:\ngot  %q\nwant %q", o, in.Bytes(), got, want)
		}
	}
}

// A header that leaves room for no record is an error of the input.
func TestBlocksHeaderOverLimit(t *testing.T) {
	for _, in := range []string{strings.Repeat("h", 100), strings.Repeat("h", 100) + "\na\n"} {
		_, err := NewBlocks(strings.NewReader(in), BlockOptions{Header: 1, Limit: 50}).Next()
		if !errors.Is(err, gearman.ErrTooLarge) || !strings.Contains(err.Error(), "header") {
			t.Errorf("got %v, want ErrTooLarge of the header", err)
		}
	}
}

// endless is a reader of n bytes without a delimiter.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.n))
	e.n -= int64(n)
	clear(p[:n])
	return n, nil
}

// A record without an end fails as soon as it is over the limit, and the rest of
// it takes no memory.
func TestRecordWithoutEnd(t *testing.T) {
	const (
		limit = 1 << 20
		size  = 1 << 30
	)
	quote := func(r io.Reader) io.Reader { return io.MultiReader(strings.NewReader(`"`), r) }
	for name, source := range map[string]func(io.Reader) Source{
		"lines":  func(r io.Reader) Source { return NewSplitter(r, []byte("\n"), true, limit) },
		"delim":  func(r io.Reader) Source { return NewSplitter(r, []byte("<>"), false, limit) },
		"blocks": func(r io.Reader) Source { return NewBlocks(r, BlockOptions{Size: limit / 2, Limit: limit}) },
		"csv":    func(r io.Reader) Source { return NewBlocks(r, BlockOptions{Comma: ',', Limit: limit}) },
		"quoted": func(r io.Reader) Source { return NewBlocks(quote(r), BlockOptions{Comma: ',', Limit: limit}) },
		"names":  func(r io.Reader) Source { return NewFiles(NewSplitter(r, []byte{'\n'}, false, limit), limit) },
	} {
		t.Run(name, func(t *testing.T) {
			in := &endless{size}
			src := source(in)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			first, err := src.Next()
			if err != nil || !errors.Is(first.Err, gearman.ErrTooLarge) {
				t.Fatalf("got %v, %v, want a record over the limit", first.Err, err)
			}
			if read := size - in.n; read > 4*limit {
				t.Errorf("%d bytes were read before a record of at most %d failed", read, limit)
			}
			if _, err := src.Next(); err != io.EOF {
				t.Errorf("got %v, want the end", err)
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 8*limit {
				t.Errorf("%d bytes were allocated for a limit of %d", took, limit)
			}
		})
	}
}
