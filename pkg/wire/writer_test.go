package wire_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"gm/pkg/wire"
)

// sink collects the written bytes and counts the writes.
type sink struct {
	bytes.Buffer
	writes int
	err    error // of every write, once set
}

func (s *sink) Write(b []byte) (int, error) {
	s.writes++
	if s.err != nil {
		return 0, s.err
	}
	return s.Buffer.Write(b)
}

func TestWriterCollects(t *testing.T) {
	var dst sink
	w := wire.NewWriter(&dst)
	must(t, w.Send(wire.Request, wire.CanDo, []byte("reverse")))
	must(t, w.Send(wire.Request, wire.PreSleep))
	w.SendLine("status")
	want := string(raw("REQ", 1, "reverse")) + string(raw("REQ", 4, "")) + "status\n"
	if dst.writes != 0 || w.Buffered() != len(want) {
		t.Errorf("before Flush: %d writes, %d bytes buffered, want 0 and %d", dst.writes, w.Buffered(), len(want))
	}
	must(t, w.Flush())
	must(t, w.Flush()) // of nothing
	if dst.writes != 1 || dst.String() != want || w.Buffered() != 0 {
		t.Errorf("after Flush: %d writes of %q, want one of %q", dst.writes, dst.String(), want)
	}
}

// TestWriterLargePayload: a large payload follows the packets collected before
// it, in order, and is not copied into the buffer.
func TestWriterLargePayload(t *testing.T) {
	payload := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{}).Read(payload)
	var dst sink
	w := wire.NewWriter(&dst)
	must(t, w.Send(wire.Request, wire.WorkData, []byte("H:lap:1"), []byte("small")))
	must(t, w.Send(wire.Request, wire.WorkComplete, []byte("H:lap:1"), payload))
	must(t, w.Send(wire.Request, wire.GrabJob))
	if dst.writes != 2 {
		t.Errorf("%d writes before Flush, want 2: the buffer and the payload", dst.writes)
	}
	must(t, w.Flush())

	r := wire.NewReader(&dst, wire.Limits{})
	for _, want := range []struct {
		typ  wire.Type
		last []byte
	}{{wire.WorkData, []byte("small")}, {wire.WorkComplete, payload}, {wire.GrabJob, nil}} {
		var p wire.Packet
		if err := r.Next(&p); err != nil || p.Type != want.typ {
			t.Fatalf("got %v, %v, want %v", p.Type, err, want.typ)
		}
		if !bytes.Equal(p.Last(), want.last) {
			t.Errorf("%v: payload of %d bytes differs from the %d that were sent", p.Type, len(p.Last()), len(want.last))
		}
	}
}

func TestWriterErrorSticks(t *testing.T) {
	broken := errors.New("broken pipe")
	small, large := []byte("test"), make([]byte, 1<<20)
	for _, tc := range []struct {
		name  string
		first func(w *wire.Writer) error
	}{
		{"in Flush", func(w *wire.Writer) error {
			must(t, w.Send(wire.Request, wire.EchoReq, small))
			return w.Flush()
		}},
		{"in Send", func(w *wire.Writer) error { return w.Send(wire.Request, wire.EchoReq, large) }},
	} {
		dst := &sink{err: broken}
		w := wire.NewWriter(dst)
		if err := tc.first(w); !errors.Is(err, broken) {
			t.Errorf("%s: error %v, want %v", tc.name, err, broken)
		}
		dst.err, dst.writes = nil, 0 // a stream with a hole in it can't be mended
		for range 3 {
			w.SendLine("status")
			if err := w.Send(wire.Request, wire.EchoReq, small); err != broken {
				t.Errorf("%s: a later Send returns %v, want %v", tc.name, err, broken)
			}
			if err := w.Flush(); err != broken {
				t.Errorf("%s: a later Flush returns %v, want %v", tc.name, err, broken)
			}
		}
		if dst.writes != 0 || w.Buffered() != 0 {
			t.Errorf("%s: %d writes and %d bytes buffered after the error, want none", tc.name, dst.writes, w.Buffered())
		}
	}
}

// TestWriterRefusesFourGiB: the header could not name the size. The arguments
// share one slice, so that the test needs no such memory.
func TestWriterRefusesFourGiB(t *testing.T) {
	if testing.Short() {
		t.Skip("reserves 1 GiB of address space")
	}
	part := make([]byte, 1<<30)
	var dst sink
	w := wire.NewWriter(&dst)
	err := w.Send(wire.Response, wire.JobAssignAll, part, part, part, part, part)
	if !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("error %v, want %v", err, wire.ErrTooLarge)
	}
	must(t, w.Send(wire.Request, wire.GrabJob)) // the stream is whole still
	must(t, w.Flush())
	if got, want := dst.String(), string(raw("REQ", 9, "")); got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

// TestPipe sends the packets of every type through a Writer, a pipe and a
// Reader at once, as a connection has them.
func TestPipe(t *testing.T) {
	src, dst := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		w := wire.NewWriter(dst)
		for _, tc := range everyType {
			var p wire.Packet
			if _, err := wire.Decode(raw("REQ", tc.number, tc.body), wire.Limits{}, &p); err != nil {
				sent <- err
				break
			}
			if err := w.Send(p.Magic, p.Type, p.Args[:p.Type.NumArgs()]...); err != nil {
				sent <- err
				break
			}
			if tc.number%5 == 0 {
				w.Flush()
			}
		}
		sent <- w.Flush()
		dst.Close()
	}()
	r := wire.NewReader(src, wire.Limits{})
	for _, tc := range everyType {
		var p wire.Packet
		if err := r.Next(&p); err != nil || p.Type != tc.typ {
			t.Fatalf("got %v, %v, want %v", p.Type, err, tc.typ)
		}
	}
	must(t, <-sent)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
