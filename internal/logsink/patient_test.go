package logsink

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A PatientWriter waits once for a reader that is stuck, and again after the reader
// went on.
func TestPatientWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &gatedWriter{gate: make(chan struct{})}
		s := New(to, testLostLine)
		w := &PatientWriter{Sink: s}
		line := strings.Repeat("x", 1023) + "\n"
		io.WriteString(w, line) // the goroutine blocks with it
		synctest.Wait()
		for range MaxPending / len(line) {
			io.WriteString(w, line)
		}
		for i, want := range []time.Duration{patience, 0, 0} {
			began := time.Now()
			io.WriteString(w, line)
			if took := time.Since(began); took < want || took > want+2*patiencePoll {
				t.Errorf("write %d to a stuck reader took %v, want %v", i, took, want)
			}
		}
		close(to.gate)
		synctest.Wait()
		lines := 1 + MaxPending/len(line)
		if got := strings.Count(to.String(), line); got != lines {
			t.Errorf("got %d lines, want %d", got, lines)
		}
		io.WriteString(w, "after\n")
		s.Close()
		if got := strings.ReplaceAll(to.String(), line, ""); got != "lost 3\nafter\n" {
			t.Errorf("besides whole lines: %q", got)
		}
	})
}
