package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"gm/pkg/wire"
)

// dialogue is a stream in which binary packets and admin lines alternate.
func dialogue() (stream []byte, want []string) {
	for _, tc := range everyType {
		if tc.goes == fromServer {
			continue
		}
		stream = append(stream, raw("REQ", tc.number, tc.body)...)
		want = append(want, fmt.Sprintf("%s %q", tc.name, tc.body))
		if tc.number%3 == 0 {
			stream = append(stream, "status\r\nworkers\n\n"...)
			want = append(want, "line status", "line workers", "line ")
		}
	}
	return stream, want
}

// takeAll takes all that is whole and returns it as dialogue describes it.
func takeAll(r *wire.Reader) (got []string, err error) {
	for {
		switch r.Form() {
		case 0:
			return got, nil
		case wire.Binary:
			var p wire.Packet
			ok, err := r.Packet(&p)
			if !ok || err != nil {
				return got, err
			}
			body := p.Append(nil)[wire.HeaderSize:]
			got = append(got, fmt.Sprintf("%v %q", p.Type, body))
		case wire.Text:
			line, ok, err := r.Line()
			if !ok || err != nil {
				return got, err
			}
			got = append(got, "line "+string(line))
		}
	}
}

// readAll fills and takes until the source ends.
func readAll(r *wire.Reader) (got []string, err error) {
	for {
		taken, err := takeAll(r)
		got = append(got, taken...)
		if err != nil {
			return got, err
		}
		if err := r.Fill(); err != nil {
			return got, err
		}
	}
}

func TestReaderMixesPacketsAndLines(t *testing.T) {
	stream, want := dialogue()
	for name, src := range map[string]io.Reader{
		"at once":          bytes.NewReader(stream),
		"a byte at a time": iotest.OneByteReader(bytes.NewReader(stream)),
		"half at a time":   iotest.HalfReader(bytes.NewReader(stream)),
		"end with bytes":   iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			r := wire.NewReader(src, wire.Limits{})
			got, err := readAll(r)
			if err != io.EOF {
				t.Errorf("ended with %v, want EOF", err)
			}
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
			if r.Buffered() != 0 || r.Form() != 0 {
				t.Errorf("%d bytes left behind", r.Buffered())
			}
		})
	}
}

func TestReaderNext(t *testing.T) {
	var stream []byte
	for i := range 1000 {
		stream = wire.AppendString(stream, wire.Response, wire.WorkData, "H:lap:1", strings.Repeat("x", i))
	}
	r := wire.NewReader(iotest.HalfReader(bytes.NewReader(stream)), wire.Limits{})
	var p wire.Packet
	for i := range 1000 {
		if err := r.Next(&p); err != nil || p.Type != wire.WorkData || len(p.Last()) != i {
			t.Fatalf("packet %d: %v, error %v", i, &p, err)
		}
	}
	if err := r.Next(&p); err != io.EOF {
		t.Errorf("after the last packet: %v, want EOF", err)
	}
}

func TestReaderNextLine(t *testing.T) {
	r := wire.NewReader(iotest.OneByteReader(strings.NewReader("OK 1.1\r\n\n.\nrest")), wire.Limits{})
	for _, want := range []string{"OK 1.1", "", "."} {
		if got, err := r.NextLine(); string(got) != want || err != nil {
			t.Errorf("NextLine = %q, %v, want %q", got, err, want)
		}
	}
	if line, err := r.NextLine(); err != io.ErrUnexpectedEOF {
		t.Errorf("NextLine = %q, %v, want ErrUnexpectedEOF", line, err)
	}
}

