//go:build unix

package cmd

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gm/internal/logsink"
)

// A trace whose reader is slow loses lines and says how many, in its place.
func TestTraceCountsLinesThatASlowReaderLoses(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	e := &env{}
	tracer, err := e.tracerWithoutWaiting(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, c := range e.Closers {
			c.Close()
		}
	}()
	written := 0
	line := strings.Repeat("x", 1000)
	for ; written < 2*logsink.MaxPending/len(line); written++ {
		tracer.Line("peer", false, line)
	}

	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read, lost := 0, 0
	for lines := bufio.NewScanner(f); read+lost < written && lines.Scan(); {
		if text := lines.Text(); strings.HasPrefix(text, "#") {
			n := 0
			if _, err := fmt.Sscanf(text, "# %d lines of the trace are lost:", &n); err != nil {
				t.Fatalf("got %q: %v", text, err)
			}
			lost += n
		} else {
			read++
		}
	}
	if lost == 0 || read+lost != written {
		t.Errorf("read %d lines, %d are said to be lost, of %d", read, lost, written)
	}
}
