package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gm/pkg/store/internal/filestore"
)

// TestLeftovers opens directories as kills, older servers and people leave
// them: whole files are used, no file that may be needed is removed, and the
// log names the files.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	g := growLog(t)
	all := len(loggedJobs(loggedBatches))
	closed := t.TempDir()
	s := openDir(t, g.writeTo(t, closed))
	if n := count(t, s); n != all {
		t.Fatalf("got %d jobs, want %d", n, all)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(closed, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	zeros, half := make([]byte, walSize), whole[:5000]
	for _, tc := range []struct {
		name  string
		files map[string][]byte
		want  int
		log   string
		kept  int // files that were set aside
	}{
		{"a salvage moved the broken file away", map[string][]byte{"queue.db.salvage": whole, "queue.db.broken-1": half}, all, "salvaged file takes its place", 1},
		{"the same, and a server of before began anew", map[string][]byte{"queue.db": {}, "queue.db.salvage": whole}, all, "salvaged file takes its place", 0},
		{"a salvage was not finished", map[string][]byte{"queue.db": whole, "queue.db.salvage": half}, all, "unfinished file removed", 0},
		{"only an unfinished salvage", map[string][]byte{"queue.db.salvage": half}, 0, "file set aside", 1},
		{"a compaction was not finished", map[string][]byte{"queue.db": whole, "queue.db.compact": half}, all, "unfinished file removed", 0},
		{"only a compaction", map[string][]byte{"queue.db.compact": whole}, 0, "file set aside", 1},
		{"only a broken file", map[string][]byte{"queue.db.broken-1": half}, 0, "queue.db is missing", 1},
		{"only the log", map[string][]byte{"queue.log.0": g.files["queue.log.0"], "queue.log.1": g.files["queue.log.1"]}, all, "queue.db is missing", 0},
		{"only the log, which is empty", map[string][]byte{"queue.log.0": zeros, "queue.log.1": zeros}, 0, "queue.db is missing", 0},
		{"no log", map[string][]byte{"queue.db": whole}, all, "a file of the log is missing", 0},
		{"half a log", map[string][]byte{"queue.db": whole, "queue.log.1": zeros}, all, "a file of the log is missing", 0},
		{"records set aside", map[string][]byte{"queue.db": whole, "queue.log.0": zeros, "queue.log.1": zeros, "corrupt.log": []byte("{}\n")}, all, "records that were set aside are kept", 0},
		{"a lock", map[string][]byte{"queue.db": whole, "queue.log.0": zeros, "queue.log.1": zeros, "lock": []byte("gm, pid 7\n")}, all, "was not closed by its last holder", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			left := &logged{files: tc.files}
			log := new(bytes.Buffer)
			s := openLogged(t, Config{Dir: left.writeTo(t, t.TempDir())}, log)
			if n := count(t, s); n != tc.want {
				t.Errorf("got %d jobs, want %d", n, tc.want)
			}
			if !strings.Contains(log.String(), tc.log) {
				t.Errorf("the log has no %q: %s", tc.log, log)
			}
			if kept := filestore.BrokenFiles(s.file()); len(kept) != tc.kept {
				t.Errorf("kept %v, want %d files", kept, tc.kept)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}

	log := new(bytes.Buffer)
	s = openLogged(t, Config{Dir: closed}, log)
	if n := count(t, s); n != all {
		t.Errorf("closed: got %d jobs, want %d", n, all)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("closed: the log says %s", log)
	}
}
