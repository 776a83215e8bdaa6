package storetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gm/pkg/store"
)

// RunMoved removes, moves and replaces the files of an open store. Each time,
// commits must fail with an error that names the change, and work again after
// the files are back. open opens the store in dir; files are the names of its
// files there, the last one being its lock.
func RunMoved(t *testing.T, open func(t *testing.T, dir string) store.Store, files ...string) {
	lock := files[len(files)-1]
	for _, test := range []struct {
		name string
		do   func(m *moved)
		back func(m *moved) // nil if it cannot be undone
	}{
		{"directory removed", func(m *moved) { m.must(os.RemoveAll(m.dir)) }, nil},
		{"directory moved", func(m *moved) { m.must(os.Rename(m.dir, m.away)) }, func(m *moved) { m.must(os.Rename(m.away, m.dir)) }},
		{
			"another directory in its place",
			func(m *moved) { m.must(os.Rename(m.dir, m.away)); m.must(os.CopyFS(m.dir, os.DirFS(m.away))) },
			func(m *moved) { m.must(os.RemoveAll(m.dir)); m.must(os.Rename(m.away, m.dir)) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMoved(t, open)
			test.do(m)
			m.refused()
			if test.back != nil {
				test.back(m)
				m.accepted()
			}
		})
	}
	for _, name := range files[:len(files)-1] {
		t.Run(name+" removed", func(t *testing.T) {
			m := newMoved(t, open)
			m.must(os.Remove(filepath.Join(m.dir, name)))
			m.refused()
		})
		t.Run(name+" replaced by a copy", func(t *testing.T) {
			m := newMoved(t, open)
			path := filepath.Join(m.dir, name)
			b, err := os.ReadFile(path)
			m.must(err)
			m.must(os.Rename(path, m.away))
			m.must(os.WriteFile(path, b, 0o600))
			m.refused()
			m.must(os.Rename(m.away, path))
			m.accepted()
		})
	}
	t.Run("lock removed", func(t *testing.T) {
		m := newMoved(t, open)
		path := filepath.Join(m.dir, lock)
		m.must(os.Remove(path))
		for end := time.Now().Add(5 * time.Second); ; {
			m.accepted()
			if _, err := os.Stat(path); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the lock is not taken anew")
			}
		}
		other := open(t, m.dir)
		defer other.Close()
		if err := other.Commit(t.Context(), nil); err == nil {
			t.Error("another has the store too")
		}
	})
}

// moved is a store whose files are moved.
type moved struct {
	*testing.T
	dir, away string
	store     store.Store
	seq       uint64
}

func newMoved(t *testing.T, open func(t *testing.T, dir string) store.Store) *moved {
	t.Helper()
	m := &moved{T: t, dir: filepath.Join(t.TempDir(), "data")}
	m.away = m.dir + ".away"
	m.must(os.Mkdir(m.dir, 0o700))
	m.store = open(t, m.dir)
	t.Cleanup(func() { _ = m.store.Close() })
	m.accepted()
	return m
}

func (m *moved) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *moved) commitJob() error {
	m.seq++
	return m.store.Commit(m.Context(), []store.Op{{Kind: store.Add, Record: &store.Record{Seq: m.seq, Function: "f"}}})
}

// accepted waits until a commit succeeds.
func (m *moved) accepted() {
	m.Helper()
	m.until("a commit succeeds", func(err error) bool { return err == nil })
}

// refused waits until a commit fails with an error that names the reason.
func (m *moved) refused() {
	m.Helper()
	m.until("a commit fails", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "removed, moved or replaced")
	})
}

func (m *moved) until(what string, holds func(error) bool) {
	m.Helper()
	for end := time.Now().Add(5 * time.Second); ; {
		err := m.commitJob()
		if holds(err) {
			return
		}
		if time.Now().After(end) {
			m.Fatalf("after 5 s: %s? got %v", what, err)
		}
	}
}
