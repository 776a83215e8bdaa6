package dump

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"gm/pkg/store"
)

// FuzzDumpLine: a record is the same after a line of a dump. Its attempts are two
// counts, see Record.Tried.
func FuzzDumpLine(f *testing.F) {
	f.Add(uint64(1), "f", "u", "r", []byte("payload"), uint8(1), int64(0), int64(1_795_000_000_123), 3)
	f.Add(uint64(1<<63), "\xff", "\x00\xfe", "\u2028<&>", []byte(nil), uint8(0), int64(-1), int64(-1), -1)
	f.Add(uint64(0), "\xff", "", "\xff", []byte("\x00"), uint8(2), int64(1), int64(0), 0)
	f.Fuzz(func(t *testing.T, seq uint64, function, unique, reducer string, payload []byte, priority uint8, runAt, accepted int64, attempts int) {
		if function == "" {
			return
		}
		want := &store.Record{
			Seq: seq, Function: function, Unique: unique, Reducer: reducer, Payload: append([]byte{}, payload...),
			Priority: priority % 3, RunAt: runAt, Accepted: accepted, Attempts: max(attempts, 0) & math.MaxInt32,
		}
		text := asLine(jobLine(want))
		if strings.Count(text, "\n") != 1 {
			t.Errorf("%+v: got %q, want one line", want, text)
		}
		var line dumpLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		op, err := line.op()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if op.Kind != store.Add || !reflect.DeepEqual(op.Record, want) {
			t.Errorf("%s: got %+v, want %+v", text, op.Record, want)
		}
	})
}

func TestDumpLineErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                   "no function",
		`{"function":"f"}`:                     "without its payload",
		`{"function":"f","payload":"?"}`:       "payload: ",
		`{"function":"","payload":""}`:         "no function",
		`{"extra":"k"}`:                        "without its key or value",
		`{"extra":"","value":""}`:              "without its key or value",
		`{"extra":"k","value":"?"}`:            "value: ",
		`{"function":"f","priority":"urgent"}`: "priority",

		`{"function":"f","payload":"","attempts":-1}`:              "attempts -1",
		`{"function":"f","payload":"","attempts":1,"failures":-1}`: "failures -1",
	} {
		var line dumpLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if op, err := line.op(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v, %v, want an error with %q", text, op, err, want)
		}
	}
}

// asLine returns a line as Write writes it.
func asLine(l *dumpLine) string {
	var b strings.Builder
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(l); err != nil {
		panic(err)
	}
	return b.String()
}
