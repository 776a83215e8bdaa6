package results

import (
	"io"
	"testing"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// BenchmarkRecorder writes the results of records that have ended.
func BenchmarkRecorder(b *testing.B) {
	out, err := NewOutput(io.Discard, nil)
	if err != nil {
		b.Fatal(err)
	}
	w := New(Config{Sink: NewText(out, TextOptions{End: "\n"}), Output: out, Many: true})
	done := callBoth(nil, w.recordDone)
	w.batch = &batch.Batch{Task: gearman.Task{Function: "f"}}
	r := &batch.Record{Payload: []byte("payload")}
	result := []byte("result")
	b.ReportAllocs()
	for b.Loop() {
		if err := w.c.Sink.Data(r, result); err != nil {
			b.Fatal(err)
		}
		if err := done(r); err != nil {
			b.Fatal(err)
		}
	}
}
