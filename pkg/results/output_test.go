package results

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openTestFile opens the file name in dir, and creates it if needed.
func openTestFile(t *testing.T, dir, name string, flags int) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|flags, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func newTestOutput(t *testing.T, f *os.File) *Output {
	t.Helper()
	o, err := NewOutput(f, f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func writeTo(t *testing.T, o *Output, text string) {
	t.Helper()
	if n, err := o.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("write %.20q: got %d, %v, want %d", text, n, err, len(text))
	}
}

func checkText(t *testing.T, f *os.File, want string) {
	t.Helper()
	got, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s: got %d bytes %.100q, want %d bytes %.100q", filepath.Base(f.Name()), len(got), got, len(want), want)
	}
}

func TestOutputOffset(t *testing.T) {
	f := openTestFile(t, t.TempDir(), "out", 0)
	if _, err := f.WriteString("before"); err != nil {
		t.Fatal(err)
	}
	o := newTestOutput(t, f)
	if got := o.offset(); got != 6 {
		t.Errorf("offset in a file of 6 bytes: got %d", got)
	}
	writeTo(t, o, " and after")
	if got := o.offset(); got != 16 {
		t.Errorf("offset with bytes in the buffer: got %d, want 16", got)
	}
	checkText(t, f, "before")
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	checkText(t, f, "before and after")
	large := strings.Repeat("x", maxBuffered+1)
	writeTo(t, o, large)
	checkText(t, f, "before and after"+large)
	if got := o.offset(); got != int64(16+len(large)) {
		t.Errorf("offset after a large piece: got %d, want %d", got, 16+len(large))
	}
}

func TestOutputAppends(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "out"), []byte("first"), 0o666); err != nil {
		t.Fatal(err)
	}
	o := newTestOutput(t, openTestFile(t, dir, "out", os.O_APPEND))
	if got := o.offset(); got != 5 {
		t.Errorf("offset in a file that is appended to: got %d, want 5", got)
	}
}

func TestOutputRewind(t *testing.T) {
	dir := t.TempDir()
	f := openTestFile(t, dir, "out", 0)
	o := newTestOutput(t, f)
	writeTo(t, o, "one two")
	if err := o.rewind(3); err != nil { // in the buffer
		t.Fatal(err)
	}
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	checkText(t, f, "one")
	writeTo(t, o, " three")
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := o.rewind(3); err != nil { // in the file
		t.Fatal(err)
	}
	checkText(t, f, "one")
	writeTo(t, o, " four")
	if err := o.Flush(); err != nil {
		t.Fatal(err)
	}
	other := openTestFile(t, dir, "out", os.O_APPEND)
	if _, err := other.WriteString(" foreign"); err != nil {
		t.Fatal(err)
	}
	if err := o.rewind(3); err != nil {
		t.Fatal(err)
	}
	checkText(t, f, "one four foreign") // another process has written
}

func TestOutputMoveEnd(t *testing.T) {
	dir := t.TempDir()
	f := openTestFile(t, dir, "out", 0)
	if _, err := f.WriteString("kept cut"); err != nil {
		t.Fatal(err)
	}
	o := newTestOutput(t, f)
	end := openTestFile(t, dir, "end", 0)
	if _, err := end.WriteString("earlier"); err != nil {
		t.Fatal(err)
	}
	n, _, err := o.moveEnd(4, end.Name())
	if n != 4 || err != nil {
		t.Fatalf("got %d bytes, %v, want 4", n, err)
	}
	checkText(t, f, "kept")
	checkText(t, end, "earlier cut")
	if n, moved, err := o.moveEnd(4, end.Name()); n != 0 || moved || err != nil {
		t.Errorf("nothing to move: got %d, %v, %v", n, moved, err)
	}
}

// failAfter is a writer that takes n bytes and then fails, once or for ever.
type failAfter struct {
	w    io.Writer
	n    int
	once bool
}

var errNoRoom = errors.New("no room")

func (f *failAfter) Write(p []byte) (int, error) {
	if len(p) > f.n {
		n, err := f.w.Write(p[:f.n])
		f.n = 0
		if f.once {
			f.n = math.MaxInt
		}
		return n, errors.Join(err, errNoRoom)
	}
	f.n -= len(p)
	return f.w.Write(p)
}

func TestOutputErr(t *testing.T) {
	var buf bytes.Buffer
	o, err := NewOutput(&failAfter{w: &buf, n: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.offset(); got != -1 {
		t.Errorf("offset without a file: got %d, want -1", got)
	}
	writeTo(t, o, "four")
	if o.Err() != nil {
		t.Errorf("before Flush: got %v, want no error", o.Err())
	}
	if err := o.Flush(); !errors.Is(err, errNoRoom) || o.Err() != err {
		t.Errorf("Flush: got %v, and Err %v, want the same error", err, o.Err())
	}
}
