package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"gm/pkg/wire"
)

// TestNoAllocations checks that the calls for each packet allocate nothing.
func TestNoAllocations(t *testing.T) {
	body := "reverse\x00key\x00test"
	submit := raw("REQ", uint32(wire.SubmitJob), body)
	var p wire.Packet
	dst := make([]byte, 0, 4096)
	function, key, payload := []byte("reverse"), []byte("key"), []byte("test")
	r := wire.NewReader(&endless{packet: submit}, wire.Limits{})
	lentReader, lent := wire.NewReader(&endless{packet: submit}, wire.Limits{}), make([]byte, 1000)
	w := wire.NewWriter(io.Discard)
	for _, tc := range []struct {
		name string
		do   func()
	}{
		{"Decode", func() { wire.Decode(submit, wire.Limits{}, &p) }},
		{"Append", func() { dst = wire.Append(dst[:0], wire.Request, wire.SubmitJob, function, key, payload) }},
		{"AppendString", func() { dst = wire.AppendString(dst[:0], wire.Request, wire.SubmitJob, "reverse", "key", "test") }},
		{"Packet.Append", func() { dst = p.Append(dst[:0]) }},
		{"Reader.Packet", func() {
			for {
				if ok, _ := r.Packet(&p); ok {
					return
				}
				r.Fill()
			}
		}},
		{"Reader.Next", func() { r.Next(&p) }},
		{"Reader.FillLent", func() {
			for {
				if ok, _ := lentReader.Packet(&p); ok {
					return
				}
				lentReader.ReturnLent()
				lentReader.FillLent(lent)
			}
		}},
		{"Writer", func() {
			w.Send(wire.Request, wire.SubmitJob, function, key, payload)
			w.Flush()
		}},
		{"FunctionStatus.Append", func() { dst = wire.FunctionStatus{Function: "reverse", Total: 1000}.Append(dst[:0]) }},
	} {
		for range 2000 { // until the buffers have their size
			tc.do()
		}
		if got := testing.AllocsPerRun(1000, tc.do); got != 0 {
			t.Errorf("%s allocates %v times", tc.name, got)
		}
	}
	if got := fmt.Sprintf("%s|%s|%s", p.Args[0], p.Args[1], p.Args[2]); got != "reverse|key|test" {
		t.Errorf("the last packet has arguments %s", got)
	}
}

// endless is a source of one packet again and again.
type endless struct {
	packet []byte
	at     int
}

func (e *endless) Read(b []byte) (n int, err error) {
	for n < len(b) {
		k := copy(b[n:], e.packet[e.at:])
		n += k
		e.at = (e.at + k) % len(e.packet)
	}
	return n, nil
}

func BenchmarkDecode(b *testing.B) {
	submit := raw("REQ", uint32(wire.SubmitJobBG), "reverse\x000123456789abcdef0123456789abcdef\x00"+string(make([]byte, 100)))
	b.SetBytes(int64(len(submit)))
	b.ReportAllocs()
	var p wire.Packet
	for b.Loop() {
		if _, err := wire.Decode(submit, wire.Limits{}, &p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	function, unique, payload := []byte("reverse"), []byte("0123456789abcdef0123456789abcdef"), make([]byte, 100)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = wire.Append(dst[:0], wire.Request, wire.SubmitJobBG, function, unique, payload)
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkReader(b *testing.B) {
	for _, size := range []int{10, 100, 10_000, 100_000, 10 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			src := &endless{packet: wire.Append(nil, wire.Response, wire.EchoRes, make([]byte, size))}
			r := wire.NewReader(src, wire.Limits{})
			b.SetBytes(int64(len(src.packet)))
			b.ReportAllocs()
			var p wire.Packet
			for b.Loop() {
				if err := r.Next(&p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWriter(b *testing.B) {
	for _, size := range []int{10, 100, 10_000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := wire.NewWriter(io.Discard)
			payload := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				w.Send(wire.Response, wire.EchoRes, payload)
				if w.Buffered() > 16<<10 {
					w.Flush()
				}
			}
		})
	}
}

func BenchmarkParseStatus(b *testing.B) {
	row := bytes.TrimSuffix(wire.FunctionStatus{Function: "reverse", Total: 1000, Running: 10, Workers: 20}.Append(nil), []byte{'\n'})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ParseFunctionStatus(row); err != nil {
			b.Fatal(err)
		}
	}
}
