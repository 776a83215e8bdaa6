//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
	"gm/pkg/store/storetest"
)

func TestDamage(t *testing.T) {
	eachKind(t, func(t *testing.T, base string) {
		logs := []string{logSuffix(base)}
		kill := func(t testing.TB, s store.Store) { crash(t, s.(*Store)) }
		storetest.RunDamage(t, storetest.Damage{
			Name: base,
			Open: func(t testing.TB, file string, skipped func(string, error)) store.Store {
				s, err := Open(t.Context(), Config{File: file, Skipped: skipped})
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Ways: []storetest.DamagedFile{
				{Name: "closed", Leave: func(_ testing.TB, s store.Store) { _ = s.Close() }, Logs: logs},
				{Name: "killed", Leave: kill, Logs: logs},
				{Name: "killed, the log", Leave: func(t testing.TB, s store.Store) { crashInCommit(t, s.(*Store)) }, Suffix: logs[0], Logs: logs},
			},
		})
	})
}

// logSuffix is the suffix of the file with the last changes of a killed
// process, or with the content that it was about to overwrite.
func logSuffix(name string) string {
	if filepath.Ext(name) == ".tcb" {
		return walSuffix
	}
	return ".journal"
}

func sizeOrNone(file string) int64 {
	size, err := filestore.FileSize(file)
	if err != nil {
		return -1
	}
	return size
}

// crashInCommit leaves s in the middle of a commit that ends every third job. A
// hash database has the batch in its journal before anything else is done.
func crashInCommit(t testing.TB, s *Store) {
	t.Helper()
	d, ok := s.db.(*tree)
	if !ok {
		crash(t, s)
		return
	}
	var changes []change
	err := s.eachEntry(t.Context(), func(key string, x *entry) error {
		if !x.extra && x.job.Seq%3 == 0 {
			changes = append(changes, change{key: key})
		}
		return nil
	})
	if err := errors.Join(err, d.begin(), s.makeChanges(changes), d.sync()); err != nil {
		t.Fatal(err)
	}
	crash(t, s)
	if size := sizeOrNone(s.path + walSuffix); size < 5000 {
		t.Fatalf("the log of the transaction has %d bytes", size)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
