package fsys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// notes is a Watcher that writes the changes down.
type notes struct{ list []string }

func (n *notes) add(format string, args ...any) {
	n.list = append(n.list, fmt.Sprintf(format, args...))
}

func base(f *os.File) string { return filepath.Base(f.Name()) }

func (n *notes) Opened(f *os.File) { n.add("open %s", base(f)) }
func (n *notes) Wrote(f *os.File, b []byte, offset int64) {
	n.add("write %q at %d of %s", b, offset, base(f))
}
func (n *notes) Resized(f *os.File, size int64) { n.add("resize %s to %d", base(f), size) }
func (n *notes) Syncing(f *os.File) (synced func()) {
	n.add("sync %s", base(f))
	return func() { n.add("synced %s", base(f)) }
}

func (n *notes) Renamed(from, to string) {
	n.add("rename %s to %s", filepath.Base(from), filepath.Base(to))
}

func (n *notes) Linked(from, to string) {
	n.add("link %s as %s", filepath.Base(from), filepath.Base(to))
}
func (n *notes) Removed(name string) { n.add("remove %s", filepath.Base(name)) }
func (n *notes) SyncingDir(string) (synced func()) {
	n.add("sync dir")
	return func() { n.add("synced dir") }
}

// TestWatcher makes each change and sees that it is made and reported.
func TestWatcher(t *testing.T) {
	dir := t.TempDir()
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	n := new(notes)
	y := &FS{Watch: n}
	f, err := y.Open(a, os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	removed, errRemove := false, error(nil)
	err = errors.Join(
		y.WriteAt(f, []byte("xyz"), 2), y.Sync(f), y.Datasync(f), y.Truncate(f, 4),
		y.KeepCopy(a, b), y.Rename(a, c), y.SyncDir(dir),
	)
	removed, errRemove = y.Remove(c)
	if err = errors.Join(err, errRemove); err != nil || !removed {
		t.Fatalf("got %v, removed %v", err, removed)
	}
	if removed, err := y.Remove(c); err != nil || removed {
		t.Errorf("remove again: got %v, %v, want nothing", removed, err)
	}
	if got, err := os.ReadFile(b); err != nil || string(got) != "\x00\x00xy" {
		t.Errorf("the copy has %q, %v", got, err)
	}
	want := []string{
		"open a", `write "xyz" at 2 of a`, "sync a", "synced a", "sync a", "synced a", "resize a to 4",
		"link a as b", "rename a to c", "sync dir", "synced dir", "remove c",
	}
	if !slices.Equal(n.list, want) {
		t.Errorf("got %q, want %q", n.list, want)
	}
}

// TestFailuresAreNotReported sees that a change that fails is not reported as
// made.
func TestFailuresAreNotReported(t *testing.T) {
	dir := t.TempDir()
	n := new(notes)
	y := &FS{Watch: n}
	f, err := os.Create(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	missing := filepath.Join(dir, "missing")
	_, errOpen := y.Open(missing, os.O_RDWR)
	for what, err := range map[string]error{
		"open": errOpen, "sync": y.Sync(f), "truncate": y.Truncate(f, 1), "rename": y.Rename(missing, missing+"2"),
		"copy": y.KeepCopy(missing, missing+"2"), "directory": y.SyncDir(missing),
	} {
		if err == nil && !(what == "directory" && runtime.GOOS == "windows") {
			t.Errorf("%s: got no error", what)
		}
	}
	for _, line := range n.list {
		if line != "sync a" && line != "sync dir" {
			t.Errorf("reported: %s", line)
		}
	}
}

// TestReserve sees that a reserved file has its size, and keeps its content.
func TestReserve(t *testing.T) {
	y := new(FS)
	f, err := y.Open(filepath.Join(t.TempDir(), "a"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := y.WriteAt(f, []byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	if err := Reserve(f, 0, 100_000); errors.Is(err, ErrNoReserve) {
		t.Skip("this file system reserves no blocks")
	} else if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(y.ReaderOf(f), 0, 1<<20))
	if err != nil || len(b) != 100_000 || string(b[:7]) != "content" {
		t.Errorf("got %d bytes, %.7q, %v, want 100000", len(b), b, err)
	}
}
