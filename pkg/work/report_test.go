package work

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// TestReporterWritesControlLines reads the lines of a Reporter as a Worker reads them.
func TestReporterWritesControlLines(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r := &Reporter{out}
	data := bytes.Repeat([]byte{0, '\n', 0xff}, 5000)
	reported := make(chan error, 1)
	go func() {
		reported <- errors.Join(r.Status(3, 10), r.Warn("one\ntwo"), r.Data(bytes.NewReader(data)), r.Close())
	}()
	var words []string
	var got []byte
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line := lines.Text()
		if len(line)+1 > maxReportLine {
			t.Errorf("a line of %d bytes, want at most %d", len(line)+1, maxReportLine)
		}
		word, rest, _ := strings.Cut(line, " ")
		if word != "data64" {
			words = append(words, line)
			continue
		}
		piece, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, piece...)
	}
	if err := <-reported; err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(words, "; "); text != "status 3 10; warn one; warn two" {
		t.Errorf("got %q", text)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("got %d bytes of data, want the %d that were sent", len(got), len(data))
	}
}

// TestReporterFails checks the errors of a program that is not in a job, of a source
// that cannot be read, and of a worker that has gone.
func TestReporterFails(t *testing.T) {
	for _, value := range []string{"", "x", "-1", "99999999999"} {
		if _, err := OpenReporter(value); !errors.Is(err, ErrNotInJob) {
			t.Errorf("GM_CONTROL_FD=%s: got %v, want ErrNotInJob", value, err)
		}
	}
	broken := errors.New("broken")
	r := &Reporter{nopCloser{io.Discard}}
	if err := r.Data(io.MultiReader(strings.NewReader("a"), errorReader{broken})); !errors.Is(err, broken) {
		t.Errorf("a source that fails: got %v", err)
	}
	r = &Reporter{nopCloser{errorWriter{broken}}}
	for name, err := range map[string]error{
		"status": r.Status(1, 2), "warn": r.Warn("a"), "data": r.Data(strings.NewReader("a")),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s to a worker that has gone: got %v", name, err)
		}
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

type errorWriter struct{ err error }

func (w errorWriter) Write([]byte) (int, error) { return 0, w.err }
