//go:build unix

package runner

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// cutAll pumps the parts, each in its own write, through a buffer of at most limit bytes.
func cutAll(t *testing.T, limit int, c cutter, parts ...string) error {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, part := range parts {
			_, _ = w.WriteString(part)
		}
		w.Close()
	}()
	return (&outPipe{file: r, max: limit}).pump(c)
}

func TestCutters(t *testing.T) {
	var got []string
	emit := func(b []byte) error { got = append(got, string(b)); return nil }
	tests := []struct {
		name  string
		c     cutter
		limit int
		in    string
		want  []string
	}{
		{"chunks", chunks(emit), 4, "abcdefghi", []string{"abcd", "efgh", "i"}},
		{"lines", &lines{emit: emit}, 16, "a\nbc\n\ndef", []string{"a\n", "bc\n", "\n", "def"}},
		{"lines, nothing", &lines{emit: emit}, 16, "", nil},
		{"lines, piece and rest", &lines{emit: emit}, 4, "abcdef\ng\n", []string{"abcd", "ef\n", "g\n"}},
		{"lines, buffer full of lines", &lines{emit: emit}, 4, "a\nb\nc\nd\n", []string{"a\n", "b\n", "c\n", "d\n"}},
		{"batches", batches(emit), 8, "a\nb\ncd", []string{"a\nb\n", "cd"}},
		{"batches, long line", batches(emit), 4, "abcdef\ng", []string{"abcd", "ef\n", "g"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got = nil
			if err := cutAll(t, tt.limit, tt.c, tt.in); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestCutterErrorEndsPump(t *testing.T) {
	want := errors.New("enough")
	for _, in := range []string{"a\nb\n", "no newline"} {
		calls := 0
		err := cutAll(t, 64, &lines{emit: func([]byte) error { calls++; return want }}, in)
		if err != want || calls != 1 {
			t.Errorf("%q: got %v after %d calls, want %v after 1", in, err, calls, want)
		}
	}
}

// The lines of a stream come out whole, for any sizes of its pieces.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nbb\n\nccc"), uint8(1))
	f.Add([]byte("\n\n\n"), uint8(2))
	f.Add([]byte(strings.Repeat("x", 300)+"\n"), uint8(7))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		var got [][]byte
		c := &lines{emit: func(b []byte) error { got = append(got, bytes.Clone(b)); return nil }}
		var pending []byte
		for rest := in; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			pending, rest = append(pending, rest[:n]...), rest[n:]
			taken, err := c.cut(pending, false)
			if err != nil {
				t.Fatal(err)
			}
			pending = pending[taken:]
		}
		if len(pending) > 0 {
			if taken, err := c.cut(pending, true); err != nil || taken != len(pending) {
				t.Fatalf("took %d of the last %d bytes, %v", taken, len(pending), err)
			}
		}
		want := bytes.SplitAfter(in, []byte("\n"))
		if last := len(want) - 1; len(want[last]) == 0 {
			want = want[:last]
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// The tail is that of all bytes together, for any sizes of the writes.
func FuzzTail(f *testing.F) {
	f.Add([]byte("one\ntwo\nthree\n"), uint8(3), uint8(6))
	f.Add([]byte("abcdefghijklmnop"), uint8(1), uint8(4))
	f.Fuzz(func(t *testing.T, in []byte, step, keep uint8) {
		tl := tail{max: int(keep) + 1}
		for rest := in; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			tl.write(rest[:n])
			rest = rest[n:]
		}
		want := in
		if over := len(in) - tl.max; over > 0 {
			want = in[over:]
			if in[over-1] != '\n' {
				if i := bytes.IndexByte(want, '\n'); i >= 0 && i+1 < len(want) {
					want = want[i+1:]
				}
			}
		}
		if got := tl.bytes(); !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
