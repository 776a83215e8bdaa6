package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		file := filepath.Join(t.TempDir(), "queue.db")
		return storetest.Place{
			Open:   func(t testing.TB) store.Store { return open(t, file) },
			Crash:  func(t testing.TB, s store.Store) { crash(t, s.(*Store)) },
			Fail:   func(t testing.TB, s store.Store) func() { return fill(t, s.(*Store)) },
			Size:   func(t testing.TB) int64 { return sizeOf(t, file) },
			Verify: func(t testing.TB) { verifyFile(t, file) },
		}
	})
}

// open opens a store in which nothing may be broken.
func open(t testing.TB, file string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{File: file, Skipped: func(what string, err error) {
		t.Errorf("set aside: %s: %v", what, err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// crash leaves s as the end of its process does: FILE-wal stays as it is.
func crash(t testing.TB, s *Store) {
	t.Helper()
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.ready.Store(false)
	if err := s.readers.closeAll(); err != nil {
		t.Error(err)
	}
	if s.writer != nil {
		if _, err := s.writer.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true); err != nil {
			t.Error(err)
		}
		if err := s.writer.conn.close(); err != nil {
			t.Error(err)
		}
		s.writer = nil
	}
	_ = s.base.AbandonLock()
}

// fill prevents the database from growing.
func fill(t testing.TB, s *Store) (restore func()) {
	t.Helper()
	set := func(pages string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w, err := s.open()
		if err == nil {
			_, err = w.queryText("PRAGMA max_page_count = " + pages)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	set("1") // is as many as there are
	return func() { set("1000000000") }
}

func sizeOf(t testing.TB, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// verifyFile checks that the database is valid, and the only file of the store.
func verifyFile(t testing.TB, file string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := f.Name(); name != filepath.Base(file) {
			t.Errorf("left behind: %s", name)
		}
	}
	if len(files) == 0 {
		return // nothing was ever asked of it
	}
	c, err := dial(file, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if got, err := c.queryText("PRAGMA integrity_check"); got != "ok" || err != nil {
		t.Errorf("integrity check: %s, %v", got, err)
	}
}

func TestParseURL(t *testing.T) {
	for _, tc := range []struct {
		url  string
		want Config
		err  string
	}{
		{"sqlite:queue.db", Config{File: "queue.db", Table: DefaultTable, Sync: store.SyncAlways}, ""},
		{"sqlite:/var/lib/q.db?table=jobs&sync=never", Config{File: "/var/lib/q.db", Table: "jobs", Sync: store.SyncNever}, ""},
		{"sqlite:///var/lib/q.db", Config{File: "/var/lib/q.db", Table: DefaultTable, Sync: store.SyncAlways}, ""},
		{"sqlite://host/q.db", Config{}, "want sqlite:FILE"},
		{"sqlite:?table=x", Config{}, "want sqlite:FILE"},
		{"sqlite:q?table=", Config{}, `"" can't be a table`},
		{"sqlite:q?table=sqlite_master", Config{}, "can't be a table"},
		{"sqlite:q?sync=maybe", Config{}, `sync is "maybe"`},
		{"sqlite:q?color=red", Config{}, `unknown option "color"`},
	} {
		u, err := store.ParseURL(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseURL(u)
		switch {
		case tc.err == "" && (err != nil || got.File != tc.want.File || got.Table != tc.want.Table || got.Sync != tc.want.Sync):
			t.Errorf("%s: got %+v, %v, want %+v", tc.url, got, err, tc.want)
		case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
			t.Errorf("%s: got %v, want %q in it", tc.url, err, tc.err)
		}
	}
}

func TestOpenWithoutDirectory(t *testing.T) {
	_, err := Open(t.Context(), Config{File: filepath.Join(t.TempDir(), "none", "q.db")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
}

func TestForeignFiles(t *testing.T) {
	for _, tc := range []struct{ name, content, err string }{
		{"text", strings.Repeat("dear diary\n", 1000), "not a database"},
		{"short text", "hello", "not a database"},
		{"another table", "CREATE TABLE gearman_queue (a, b)", "has no column unique_key"},
		{"UTF-16", "PRAGMA encoding = 'UTF-16'; CREATE TABLE x (y)", "only UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "q.db")
			if strings.Contains(tc.content, "CREATE") {
				c, err := dial(file, true)
				if err == nil {
					err = errors.Join(c.Exec(tc.content), c.close())
				}
				if err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, file)
			defer s.Close()
			err := s.Replay(context.Background(), func(*store.Record) error { return nil })
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("replay: got %v, want %q in it", err, tc.err)
			}
			if files, _ := filepath.Glob(file + ".*"); len(files) > 1 {
				t.Errorf("left behind: %v", files)
			}
		})
	}
}
