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

// TestViewStays sees that a view reads the state of its beginning.
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

// TestVerify changes bytes of the header and the table of each page in use,
// except the sizes of a leaf's last entry, which nothing contradicts. Verify
// finds each change, and a walk that goes on after it does not fail.
func TestVerify(t *testing.T) {
	b, m, _ := closedFile(t, 100)
	file := bytes.NewReader(b)
	used, err := Verify(file, m, testBuckets, plainOnly)
	if err != nil {
		t.Fatal(err)
	}
	ends := make(map[uint64]int64) // of the tables of pages
	for id := uint64(2); id < m.High; id++ {
		if !used.Has(id) {
			continue
		}
		p, err := NewTree(file, m).load(id, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		if ends[id] = int64(HeaderSize + p.Len()*ElementSize); p.leaf {
			ends[id] -= 8
		}
		id += uint64(p.size/m.PageSize) - 1
	}
	if len(ends) < 10 {
		t.Fatalf("the file has %d pages", len(ends))
	}
	step := int64(3)
	if testing.Short() { // pages are alike
		step = 13
	}
	for id, end := range ends {
		for at := int64(id) % step; at < end; at += step {
			flip := func() { b[int64(id)*m.PageSize+at] ^= 1 << (at % 8) }
			flip()
			if _, err := Verify(file, m, testBuckets, plainOnly); err == nil {
				t.Errorf("page %d: byte %d: not found", id, at)
			}
			faults := 0
			w := Walk{
				Tree: NewTree(file, m), Whole: true, Seen: NewPageSet(m.High),
				Bad: func(Place, error) error { faults++; return nil },
				Leaf: func(at Place, p *Page) error {
					for i := range p.Len() {
						_, _, _ = p.Entry(i)
					}
					if plainOnly(at, p) != nil {
						faults++
					}
					return nil
				},
			}
			if err := w.Run(); err != nil || faults == 0 {
				t.Errorf("page %d: byte %d: got %v and %d faults", id, at, err, faults)
			}
			flip()
		}
	}
}

// TestWalkEnds walks through branches that lead back to themselves a hundred
// times: each page is visited once.
func TestWalkEnds(t *testing.T) {
	const children = 100
	b := make([]byte, 3*4096)
	page := b[2*4096:]
	order.PutUint64(page, 2)
	order.PutUint16(page[8:], flagBranch)
	order.PutUint16(page[10:], children)
	end := HeaderSize + children*ElementSize
	for i := range children {
		at := HeaderSize + i*ElementSize
		order.PutUint32(page[at:], uint32(end-at))
		order.PutUint32(page[at+4:], 3)
		order.PutUint64(page[at+8:], 2)
		end += copy(page[end:], fmt.Sprintf("%03d", i))
	}
	tree := NewTree(bytes.NewReader(b), Meta{PageSize: 4096, Root: 2, High: 3})
	faults := 0
	w := Walk{Tree: tree, Leaf: plainOnly, Bad: func(Place, error) error { faults++; return nil }}
	if err := w.Run(); err != nil || faults != children {
		t.Errorf("got %v and %d faults, want %d", err, faults, children)
	}
	if err := (&Walk{Tree: tree, Leaf: plainOnly}).Run(); err == nil {
		t.Error("got no error")
	}
}

// TestStrays overwrites the root: all entries are in stray leaves.
func TestStrays(t *testing.T) {
	b, m, want := closedFile(t, 600)
	clear(b[int64(m.Root)*m.PageSize:][:m.PageSize])
	tree := NewTree(bytes.NewReader(b), m)
	if err := (&Walk{Tree: tree, Leaf: func(Place, *Page) error { return nil }}).Run(); err == nil {
		t.Error("walk: got no error")
	}
	found := make(map[string]bool)
	notWhole := func(*Page) bool { return false }
	err := tree.Strays(NewPageSet(m.High), notWhole, func(p *Page) error {
		for i := range p.Len() {
			key, value, _ := p.Entry(i)
			found[string(key)+"="+string(value)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, entries := range want {
		for key, value := range entries {
			if !found[key+"="+value] {
				t.Errorf("%s: %s is not in a stray leaf", name, key)
			}
		}
	}
}

// appendLeaf appends a leaf with one entry as page id.
func appendLeaf(dst []byte, id uint64, key, value string, pages int) []byte {
	b := make([]byte, pages*4096)
	order.PutUint64(b, id)
	order.PutUint16(b[8:], flagLeaf)
	order.PutUint16(b[10:], 1)
	order.PutUint32(b[12:], uint32(pages-1))
	order.PutUint32(b[HeaderSize+4:], ElementSize)
	order.PutUint32(b[HeaderSize+8:], uint32(len(key)))
	order.PutUint32(b[HeaderSize+12:], uint32(len(value)))
	copy(b[HeaderSize+ElementSize:], key+value)
	return append(dst, b...)
}

// TestStraysInOverflow has a value that looks like a page: it is none as long as
// its leaf is whole.
func TestStraysInOverflow(t *testing.T) {
	const begin = HeaderSize + ElementSize + len("key") // of the value
	inner := string(appendLeaf(nil, 3, "inner", "value", 1))
	outer := string(make([]byte, 4096-begin)) + inner[:4096-100]
	file := appendLeaf(make([]byte, 2*4096), 2, "key", outer, 2)
	tree := NewTree(bytes.NewReader(file), Meta{PageSize: 4096, High: 4})
	for whole, want := range map[bool]string{true: "key ", false: "key inner "} {
		found := ""
		err := tree.Strays(NewPageSet(4), func(*Page) bool { return whole }, func(p *Page) error {
			key, _, _ := p.Entry(0)
			found += string(key) + " "
			return nil
		})
		if err != nil || found != want {
			t.Errorf("whole %v: got %q, %v, want %q", whole, found, err, want)
		}
	}
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

// TestBroken sees that a panic in a transaction is an error, and that the file can
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

// TestReadError sees that a failure of the system is told from a broken page.
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

// TestMakeRoom sees which blocks MakeRoom reserves, and its errors.
func TestMakeRoom(t *testing.T) {
	var fail error
	calls := 0
	f, _ := openNew(t, new(fsys.FS), Options{Reserve: func(*os.File, int64, int64) error { calls++; return fail }})
	before := f.Reserved()
	need := Need{Pages: 10_000, Runs: 3 << 20, Adds: true}
	missing, err := f.Missing(need)
	if err != nil || missing < need.Runs/2 { // the file has some free pages
		t.Fatalf("missing: got %d, %v, want at least %d", missing, err, need.Runs/2)
	}
	if err := f.MakeRoom(need); err != nil || f.Reserved() < before+missing {
		t.Errorf("got %v and %d reserved bytes, want at least %d", err, f.Reserved(), before+missing)
	}
	calls = 0
	if err := f.MakeRoom(need); err != nil || calls > 0 {
		t.Errorf("with room: got %v and %d calls, want none", err, calls)
	}
	need.Runs *= 100
	odd := errors.New("odd")
	for _, test := range []struct {
		fail error
		adds bool
		want error
	}{
		{syscall.ENOSPC, true, store.ErrFull},
		{syscall.ENOSPC, false, nil},
		{fsys.ErrNoReserve, true, nil},
		{odd, true, odd},
		{odd, false, nil},
	} {
		reserved := f.Reserved()
		fail, need.Adds = test.fail, test.adds
		if err := f.MakeRoom(need); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%v, adds %v: got %v, want %v", test.fail, test.adds, err, test.want)
		}
		if f.Reserved() != reserved {
			t.Errorf("%v: %d bytes are reserved, want %d", test.fail, f.Reserved(), reserved)
		}
	}
}

// TestMostlyFree fills a file and empties it.
func TestMostlyFree(t *testing.T) {
	f, _ := openNew(t, new(fsys.FS), Options{})
	key := func(i int) []byte { return fmt.Appendf(nil, "%04d", i) }
	update(t, f, "first", func(b *bolt.Bucket) error {
		for i := range 4000 {
			if err := b.Put(key(i), make([]byte, 2000)); err != nil {
				return err
			}
		}
		return nil
	})
	f.MeasureReserved()
	if f.MostlyFree() {
		t.Error("full: the file is mostly free")
	}
	update(t, f, "first", func(b *bolt.Bucket) error {
		for i := range 4000 {
			if err := b.Delete(key(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if !f.MostlyFree() {
		t.Error("empty: the file is not mostly free")
	}
}

// FuzzTree reads a file that has any bytes.
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
