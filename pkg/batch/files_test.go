package batch

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gm/pkg/gearman"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	big := strings.Repeat("x", 1000)
	names := []string{write("a", "A\n"), filepath.Join(dir, "none"), write("empty", ""), dir, write("big", big), write("bigger", big+"x")}
	var records Records
	for _, name := range names {
		records = append(records, Input{Payload: []byte(name)})
	}
	unread := errors.New("unread")
	records = append(records, Input{Name: "n", Err: unread})
	src := NewFiles(&records, len(big))
	for i, want := range []struct {
		payload string
		err     error
		text    string
	}{
		{payload: "A\n"},
		{err: fs.ErrNotExist},
		{payload: ""},
		{text: "is a directory"},
		{payload: big},
		{text: "size 1001 over the limit of 1000 bytes", err: gearman.ErrTooLarge},
		{err: unread},
	} {
		in, err := src.Next()
		if err != nil {
			t.Fatal(err)
		}
		if i < len(names) && in.Name != names[i] {
			t.Errorf("got name %q, want %q", in.Name, names[i])
		}
		if string(in.Payload) != want.payload {
			t.Errorf("%s: got %.20q, want %.20q", in.Name, in.Payload, want.payload)
		}
		switch {
		case want.err != nil && !errors.Is(in.Err, want.err):
			t.Errorf("%s: got error %v, want %v", in.Name, in.Err, want.err)
		case want.text != "" && (in.Err == nil || !strings.Contains(in.Err.Error(), want.text)):
			t.Errorf("%s: got error %v, want one with %q", in.Name, in.Err, want.text)
		case want.err == nil && want.text == "" && in.Err != nil:
			t.Errorf("%s: %v", in.Name, in.Err)
		}
	}
	if _, err := src.Next(); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
}

// TestFilesRefuseMoreThanAnIntHolds has a file of which a system of 32 bits has
// room for none of the copies.
func TestFilesRefuseMoreThanAnIntHolds(t *testing.T) {
	if int64(maxFeed) > math.MaxInt32 {
		t.Skip("an int has 64 bits")
	}
	path := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{math.MaxInt32, 3 << 30, 5 << 30} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{0, math.MaxInt32} {
			if _, err := readFile(path, limit); !errors.Is(err, gearman.ErrTooLarge) {
				t.Errorf("size %d, limit %d: got %v, want %v", size, limit, err, gearman.ErrTooLarge)
			}
		}
	}
}
