package batch

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func all(src Source) (records []string, err error) {
	for {
		r, err := src.Next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return records, err
		}
		records = append(records, string(r.Payload))
	}
}

func TestSplitter(t *testing.T) {
	big := strings.Repeat("x", 3*minRead)
	tests := []struct {
		name, in, delim string
		keep            bool
		want            []string
	}{
		{"nothing", "", "\n", false, nil},
		{"stripped", "a\nb\n", "\n", false, []string{"a", "b"}},
		{"kept", "a\nb\n", "\n", true, []string{"a\n", "b\n"}},
		{"last without its end", "a\nb", "\n", false, []string{"a", "b"}},
		{"last without its end, kept", "a\nb", "\n", true, []string{"a\n", "b"}},
		{"empty records", "\n\na\n\n", "\n", false, []string{"", "", "a", ""}},
		{"empty records, kept", "\n\na", "\n", true, []string{"\n", "\n", "a"}},
		{"NUL", "a\nb\x00\x00c", "\x00", false, []string{"a\nb", "", "c"}},
		{"many bytes", "a<>b<>>c<", "<>", false, []string{"a", "b", ">c<"}},
		{"overlap", "aaab", "aab", false, []string{"a"}},
		{"CR stays", "a\r\n", "\n", false, []string{"a\r"}},
		{"long", big + "\n" + big + "\nz", "\n", false, []string{big, big, "z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":       strings.NewReader(tt.in),
				"byte a byte": iotest.OneByteReader(strings.NewReader(tt.in)),
				"data at EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				got, err := all(NewSplitter(r, []byte(tt.delim), tt.keep, 0))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: got %d records %.80q, want %d %.80q", name, len(got), got, len(tt.want), tt.want)
				}
			}
		})
	}
}

func TestSplitterReadError(t *testing.T) {
	broken := errors.New("broken")
	s := NewSplitter(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), []byte("\n"), false, 0)
	got, err := all(s)
	if want := []string{"a"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, broken) {
		t.Errorf("got error %v, want %v", err, broken)
	}
}

// Records are the caller's: later reads do not write over them.
func TestSplitterOwnership(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var in bytes.Buffer
	var want []string
	for range 500 {
		size := rng.IntN(100)
		if rng.IntN(20) == 0 {
			size = rng.IntN(2 * minRead)
		}
		r := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, size)
		want = append(want, string(r))
		in.Write(append(r, '\n'))
	}
	s := NewSplitter(&in, []byte("\n"), false, 0)
	var got [][]byte
	for {
		r, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Payload)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d records, want %d", len(got), len(want))
	}
	for i := range got {
		if string(got[i]) != want[i] {
			t.Fatalf("record %d: got %.20q (%d), want %.20q (%d)", i, got[i], len(got[i]), want[i], len(want[i]))
		}
	}
}

// FuzzSplitter: the records are those of bytes.Split, and with their delimiters
// they are the input again, however it arrives.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\n\nb"), []byte("\n"))
	f.Add([]byte("aaab"), []byte("aab"))
	f.Add([]byte("\x00\x00"), []byte("\x00"))
	f.Fuzz(func(t *testing.T, in, delim []byte) {
		if len(delim) == 0 {
			t.Skip("a Splitter has a delimiter")
		}
		kept, err := all(NewSplitter(bytes.NewReader(in), delim, true, 0))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(kept, ""); got != string(in) {
			t.Fatalf("joined: got %q, want %q", got, in)
		}
		stripped, err := all(NewSplitter(iotest.HalfReader(bytes.NewReader(in)), delim, false, 0))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(string(in), string(delim))
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		if !slices.Equal(stripped, want) {
			t.Fatalf("got %q, want %q", stripped, want)
		}
		if len(stripped) != len(kept) {
			t.Fatalf("got %d stripped records, %d kept", len(stripped), len(kept))
		}
		for i, r := range stripped {
			if want := strings.TrimSuffix(kept[i], string(delim)); r != want {
				t.Fatalf("got %q, want %q", r, want)
			}
		}
	})
}

// Records that a slab or a buffer have in common, and those that take the buffer
// with them, are those of bytes.Split too.
func TestSplitterModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		var in bytes.Buffer
		for range rng.IntN(400) {
			size := rng.IntN(40)
			switch rng.IntN(20) {
			case 0:
				size = rng.IntN(3 * minRead)
			case 1:
				size = smallPiece - 2 + rng.IntN(4)
			}
			in.Write(bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, size))
			in.WriteString("<>")
		}
		want := strings.Split(in.String(), "<>")
		got, err := all(NewSplitter(&chunks{in.Bytes(), 1 + rng.IntN(4*minRead)}, []byte("<>"), false, 0))
		if err != nil {
			t.Fatal(err)
		}
		if want = want[:len(want)-1]; !slices.Equal(got, want) {
			t.Fatalf("got %d records, want %d", len(got), len(want))
		}
	}
}
