package sqlite

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gm/pkg/store"
)

// TestLeftovers opens databases as kills, older servers and people leave them:
// no job in one of their files is lost, and the log names the files.
func TestLeftovers(t *testing.T) {
	made := filepath.Join(t.TempDir(), "queue.db")
	s := open(t, made)
	for seq := range uint64(5) {
		commit(t, s, add(seq+1, "f", "", "payload"))
	}
	crash(t, s)
	read := func(suffix string) []byte {
		b, err := os.ReadFile(made + suffix)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	killed, wal := read(""), read("-wal")
	s = open(t, made)
	if n := len(jobsIn(t, s)); n != 5 {
		t.Fatalf("got %d jobs, want 5", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	closed := read("")
	for _, tc := range []struct {
		name  string
		files map[string][]byte
		want  int
		log   string
	}{
		{"killed after the salvage", map[string][]byte{"": closed[:5000], ".salvaged": closed}, 5, "damaged database is kept"},
		{"killed between the renames", map[string][]byte{".broken-1": closed[:5000], ".salvaged": closed}, 5, "broken files are kept"},
		{"killed in the salvage", map[string][]byte{"": closed, ".salvaging": closed[:5000], ".salvaging-wal": {}}, 5, "unfinished file removed"},
		{"only FILE-wal", map[string][]byte{"-wal": wal}, 5, "the database is missing"},
		{"an empty database and FILE-wal", map[string][]byte{"": {}, "-wal": wal}, 5, "the database is missing"},
		{"FILE-wal is missing", map[string][]byte{"": killed}, 0, "-wal is missing"},
		{"only a broken one", map[string][]byte{".broken-1": closed[:5000]}, 0, "the database is missing"},
		{"records set aside", map[string][]byte{"": closed, ".corrupt": []byte("{}\n")}, 5, "records that were set aside are kept"},
		{"a lock", map[string][]byte{"": closed, ".lock": []byte("gm, pid 7\n")}, 5, "was not closed by its last holder"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "queue.db")
			for suffix, b := range tc.files {
				if err := os.WriteFile(file+suffix, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			log := new(bytes.Buffer)
			s, err := Open(t.Context(), Config{File: file, Logger: slog.New(slog.NewTextHandler(log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			err = s.Replay(t.Context(), func(*store.Record) error { n++; return nil })
			if err := errors.Join(err, s.Close()); err != nil || n != tc.want {
				t.Errorf("got %d jobs, %v, want %d", n, err, tc.want)
			}
			if !strings.Contains(log.String(), tc.log) {
				t.Errorf("the log has no %q: %s", tc.log, log)
			}
		})
	}
}
