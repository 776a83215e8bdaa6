package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestBlocks(t *testing.T) {
	big := strings.Repeat("x", 3*minRead)
	tests := []struct {
		name, in string
		o        BlockOptions
		want     []string
	}{
		{"nothing", "", BlockOptions{Size: 10}, nil},
		{"all in one", "a\nb\n", BlockOptions{Size: 10}, []string{"a\nb\n"}},
		{"just fits", "aaa\nbbb\nc", BlockOptions{Size: 8}, []string{"aaa\nbbb\n", "c"}},
		{"one byte too many", "aaa\nbbbb\nc", BlockOptions{Size: 8}, []string{"aaa\n", "bbbb\nc"}},
		{"too long alone", "a\nbbbbbbbb\nc\nd\n", BlockOptions{Size: 4}, []string{"a\n", "bbbbbbbb\n", "c\nd\n"}},
		{"too long at the end", "a\nbbbbbbbb", BlockOptions{Size: 4}, []string{"a\n", "bbbbbbbb"}},
		{"a record each", "a\n\nb", BlockOptions{}, []string{"a\n", "\n", "b"}},
		{"delimiter", "a;b;c;", BlockOptions{Size: 4, Delim: []byte(";")}, []string{"a;b;", "c;"}},
		{"long delimiter", "a<>b<>c", BlockOptions{Size: 7, Delim: []byte("<>")}, []string{"a<>b<>c"}},
		{"delimiter over the edge", "aa<>b", BlockOptions{Size: 3, Delim: []byte("<>")}, []string{"aa<>", "b"}},
		{"delimiter in itself", "aaaaa", BlockOptions{Size: 3, Delim: []byte("aa")}, []string{"aa", "aaa"}},
		{"header", "h\na\nb\nc\n", BlockOptions{Size: 4, Header: 1}, []string{"h\na\nb\n", "h\nc\n"}},
		{"two headers", "h\ni\na\n", BlockOptions{Header: 2}, []string{"h\ni\na\n"}},
		{"nothing but header", "h\n", BlockOptions{Size: 4, Header: 1}, nil},
		{"less than header", "h", BlockOptions{Size: 4, Header: 2}, nil},
		{"CSV", "a,\"b\nc\"\nd\n", BlockOptions{Comma: ','}, []string{"a,\"b\nc\"\n", "d\n"}},
		{"CSV, doubled quotes", "\"a\"\"\n\",b\nc", BlockOptions{Comma: ','}, []string{"\"a\"\"\n\",b\n", "c"}},
		{"CSV, quote in a bare field", "5\",b\nc\"\n", BlockOptions{Comma: ','}, []string{"5\",b\n", "c\"\n"}},
		{"CSV, nothing ends it", "a,\"b\nc\nd\n", BlockOptions{Size: 4, Comma: ','}, []string{"a,\"b\nc\nd\n"}},
		{"CSV, byte order mark", "\ufeff\"a\n\"\nb", BlockOptions{Comma: ','}, []string{"\ufeff\"a\n\"\n", "b"}},
		{"CSV, header", "\"h\n\",i\r\na,b\r\nc,d\r\n", BlockOptions{Comma: ',', Header: 1}, []string{"\"h\n\",i\r\na,b\r\n", "\"h\n\",i\r\nc,d\r\n"}},
		{"CSV, blocks", "a,1\n\"b\n\"\nc,3\n", BlockOptions{Size: 9, Comma: ','}, []string{"a,1\n\"b\n\"\n", "c,3\n"}},
		{"TSV", "a,\"b\nc\t\"d\n\"\n", BlockOptions{Comma: '\t'}, []string{"a,\"b\n", "c\t\"d\n\"\n"}},
		{"long", big + "\n" + big + "\nz", BlockOptions{Size: len(big) + 1}, []string{big + "\n", big + "\n", "z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":       strings.NewReader(tt.in),
				"byte a byte": iotest.OneByteReader(strings.NewReader(tt.in)),
				"data at EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				got, err := all(NewBlocks(r, tt.o))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: got %d blocks %.80q, want %d %.80q", name, len(got), got, len(tt.want), tt.want)
				}
			}
		})
	}
}

func TestBlocksReadError(t *testing.T) {
	broken := errors.New("broken")
	in := io.MultiReader(strings.NewReader("a\nb\nc"), iotest.ErrReader(broken))
	got, err := all(NewBlocks(in, BlockOptions{Size: 100}))
	if want := []string{"a\nb\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, broken) {
		t.Errorf("got error %v, want %v", err, broken)
	}
}

