package cmd

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, test := range []struct{ bound, total, want int64 }{
		{200 * mib, 64 * gib, 500 * mib},
		{200 * mib, 0, 500 * mib},
		{12 * gib, 24 * gib, 24*gib - 24*gib/10},
		{24 * gib, 24 * gib, 24*gib + 100*mib}, // asked for
	} {
		if got := memoryLimit(test.bound, test.total); got != test.want {
			t.Errorf("bound %d of %d: got %d, want %d", test.bound, test.total, got, test.want)
		}
	}
}

func TestReadNumber(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]int64{"17\n": 17, "max\n": 0, "": 0, "0\n": 0} {
		file := filepath.Join(dir, "limit")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readNumber(file); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	if got := readNumber(filepath.Join(dir, "nosuch")); got != 0 {
		t.Errorf("no file: got %d", got)
	}
	file := filepath.Join(dir, "large")
	if err := os.WriteFile(file, []byte("99999999999999999999999"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readNumber(file); got < 1<<58 {
		t.Errorf("a number too large for its type: got %d", got)
	}
}
