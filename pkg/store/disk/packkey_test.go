package disk

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gm/pkg/store"
)

// TestChangedPackKeyKeepsOrder changes a bit in the key of a pack of jobs 5 and 6, so
// that it ends with job 7, which has an entry of its own.
func TestChangedPackKeyKeepsOrder(t *testing.T) {
	for name, done := range map[string]uint64{"first job lost by the key": 0, "first job done": 5} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			config := Config{Dir: dir, Sync: store.SyncNever, Skipped: func(string, error) {}}
			s := openWith(t, config)
			add := func(seq uint64, size int) store.Op {
				return store.Op{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: bytes.Repeat([]byte{byte(seq)}, size)}}
			}
			commit := func(ops ...store.Op) {
				t.Helper()
				if err := errors.Join(s.Commit(t.Context(), ops), s.flushLog()); err != nil {
					t.Fatal(err)
				}
			}
			commit(add(5, 10), add(6, 10))
			commit(add(7, 1500))
			if done != 0 {
				commit(store.Op{Kind: store.Done, Record: &store.Record{Seq: done}})
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "queue.db")
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			key := (&pack{first: 5, last: 6}).key()
			changed := bytes.Clone(key)
			changed[7] ^= 1
			if !bytes.Contains(file, key) {
				t.Fatal("the file has no such pack")
			}
			if err := os.WriteFile(path, bytes.ReplaceAll(file, key, changed), 0o600); err != nil {
				t.Fatal(err)
			}

			s = openWith(t, config)
			var seqs []uint64
			err = s.Replay(t.Context(), func(r *store.Record) error { seqs = append(seqs, r.Seq); return nil })
			if err != nil {
				t.Fatal(err)
			}
			if len(seqs) != 2 || seqs[0] != 6 || seqs[1] != 7 {
				t.Errorf("jobs %d, want 6 and 7", seqs)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
