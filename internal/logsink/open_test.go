//go:build unix

package logsink

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A FIFO without a reader opens at once, and lines to it wait in a sink. A regular file
// gets its lines at once.
func TestOpenWriterNeverWaitsForAReader(t *testing.T) {
	dir := t.TempDir()
	fifo, file := filepath.Join(dir, "fifo"), filepath.Join(dir, "file")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, sinks := range map[string]bool{fifo: true, file: false} {
		w, err := OpenWriter(path, os.O_WRONLY|os.O_CREATE, 0o600, testLostLine)
		if err != nil {
			t.Fatal(err)
		}
		if _, isSink := w.(*fileSink); isSink != sinks {
			t.Errorf("%s: got a %T", filepath.Base(path), w)
		}
		if _, err := io.WriteString(w, "line\n"); err != nil {
			t.Error(err)
		}
		in, err := OpenFile(path, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("line\n"))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != "line\n" {
			t.Errorf("%s: got %q, %v", filepath.Base(path), got, err)
		}
		in.Close()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := OpenWriter(filepath.Join(dir, "no", "file"), os.O_WRONLY, 0, testLostLine); err == nil {
		t.Error("a file in a folder that does not exist: got no error")
	}
}