// TestReaderSizes sends payloads around the sizes at which a buffer grows.
func TestReaderSizes(t *testing.T) {
	sizes := []int{0, 1, 4000, 4096, 4097, 8191, 8192, 65480, 65524, 65536, 65540, 1 << 20, 0, 3}
	payload := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(payload)
	var stream []byte
	for _, n := range sizes {
		stream = wire.Append(stream, wire.Response, wire.EchoRes, payload[:n])
	}
	r := wire.NewReader(bytes.NewReader(stream), wire.Limits{})
	for _, n := range sizes {
		var p wire.Packet
		if err := r.Next(&p); err != nil {
			t.Fatalf("payload of %d bytes: %v", n, err)
		}
		if !bytes.Equal(p.Last(), payload[:n]) {
			t.Errorf("payload of %d bytes: came back as other %d bytes", n, len(p.Last()))
		}
	}
}

func TestReaderErrors(t *testing.T) {
	failed := errors.New("connection reset")
	packet := string(raw("REQ", 9, ""))
	for _, tc := range []struct {
		name string
		src  io.Reader
		want error
	}{
		{"end at a boundary", strings.NewReader(packet), io.EOF},
		{"end in a header", strings.NewReader(packet + packet[:5]), io.ErrUnexpectedEOF},
		{"end in a body", strings.NewReader(string(raw("REQ", 1, "reverse"))[:15]), io.ErrUnexpectedEOF},
		{"end in a line", strings.NewReader("stat"), io.ErrUnexpectedEOF},
		{"the source's own", io.MultiReader(strings.NewReader(packet), iotest.ErrReader(failed)), failed},
		{"bytes and an error", iotest.DataErrReader(io.MultiReader(strings.NewReader(packet), iotest.ErrReader(failed))), failed},
		{"reads of nothing", silent{}, io.ErrNoProgress},
		{"bad type", strings.NewReader(packet + string(raw("REQ", 99, ""))), wire.ErrBadType},
		{"bad magic", strings.NewReader("\x00RST" + packet), wire.ErrBadMagic},
		{"line without an end", strings.NewReader(strings.Repeat("x", wire.MaxLine)), wire.ErrTooLarge},
		{"line that ends too late", strings.NewReader(strings.Repeat("x", wire.MaxLine) + "\n"), wire.ErrTooLarge},
		{"longest line", strings.NewReader(strings.Repeat("x", wire.MaxLine-1) + "\n"), io.EOF},
	} {
		r := wire.NewReader(tc.src, wire.Limits{})
		for i := range 2 { // an error stays
			if _, err := readAll(r); !errors.Is(err, tc.want) {
				t.Errorf("%s: try %d ended with %v, want %v", tc.name, i+1, err, tc.want)
			}
		}
	}
}

// silent reads nothing, without an error.
type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// TestReaderEmptyReads: a source may read nothing now and then.
func TestReaderEmptyReads(t *testing.T) {
	var src []io.Reader
	for _, b := range raw("REQ", 1, "reverse") {
		src = append(src, &stutter{left: 3}, bytes.NewReader([]byte{b}))
	}
	var p wire.Packet
	if err := wire.NewReader(io.MultiReader(src...), wire.Limits{}).Next(&p); err != nil || p.Type != wire.CanDo {
		t.Errorf("got %v, %v", &p, err)
	}
}

// stutter reads nothing for a while and then ends.
type stutter struct{ left int }

func (s *stutter) Read([]byte) (int, error) {
	if s.left--; s.left < 0 {
		return 0, io.EOF
	}
	return 0, nil
}

// TestReaderBelievesOnlyBytes announces 60 MB, which is within the limit, and
// sends little or none of it: memory must follow the bytes that arrived.
func TestReaderBelievesOnlyBytes(t *testing.T) {
	const announced = 60 << 20
	header := raw("REQ", uint32(wire.EchoReq), "")
	binary.BigEndian.PutUint32(header[8:], announced)
	for _, arrived := range []int{0, 1, 5000, 200 << 10} {
		src := io.MultiReader(bytes.NewReader(header), bytes.NewReader(make([]byte, arrived)))
		r := wire.NewReader(src, wire.Limits{})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var p wire.Packet
		err := r.Next(&p)
		runtime.ReadMemStats(&after)
		if err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes arrived: error %v, want ErrUnexpectedEOF", arrived, err)
		}
		// Doubling buffers: all of them together are under four times the bytes.
		got, most := after.TotalAlloc-before.TotalAlloc, uint64(4*arrived+16<<10)
		if got > most {
			t.Errorf("%d bytes arrived: %d bytes allocated, want at most %d", arrived, got, most)
		}
	}
}

