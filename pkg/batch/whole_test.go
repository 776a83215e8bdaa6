package batch_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

func TestWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("four"), 0o666); err != nil {
		t.Fatal(err)
	}
	openFile := func() io.Reader {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	for _, tt := range []struct {
		name  string
		r     io.Reader
		limit int
		want  string
		large bool
	}{
		{"a reader", strings.NewReader("four"), 4, "four", false},
		{"small pieces", iotest.OneByteReader(strings.NewReader("four")), 100, "four", false},
		{"nothing", strings.NewReader(""), 4, "", false},
		{"a large reader", strings.NewReader("four"), 3, "", true},
		{"a file", openFile(), 4, "four", false},
		{"a large file", openFile(), 3, "", true},
	} {
		w := batch.NewWhole(tt.r, "input", tt.limit)
		in, err := w.Next()
		switch {
		case err != nil:
			t.Errorf("%s: got error %v, want a record", tt.name, err)
		case string(in.Payload) != tt.want || errors.Is(in.Err, gearman.ErrTooLarge) != tt.large:
			t.Errorf("%s: got %q, %v, want %q", tt.name, in.Payload, in.Err, tt.want)
		}
		if _, err := w.Next(); err != io.EOF {
			t.Errorf("%s: got %v after the record, want io.EOF", tt.name, err)
		}
	}
	broken := errors.New("broken")
	if _, err := batch.NewWhole(iotest.ErrReader(broken), "input", 4).Next(); !errors.Is(err, broken) {
		t.Errorf("a broken reader: got %v, want its error", err)
	}
}
