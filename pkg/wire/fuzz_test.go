package wire_test

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gm/pkg/wire"
)

// FuzzDecode checks that a decoded packet, appended and decoded again, is the
// same packet.
func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := wire.Limits{MaxPayload: 1 << 16}
		var p wire.Packet
		n, err := wire.Decode(b, limits, &p)
		if n < 0 || n > len(b) || err != nil && n != 0 {
			t.Fatalf("Decode of %d bytes = %d, %v", len(b), n, err)
		}
		if n == 0 {
			return
		}
		if short, err := wire.Decode(b[:n-1], limits, new(wire.Packet)); short != 0 || err != nil {
			t.Errorf("without its last byte: Decode = %d, %v, want 0", short, err)
		}
		again := p.Append(nil)
		var q wire.Packet
		if k, err := wire.Decode(again, limits, &q); k != len(again) || err != nil {
			t.Fatalf("%v appends as %q, which decodes as %d, %v", &p, again, k, err)
		}
		if p.Magic != q.Magic || p.Type != q.Type || !reflect.DeepEqual(args(&p), args(&q)) {
			t.Errorf("%v became %v", &p, &q)
		}
		if trace := p.String(); strings.ContainsAny(trace, "\n\r\x00\x1b") {
			t.Errorf("trace %q is not one line for people", trace)
		}
	})
}

// FuzzReader: however a stream arrives, the same comes out of it.
func FuzzReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		limits := wire.Limits{MaxPayload: 1 << 12}
		want, wantErr := readAll(wire.NewReader(bytes.NewReader(stream), limits))
		got, gotErr := readAll(wire.NewReader(&chopped{stream, cuts, 0}, limits))
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("in pieces:\n%s\nat once:\n%s", g, w)
		}
		if gotErr.Error() != wantErr.Error() {
			t.Errorf("in pieces ends with %v, at once with %v", gotErr, wantErr)
		}
	})
}

// chopped gives its bytes in pieces, whose lengths are those of cuts in turn.
type chopped struct {
	rest []byte
	cuts []byte
	turn int
}

func (c *chopped) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := 1
	if len(c.cuts) > 0 {
		n += int(c.cuts[c.turn%len(c.cuts)]) * 8
		c.turn++
	}
	n = copy(b, c.rest[:min(n, len(c.rest))])
	c.rest = c.rest[n:]
	return n, nil
}

// FuzzAdminRows: a row that parses, appends as one line and parses again to
// the same row.
func FuzzAdminRows(f *testing.F) {
	f.Fuzz(func(t *testing.T, line []byte) {
		line, _, _ = bytes.Cut(line, []byte{'\n'})
		for _, parse := range parsers {
			first, err := parse(line)
			if err != nil {
				continue
			}
			text := first.Append(nil)
			bare, ok := bytes.CutSuffix(text, []byte{'\n'})
			if !ok || bytes.IndexByte(bare, '\n') >= 0 {
				t.Fatalf("%+v appends as %q, not as a line", first, text)
			}
			if again, err := parse(bare); err != nil || !reflect.DeepEqual(first, again) {
				t.Errorf("%+v appends as %q, which parses as %+v, %v", first, text, again, err)
			}
		}
		words := wire.Words(line)
		var joined []byte
		for _, w := range words {
			joined = append(wire.AppendWord(joined, string(w)), ' ')
		}
		if again := wire.Words(joined); !slices.EqualFunc(words, again, bytes.Equal) {
			t.Errorf("Words(%q) = %q, joined and split again %q", line, words, again)
		}
		if reply, err := wire.ParseReply(line); err != nil && reply != "" {
			t.Errorf("ParseReply(%q) = %q and error %v", line, reply, err)
		}
	})
}
