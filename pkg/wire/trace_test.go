package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gm/pkg/wire"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden from what the tests got")

// golden compares got with a file under testdata, or rewrites the file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		must(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// TestTraceTypes has a line for each type.
func TestTraceTypes(t *testing.T) {
	var lines []byte
	for _, tc := range everyType {
		var p wire.Packet
		magic, _, _ := strings.Cut(tc.goes, " ")
		if _, err := wire.Decode(raw(magic, tc.number, tc.body), wire.Limits{}, &p); err != nil {
			t.Fatal(err)
		}
		if got, want := p.String(), string(p.AppendTrace(nil)); got != want {
			t.Errorf("String() = %s, want %s", got, want)
		}
		lines = append(p.AppendTrace(lines), '\n')
	}
	golden(t, "trace-types", lines)
}

// TestTraceExample traces PROTOCOL's example as its server would, and an admin
// connection.
func TestTraceExample(t *testing.T) {
	var log bytes.Buffer
	tracer := wire.NewTracer(&log)
	for _, tc := range protocolExample {
		var p wire.Packet
		if _, err := wire.Decode([]byte(tc.bytes), wire.Limits{}, &p); err != nil {
			t.Fatal(err)
		}
		tracer.Packet("127.0.0.1:50000", p.Magic == wire.Request, &p)
	}
	tracer.Line("[::1]:50001", true, "status")
	tracer.Line("[::1]:50001", false, "reverse\t0\t0\t1")
	tracer.Line("[::1]:50001", false, ".")
	golden(t, "trace-example", log.Bytes())
}

// TestTraceOdd traces packets that a peer should not send, and very long ones.
func TestTraceOdd(t *testing.T) {
	var lines []byte
	for _, p := range []wire.Packet{
		{},
		{Magic: wire.Response, Type: 5},
		{Type: 4294967295},
		packet(wire.EchoReq, ""),
		packet(wire.EchoReq, strings.Repeat("x", 64)),
		packet(wire.EchoReq, strings.Repeat("x", 65)),
		packet(wire.EchoReq, "\x00\xff\n\r\t\"\\\x1b[31m grün \u2028"),
		packet(wire.CanDo, strings.Repeat("long name ", 10)),
	} {
		lines = append(p.AppendTrace(lines), '\n')
	}
	golden(t, "trace-odd", lines)
}

func packet(typ wire.Type, args ...string) wire.Packet {
	p := wire.Packet{Type: typ}
	for i, a := range args {
		p.Args[i] = []byte(a)
	}
	return p
}

func TestNilTracer(t *testing.T) {
	var tracer *wire.Tracer
	p := packet(wire.GrabJob)
	tracer.Packet("peer", true, &p)
	tracer.Line("peer", true, "status")
}

// TestTracerSurvivesItsWriter: a trace that can't be written stops nothing,
// and each line is one write.
func TestTracerSurvivesItsWriter(t *testing.T) {
	dst := &sink{err: errors.New("disk full")}
	tracer := wire.NewTracer(dst)
	tracer.Line("peer", true, "status")
	dst.err = nil
	tracer.Line("peer", true, "workers")
	if got, want := dst.String(), "peer <- TEXT \"workers\"\n"; got != want || dst.writes != 2 {
		t.Errorf("%d writes of %q, want 2 of %q", dst.writes, got, want)
	}
}

// TestExtensionFields pins the JSON fields of gm's own admin commands:
// programs read them, so they are only ever added to.
func TestExtensionFields(t *testing.T) {
	var doc []byte
	for _, row := range []any{
		wire.ServerStats{Version: "1.0.0", Store: "memory"},
		wire.FunctionStats{Function: "reverse", High: 1, Normal: 2, Low: 3},
		wire.Job{Handle: "H:lap:1", Function: "reverse", Unique: "key", Reducer: "sum", Priority: "normal", State: wire.StateRunning, Worker: "[::1]:50000", WorkerID: "w1"},
		wire.Job{},
		wire.Session{FD: 7, Functions: []string{"reverse"}, Jobs: []string{"H:lap:1"}},
	} {
		b, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		doc = append(append(doc, b...), '\n')
	}
	golden(t, "extension-rows", doc)
}

func TestFunctionStatsWaiting(t *testing.T) {
	f := wire.FunctionStats{High: 1, Normal: 2, Low: 3, Delayed: 4, Running: 5}
	if got := f.Waiting(); got != 6 {
		t.Errorf("Waiting() = %d, want 6", got)
	}
}
