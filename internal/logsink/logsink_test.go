package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func testLostLine(n uint64) []byte { return fmt.Appendf(nil, "lost %d\n", n) }

// gatedWriter blocks each write until it is opened, and fails as long as err is set.
type gatedWriter struct {
	gate chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	err  error
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	<-w.gate
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	return w.text.Write(p)
}

func (w *gatedWriter) setError(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *gatedWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func TestSinkDropsAndCountsForABlockedWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gatedWriter{gate: make(chan struct{})}
		s := New(w, testLostLine)
		line := strings.Repeat("x", 1023) + "\n"
		io.WriteString(s, line) // the goroutine blocks with it
		synctest.Wait()
		for range MaxPending/len(line) + 5 {
			io.WriteString(s, line)
		}
		close(w.gate)
		synctest.Wait()
		io.WriteString(s, "after\n")
		s.Close()
		got := strings.ReplaceAll(w.String(), line, "")
		if want := "lost 5\nafter\n"; got != want {
			t.Errorf("besides whole lines: %q, want %q", got, want)
		}
		if n := strings.Count(w.String(), line); n != 1+MaxPending/len(line) {
			t.Errorf("%d lines, want %d", n, 1+MaxPending/len(line))
		}
	})
}

func TestSinkCountsWhatTheWriterRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gatedWriter{gate: make(chan struct{})}
		close(w.gate)
		w.setError(errors.New("no reader"))
		s := New(w, testLostLine)
		for range 3 {
			io.WriteString(s, "line\n")
			synctest.Wait()
		}
		w.setError(nil)
		io.WriteString(s, "after\n")
		s.Close()
		if got, want := w.String(), "lost 3\nafter\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestSinkCloseDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gatedWriter{gate: make(chan struct{})}
		s := New(w, testLostLine)
		io.WriteString(s, "line\n")
		began := time.Now()
		s.Close()
		io.WriteString(s, "gm: error\n")
		if d := time.Since(began); d > 2*flushTime {
			t.Errorf("close and a write took %v", d)
		}
		close(w.gate)
		synctest.Wait()
	})
}

func TestSinkWritesAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &gatedWriter{gate: make(chan struct{})}
		close(w.gate)
		s := New(w, testLostLine)
		io.WriteString(s, "line\n")
		s.Close()
		io.WriteString(s, "gm: error\n")
		if got, want := w.String(), "line\ngm: error\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestSinkRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var before, after bytes.Buffer
		s := New(&before, testLostLine)
		io.WriteString(s, "one\n")
		synctest.Wait()
		s.Redirect(&after)
		io.WriteString(s, "two\n")
		s.Close()
		if before.String() != "one\n" || after.String() != "two\n" {
			t.Errorf("got %q and %q", before.String(), after.String())
		}
	})
}

// TestSinkRedirectKeepsLinesOnTheirWay redirects a sink while it writes to a writer that
// fails then, as a closed file does.
func TestSinkRedirectKeepsLinesOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := &gatedWriter{gate: make(chan struct{})}
		before.setError(errors.New("file already closed"))
		var after bytes.Buffer
		s := New(before, testLostLine)
		io.WriteString(s, "one\n")
		synctest.Wait()
		s.Redirect(&after)
		close(before.gate)
		synctest.Wait()
		io.WriteString(s, "two\n")
		s.Close()
		if got, want := after.String(), "one\ntwo\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