// TestReaderGivesBackLargeBuffers: after a large packet an idle connection
// must not hold on to its memory.
func TestReaderGivesBackLargeBuffers(t *testing.T) {
	const large = 32 << 20
	stream := wire.Append(nil, wire.Response, wire.EchoRes, make([]byte, large))
	stream = wire.AppendString(stream, wire.Response, wire.Noop)
	readers := make([]*wire.Reader, 4)
	var p wire.Packet
	for i := range readers {
		readers[i] = wire.NewReader(bytes.NewReader(stream), wire.Limits{})
		for _, want := range []wire.Type{wire.EchoRes, wire.Noop} {
			if err := readers[i].Next(&p); err != nil || p.Type != want {
				t.Fatalf("got %v, %v, want %v", p.Type, err, want)
			}
		}
	}
	p = wire.Packet{}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 2*large {
		t.Errorf("%d idle readers hold %d bytes", len(readers), m.HeapAlloc)
	}
	runtime.KeepAlive(readers)
}

// TestReaderKeepsPacketsUntilFill: all packets of one Fill are valid together.
func TestReaderKeepsPacketsUntilFill(t *testing.T) {
	stream := wire.AppendString(nil, wire.Request, wire.CanDo, "one")
	stream = wire.AppendString(stream, wire.Request, wire.CanDo, "two")
	r := wire.NewReader(bytes.NewReader(stream), wire.Limits{})
	if err := r.Fill(); err != nil {
		t.Fatal(err)
	}
	var one, two wire.Packet
	for _, p := range []*wire.Packet{&one, &two} {
		if ok, err := r.Packet(p); !ok || err != nil {
			t.Fatalf("Packet = %v, %v", ok, err)
		}
	}
	if got := string(one.Last()) + " " + string(two.Last()); got != "one two" {
		t.Errorf("got %q, want both packets", got)
	}
}

// TestReaderRead: bytes between two lines come out as they are, wherever the
// source cuts them.
func TestReaderRead(t *testing.T) {
	const stream = "head\n" + "\x00raw\nbytes" + ".\n"
	for _, src := range []io.Reader{
		strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream)), iotest.HalfReader(strings.NewReader(stream)),
	} {
		r := wire.NewReader(src, wire.Limits{})
		head, err := r.NextLine()
		if err != nil || string(head) != "head" {
			t.Fatalf("got %q, %v", head, err)
		}
		got := make([]byte, len("\x00raw\nbytes"))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "\x00raw\nbytes" {
			t.Errorf("got %q, %v", got, err)
		}
		if end, err := r.NextLine(); err != nil || !wire.IsEnd(end) {
			t.Errorf("got %q, %v, want the end", end, err)
		}
	}
}

// A packet that is put back is taken again, whole and in its place.
func TestReaderUnread(t *testing.T) {
	var stream []byte
	for _, text := range []string{"one", "two", "three"} {
		stream = wire.AppendString(stream, wire.Request, wire.EchoReq, text)
	}
	r := wire.NewReader(bytes.NewReader(stream), wire.Limits{})
	if err := r.Fill(); err != nil {
		t.Fatal(err)
	}
	var got []string
	var p wire.Packet
	for i := 0; ; i++ {
		ok, err := r.Packet(&p)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got = append(got, string(p.Args[0]))
		if i%2 == 0 {
			r.Unread()
			r.ReturnLent()
		}
	}
	if want := []string{"one", "one", "two", "two", "three", "three"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