// A quote that nothing ends is looked through once, not once a read.
func TestBlocksOpenQuoteIsLinear(t *testing.T) {
	in := "\"" + strings.Repeat("x,y\n", 4<<20)
	began := time.Now()
	got, err := all(NewBlocks(&chunks{in: []byte(in), size: 512}, BlockOptions{Size: 1 << 10, Comma: ','}))
	if err != nil || len(got) != 1 || got[0] != in {
		t.Errorf("got %d blocks, error %v, want all of it in one", len(got), err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// chunks is a reader that gives size bytes at a time.
type chunks struct {
	in   []byte
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in[:min(c.size, len(c.in))])
	c.in = c.in[n:]
	return n, nil
}

// naiveRecords cuts the input into records as BlockOptions says, a byte at a
// time.
func naiveRecords(in []byte, o BlockOptions) (records [][]byte) {
	begin, quoted := 0, false
	opens := true // a quote here would open a field, or go on after a doubled one
	for i := 0; i < len(in); i++ {
		ends := false
		switch c := in[i]; {
		case o.Comma == 0:
			ends = bytes.HasSuffix(in[begin:i+1], o.Delim)
		case quoted:
			quoted = c != '"'
			opens = true
		case c == '"':
			quoted, opens = opens, false
		default:
			ends = c == '\n'
			opens = ends || c == o.Comma || i == 2 && bytes.HasPrefix(in, []byte("\ufeff"))
		}
		if ends {
			records = append(records, in[begin:i+1])
			begin = i + 1
		}
	}
	if begin < len(in) {
		records = append(records, in[begin:])
	}
	return records
}

// naiveBlocks puts records together as BlockOptions says.
func naiveBlocks(in []byte, o BlockOptions) (blocks []string) {
	records := naiveRecords(in, o)
	if len(records) <= o.Header {
		return nil
	}
	head := bytes.Join(records[:o.Header], nil)
	if o.Records > 0 && o.Size == 0 {
		o.Size = math.MaxInt
	}
	var block []byte
	n := 0
	for _, r := range records[o.Header:] {
		if len(block) > 0 && (len(block)+len(r) > o.Size || n == o.Records && n > 0) {
			blocks = append(blocks, string(head)+string(block))
			block, n = nil, 0
		}
		block = append(block, r...)
		n++
	}
	return append(blocks, string(head)+string(block))
}

// FuzzBlocks compares the blocks with those of a naive model, however the input
// arrives.
func FuzzBlocks(f *testing.F) {
	f.Add([]byte("h\na\nbb\nccc"), []byte("\n"), 4, 0, 1, 3)
	f.Add([]byte("aaaaaa"), []byte("aa"), 3, 0, 0, 1)
	f.Add([]byte("a<>b><>c"), []byte("<>"), 6, 0, 0, 2)
	f.Add([]byte("\"a\"\"\n\",b\n\"c\n"), []byte("\n"), 5, int(','), 0, 1)
	f.Add([]byte("\ufeff\"a\n\"\tb\nc\"\n\"\t\"\n\"\n"), []byte("\n"), 1, int('\t'), 1, 2)
	f.Fuzz(func(t *testing.T, in, delim []byte, size, comma, header, chunk int) {
		if len(delim) == 0 || comma > 127 || comma < 0 || comma == '"' || comma == '\n' || header < 0 || header > 100 || chunk < 1 {
			t.Skip("no such options")
		}
		o := BlockOptions{Size: size % (2 * minRead), Delim: delim, Comma: byte(comma), Header: header}
		got, err := all(NewBlocks(&chunks{in, chunk}, o))
		if err != nil {
			t.Fatal(err)
		}
		if want := naiveBlocks(in, o); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestBlocksModel is FuzzBlocks on random tables, large enough for several
// reads.
func TestBlocksModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		var in bytes.Buffer
		for range rng.IntN(3000) {
			switch rng.IntN(12) {
			case 0:
				fmt.Fprintf(&in, "\"%s\n\"\"\"", strings.Repeat("q", rng.IntN(500)))
			case 1:
				in.WriteString("a\"b")
			case 2, 3, 4:
				in.WriteByte('\n')
			case 5, 6, 7:
				in.WriteByte(',')
			case 8:
				in.Write(bytes.Repeat([]byte("y"), rng.IntN(2000)))
			default:
				in.WriteString("xy")
			}
		}
		o := BlockOptions{Size: rng.IntN(3 * minRead), Delim: []byte("\n"), Header: rng.IntN(3), Records: max(0, rng.IntN(40)-20)}
		if o.Records > 0 && rng.IntN(2) == 0 {
			o.Size = 0
		}
		if rng.IntN(2) == 0 {
			o.Comma = ','
		}
		got, err := all(NewBlocks(&chunks{in.Bytes(), 1 + rng.IntN(2*minRead)}, o))
		if err != nil {
			t.Fatal(err)
		}
		if want := naiveBlocks(in.Bytes(), o); !slices.Equal(got, want) {
			t.Fatalf("%+v: got %d blocks, want %d", o, len(got), len(want))
		}
	}
}
