package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"gm/pkg/wire"
)

// readAllLent is readAll with a lent buffer, which others use in between.
func readAllLent(r *wire.Reader, lent []byte) (got []string, err error) {
	for {
		_, err := r.FillLent(lent)
		if err == nil {
			var taken []string
			taken, err = takeAll(r)
			got = append(got, taken...)
		}
		r.ReturnLent()
		if err != nil {
			return got, err
		}
		for i := range lent {
			lent[i] = 'x'
		}
	}
}

func TestLentBuffers(t *testing.T) {
	stream, want := dialogue()
	sources := map[string]func(io.Reader) io.Reader{
		"at once":          func(r io.Reader) io.Reader { return r },
		"a byte at a time": iotest.OneByteReader,
		"half at a time":   iotest.HalfReader,
		"end with bytes":   iotest.DataErrReader,
	}
	for name, source := range sources {
		for _, size := range []int{32, 100, 1000, 32 << 10} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				r := wire.NewReader(source(bytes.NewReader(stream)), wire.Limits{})
				got, err := readAllLent(r, make([]byte, size))
				if err != io.EOF {
					t.Errorf("ended with %v, want EOF", err)
				}
				if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
					t.Errorf("got\n%s\nwant\n%s", g, w)
				}
			})
		}
	}
}

func TestLentBufferCut(t *testing.T) {
	r := wire.NewReader(strings.NewReader("\x00REQ\x00\x00"), wire.Limits{})
	if _, err := readAllLent(r, make([]byte, 64)); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, want ErrUnexpectedEOF", err)
	}
}

// TestLentSizes sends payloads around the sizes of the buffers.
func TestLentSizes(t *testing.T) {
	payload := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{}).Read(payload)
	sizes := []int{0, 1, 100, 4000, 4083, 4084, 4085, 16371, 16372, 32755, 32756, 32757, 40000, 260000, 1 << 20, 3 << 20, 5}
	var stream []byte
	for _, n := range sizes {
		stream = wire.Append(stream, wire.Response, wire.EchoRes, payload[:n])
	}
	r, lent := wire.NewReader(bytes.NewReader(stream), wire.Limits{}), make([]byte, 32<<10)
	var p wire.Packet
	for len(sizes) > 0 {
		if _, err := r.FillLent(lent); err != nil {
			t.Fatal(err)
		}
		for {
			ok, err := r.Packet(&p)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if !bytes.Equal(p.Last(), payload[:sizes[0]]) {
				t.Errorf("payload of %d bytes: came back as other %d bytes", sizes[0], len(p.Last()))
			}
			sizes = sizes[1:]
		}
		r.ReturnLent()
	}
	if n := r.Buffered(); n != 0 {
		t.Errorf("%d bytes left behind", n)
	}
}

// TestLentLeftBehind: whole packets may be left for after ReturnLent.
func TestLentLeftBehind(t *testing.T) {
	const packets = 1000
	one := wire.AppendString(nil, wire.Request, wire.EchoReq, "hello")
	r, lent := wire.NewReader(bytes.NewReader(bytes.Repeat(one, packets)), wire.Limits{}), make([]byte, 32<<10)
	var p wire.Packet
	n := 0
	for r.Form() != 0 || n == 0 {
		ok, err := r.Packet(&p)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			if n++; string(p.Args[0]) != "hello" {
				t.Fatalf("packet %d: %q", n, p.Args[0])
			}
		}
		if !ok || n%100 == 0 {
			r.ReturnLent()
			clear(lent)
		}
		if !ok {
			if _, err := r.FillLent(lent); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != packets {
		t.Errorf("got %d packets, want %d", n, packets)
	}
}

func TestDetach(t *testing.T) {
	large := bytes.Repeat([]byte("large"), 100_000)
	var stream []byte
	for range 3 {
		stream = wire.Append(stream, wire.Request, wire.SubmitJobBG, []byte("f"), []byte("u"), large)
		stream = wire.AppendString(stream, wire.Request, wire.EchoReq, "small")
	}
	for name, fill := range map[string]func(r *wire.Reader, lent []byte) error{
		"Fill": func(r *wire.Reader, _ []byte) error { return r.Fill() },
		"FillLent": func(r *wire.Reader, lent []byte) error {
			r.ReturnLent()
			_, err := r.FillLent(lent)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, lent := wire.NewReader(bytes.NewReader(stream), wire.Limits{}), make([]byte, 32<<10)
			var taken []wire.Packet
			var p wire.Packet
			for {
				ok, err := r.Packet(&p)
				if err != nil {
					t.Fatal(err)
				}
				if ok && p.Type == wire.EchoReq {
					if r.Detach(p.Last()) {
						t.Error("the buffer of a small packet was given away")
					}
					if string(p.Last()) != "small" {
						t.Errorf("got %q", p.Last())
					}
				}
				if ok && p.Type == wire.SubmitJobBG && r.Detach(p.Last()) {
					taken = append(taken, p)
				}
				if !ok {
					if err := fill(r, lent); err == io.EOF {
						break
					} else if err != nil {
						t.Fatal(err)
					}
				}
			}
			if len(taken) != 3 {
				t.Errorf("%d large packets were given away, want 3", len(taken))
			}
			for _, p := range taken {
				if !bytes.Equal(p.Last(), large) || string(p.Args[0]) != "f" || string(p.Args[1]) != "u" {
					t.Error("a packet has changed since")
				}
			}
		})
	}
}

// Memory is held for bytes that have arrived, not for those that a header
// announces.
func TestReaderKeepsNoMoreThanHasArrived(t *testing.T) {
	for _, arrived := range []int{1, wire.HeaderSize, 100, 4000, 5000, 20_000, 100_000, 1 << 20} {
		packet := wire.AppendHeader(nil, wire.Request, wire.SubmitJobBG, 60<<20)
		packet = append(packet, "f\x00u\x00"...)
		if arrived > len(packet) {
			packet = append(packet, make([]byte, arrived-len(packet))...)
		}
		r := wire.NewReader(bytes.NewReader(packet[:arrived]), wire.Limits{})
		lent := make([]byte, 32<<10)
		for r.Buffered() < arrived {
			if _, err := r.FillLent(lent); err != nil {
				t.Fatal(err)
			}
			var p wire.Packet
			if ok, err := r.Packet(&p); ok || err != nil {
				t.Fatalf("a packet: %v, %v", ok, err)
			}
			r.ReturnLent()
		}
		if kept, most := r.Kept(), max(4096, 4*arrived+4096); kept > most {
			t.Errorf("%d bytes of a packet: %d are held, want at most %d", arrived, kept, most)
		}
	}
}
