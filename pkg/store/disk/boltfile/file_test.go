package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
	"gm/pkg/store/disk/fsys"
)

var testBuckets = []string{"first", "second"}

// openNew makes a file and opens it.
func openNew(t testing.TB, files *fsys.FS, o Options) (f *File, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := Create(files, path, 77); err != nil {
		t.Fatal(err)
	}
	o.Buckets, o.NoSync = testBuckets, true
	f, err := Open(files, path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, path
}

// update calls f with a bucket in a transaction.
func update(t testing.TB, file *File, bucket string, f func(*bolt.Bucket) error) {
	t.Helper()
	if err := file.Update(func(tx *bolt.Tx) error { return f(tx.Bucket([]byte(bucket))) }); err != nil {
		t.Fatal(err)
	}
}

// fillRandomly puts entries of many sizes into both buckets, removes some, and
// returns the others.
func fillRandomly(t testing.TB, f *File, entries int) map[string]map[string]string {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	all := make(map[string]map[string]string)
	for _, name := range testBuckets {
		all[name] = make(map[string]string)
		for i := 0; i < entries; i += 50 {
			update(t, f, name, func(b *bolt.Bucket) error {
				for range 50 {
					key := fmt.Sprint("key ", random.IntN(3*entries))
					size := []int{0, 1, 100, 100, 100, 3000, 9000}[random.IntN(7)]
					value := bytes.Repeat([]byte{byte(random.Uint32())}, size)
					all[name][key] = string(value)
					if err := b.Put([]byte(key), value); err != nil {
						return err
					}
				}
				for key := range all[name] {
					if random.IntN(3) > 0 {
						break
					}
					delete(all[name], key)
					if err := b.Delete([]byte(key)); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	return all
}

// readAll returns the entries of a tree, which must be whole and in order.
func readAll(t testing.TB, tree *Tree) map[string]map[string]string {
	t.Helper()
	got := map[string]map[string]string{}
	for _, name := range testBuckets {
		got[name] = make(map[string]string)
	}
	last := ""
	w := Walk{Tree: tree, Whole: true, Leaf: func(at Place, p *Page) error {
		for i := range p.Len() {
			key, value, ok := p.Entry(i)
			if !ok || value == nil {
				t.Errorf("page %d: entry %d is not whole", at.Page, i)
			}
			if where := at.Bucket + "/" + string(key); where <= last {
				t.Errorf("%s comes after %s", where, last)
			} else {
				last = where
			}
			got[at.Bucket][string(key)] = string(value)
		}
		return nil
	}}
	if err := w.Run(); err != nil {
		t.Fatal(err)
	}
	return got
}

// plainOnly is a leaf function for Verify: no entry is a bucket.
func plainOnly(at Place, p *Page) error {
	for i := range p.Len() {
		if _, plain := p.Shape(i); !plain {
			return Corrupt(at.Page, fmt.Errorf("element %d is a bucket", i))
		}
	}
	return nil
}

func equal(t *testing.T, got, want map[string]map[string]string) {
	t.Helper()
	for name := range want {
		if len(got[name]) != len(want[name]) {
			t.Errorf("%s: got %d entries, want %d", name, len(got[name]), len(want[name]))
		}
		for key, value := range want[name] {
			if got[name][key] != value {
				t.Errorf("%s: %s has %d bytes, want %d", name, key, len(got[name][key]), len(value))
			}
		}
	}
}

// TestReadsWhatBboltWrote compares the entries that Walk, Get and Seek read with
// those that bbolt has written.
func TestReadsWhatBboltWrote(t *testing.T) {
	for _, entries := range []int{0, 50, 1000} {
		f, _ := openNew(t, new(fsys.FS), Options{})
		want := fillRandomly(t, f, entries)
		err := f.View(func(tree *Tree) error {
			equal(t, readAll(t, tree), want)
			for _, name := range testBuckets {
				b, err := tree.Bucket(name)
				if err != nil {
					return err
				}
				err = f.ViewTx(func(tx *bolt.Tx) error {
					cursor := tx.Bucket([]byte(name)).Cursor()
					for i := range 3 * entries {
						key := fmt.Appendf(nil, "key %d", i)
						value, err := b.Get(key)
						if wanted, ok := want[name][string(key)]; ok && (err != nil || string(value) != wanted) || !ok && !errors.Is(err, store.ErrNotFound) {
							t.Errorf("%s: get %s: got %d bytes, %v", name, key, len(value), err)
						}
						found, _, err := b.Seek(key)
						wantFound, _ := cursor.Seek(key)
						if !bytes.Equal(found, wantFound) || (err == nil) != (wantFound != nil) {
							t.Errorf("%s: seek %s: got %s, %v, want %s", name, key, found, err, wantFound)
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestViewStays checks that a view reads the state of its beginning.
func TestViewStays(t *testing.T) {
	f, _ := openNew(t, new(fsys.FS), Options{})
	want := fillRandomly(t, f, 500)
	// With addresses of 32 bits, a transaction that makes the map larger waits
	// for all views: it must be large enough.
	large := []byte("large")
	update(t, f, "first", func(b *bolt.Bucket) error { return b.Put(large, make([]byte, 8<<20)) })
	update(t, f, "first", func(b *bolt.Bucket) error { return b.Delete(large) })
	tree, release, err := f.Hold()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for range 5 {
		update(t, f, "first", func(b *bolt.Bucket) error {
			for key := range want["first"] {
				if err := b.Put([]byte(key), []byte("changed")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	equal(t, readAll(t, tree), want)
}

// closedFile returns the content of a file of entries and its meta.
func closedFile(t testing.TB, entries int) (b []byte, m Meta, want map[string]map[string]string) {
	t.Helper()
	f, path := openNew(t, new(fsys.FS), Options{})
	want = fillRandomly(t, f, entries)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if m, err = ReadMeta(bytes.NewReader(b)); err != nil || m.Tag != 77 {
		t.Fatalf("got %+v, %v, want the tag 77", m, err)
	}
	return b, m, want
}

// TestPrepare cuts free pages off the end of a file and has bbolt open it: bbolt
// finds it sound, with its tag, entries and free pages.
func TestPrepare(t *testing.T) {
	b, m, want := closedFile(t, 600)
	used, err := Verify(bytes.NewReader(b), m, testBuckets, plainOnly)
	if err != nil {
		t.Fatal(err)
	}
	end := m.High
	for end > 2 && !used.Has(end-1) {
		end--
	}
	files := new(fsys.FS)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b[:int64(end)*m.PageSize], 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := files.Open(path, os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Prepare(files, f, m, used), f.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := Open(files, path, Options{NoSync: true, Buckets: testBuckets})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if m, err := file.ReadMeta(); err != nil || m.Tag != 77 {
		t.Errorf("got %+v, %v, want the tag 77", m, err)
	}
	if err := file.View(func(tree *Tree) error { equal(t, readAll(t, tree), want); return nil }); err != nil {
		t.Error(err)
	}
	err = file.ViewTx(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt's check: %v", err)
		}
		if tx.DB().Stats().FreePageN == 0 {
			t.Error("bbolt has no free pages")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBroken checks that a panic in a transaction is an error, and that the file can
// be closed and opened again.
func TestBroken(t *testing.T) {
	files := new(fsys.FS)
	f, path := openNew(t, files, Options{})
	update(t, f, "first", func(b *bolt.Bucket) error { return b.Put([]byte("k"), []byte("v")) })
	err := f.Update(func(*bolt.Tx) error { panic("a fault") })
	if !IsPanic(err) || !f.Broken() {
		t.Errorf("got %v, broken %v, want the panic", err, f.Broken())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(files, path, Options{NoSync: true, Buckets: testBuckets})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	err = again.View(func(tree *Tree) error {
		b, err := tree.Bucket("first")
		if err != nil {
			return err
		}
		value, err := b.Get([]byte("k"))
		if string(value) != "v" {
			t.Errorf("got %q, want v", value)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestHeld opens a file that is open: the error says so.
func TestHeld(t *testing.T) {
	t.Parallel()
	files := new(fsys.FS)
	_, path := openNew(t, files, Options{})
	var held *store.HeldError
	if f, err := Open(files, path, Options{}); !errors.As(err, &held) {
		t.Errorf("got %v, %v, want a *HeldError", f, err)
	}
}

// TestReadError checks that a failure of the system is told from a broken page.
func TestReadError(t *testing.T) {
	var fail atomic.Bool
	files := &fsys.FS{Reader: func(f *os.File) io.ReaderAt { return failingReader{f, &fail} }}
	f, _ := openNew(t, files, Options{})
	fillRandomly(t, f, 500)
	fail.Store(true)
	err := f.View(func(tree *Tree) error {
		if _, err := tree.Bucket("first"); !IsReadError(err) {
			t.Errorf("bucket: got %v, want an error of the system", err)
		}
		w := Walk{Tree: tree, Leaf: plainOnly, Bad: func(_ Place, err error) error { t.Errorf("bad page: %v", err); return nil }}
		return w.Run()
	})
	if !IsReadError(err) {
		t.Errorf("walk: got %v, want an error of the system", err)
	}
	if _, err := f.ReadMeta(); !IsReadError(err) {
		t.Errorf("meta: got %v, want an error of the system", err)
	}
}

type failingReader struct {
	io.ReaderAt
	fail *atomic.Bool
}

func (r failingReader) ReadAt(b []byte, offset int64) (int, error) {
	if r.fail.Load() {
		return 0, syscall.EIO
	}
	return r.ReaderAt.ReadAt(b, offset)
}

func FuzzTree(f *testing.F) {
	small, path := openNew(f, new(fsys.FS), Options{})
	update(f, small, "first", func(b *bolt.Bucket) error {
		return errors.Join(b.Put([]byte("key 1"), make([]byte, 5000)), b.Put([]byte("key 2"), []byte("v")), b.Put([]byte("key 3"), make([]byte, 3000)))
	})
	m, err := small.ReadMeta()
	b, errRead := os.ReadFile(path)
	if err := errors.Join(err, errRead, small.Close()); err != nil {
		f.Fatal(err)
	}
	f.Add(b[:int64(m.High)*m.PageSize], m.Root)
	f.Add(b[:5*m.PageSize], m.Root)
	f.Add(make([]byte, 9000), uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, root uint64) {
		m := Meta{PageSize: 4096, Root: root, High: uint64(len(b) / 4096)}
		tree := NewTree(bytes.NewReader(b), m)
		seen := NewPageSet(m.High)
		readEntries := func(p *Page) {
			for i := range p.Len() {
				_, _, _ = p.Entry(i)
				_, _ = p.Shape(i)
			}
		}
		w := Walk{
			Tree: tree, Whole: true, Seen: seen,
			Bad:  func(Place, error) error { return nil },
			Leaf: func(_ Place, p *Page) error { readEntries(p); return nil },
		}
		if err := w.Run(); err != nil {
			t.Fatalf("walk: %v", err)
		}
		err := tree.Strays(seen, func(*Page) bool { return true }, func(p *Page) error { readEntries(p); return nil })
		if err != nil {
			t.Fatalf("strays: %v", err)
		}
		if b, err := tree.Bucket("first"); err == nil {
			_, _, _ = b.Seek([]byte("key 1"))
		}
	})
}
