package disk

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gm/pkg/store"
)

func addJobs(t testing.TB, s *Store, from, n, size int) {
	t.Helper()
	payload := bytes.Repeat([]byte("p"), size)
	for from, n := from, n; n > 0; from, n = from+1000, n-1000 {
		var batch []store.Op
		for i := range min(n, 1000) {
			batch = append(batch, store.Op{Kind: store.Add, Record: &store.Record{Seq: uint64(from + i), Function: "f", Unique: fmt.Sprint(from + i), Payload: payload}})
		}
		if err := s.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

func endJobs(t testing.TB, s *Store, from, n int) {
	t.Helper()
	for from, n := from, n; n > 0; from, n = from+1000, n-1000 {
		var batch []store.Op
		for i := range min(n, 1000) {
			batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: uint64(from + i)}})
		}
		if err := s.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

func count(t testing.TB, s *Store) int {
	t.Helper()
	n := 0
	if err := s.Replay(t.Context(), func(*store.Record) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestShrinks checks that the file shrinks automatically after the end of a
// backlog.
func TestShrinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openDir(t, dir)
	path := filepath.Join(dir, "queue.db")
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	const n = 40_000
	addJobs(t, s, 1, n, 1000)
	large := size()
	endJobs(t, s, 1, n-100)
	seq := n
	eventually(t, "file shrinks", func() bool {
		seq++
		addJobs(t, s, seq, 1, 10)
		return size() < large/4
	})
	if got, want := count(t, s), 100+seq-n; got != want {
		t.Errorf("got %d jobs, want %d", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes became %d", large, size())
	verifyFile(t, path)
}

// TestCompactMeanwhile compacts again and again while jobs come, change and go.
func TestCompactMeanwhile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openDir(t, dir)
	addJobs(t, s, 1, 5000, 1500)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	compactions := 0
	go func() {
		for ctx.Err() == nil {
			if err := s.Compact(t.Context()); err != nil {
				ended <- err
				return
			}
			compactions++
		}
		ended <- nil
	}()
	const rounds = 400
	longest := time.Duration(0)
	for i := range rounds {
		large := bytes.Repeat([]byte{byte(i)}, 50_000)
		began := time.Now()
		err := s.Commit(t.Context(), []store.Op{
			{Kind: store.Add, Record: &store.Record{Seq: uint64(10_000 + i), Payload: large}},
			{Kind: store.Done, Record: &store.Record{Seq: uint64(1 + i)}},
			{Kind: store.Update, Record: &store.Record{Seq: uint64(2000 + i), Attempts: 7}},
			{Kind: store.Done, Record: &store.Record{Seq: uint64(10_000 + i - 20)}},
			{Kind: store.Put, Key: "last", Value: fmt.Append(nil, i)},
		})
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(began))
		if payload, err := s.ReadPayload(t.Context(), &store.Record{Seq: uint64(10_000 + i)}); err != nil || !bytes.Equal(payload, large) {
			t.Fatalf("payload %d: %d bytes, %v", i, len(payload), err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("compact: %v", err)
	}
	t.Logf("%d compactions, longest commit %v", compactions, longest)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	n, tried := 0, 0
	err := s.Replay(t.Context(), func(r *store.Record) error {
		n++
		tried += r.Attempts
		return nil
	})
	if want := 5000 - rounds + 20; err != nil || n != want || tried != 7*rounds {
		t.Errorf("got %d jobs, tried %d times, %v, want %d and %d", n, tried, err, want, 7*rounds)
	}
	closeSound(t, s, dir)
}

// TestCompactLeftover checks that the files of an interrupted compaction have
// no effect.
func TestCompactLeftover(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	addJobs(t, s, 1, 10, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(dir, "queue.db.compact")
	if err := os.WriteFile(leftover, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	defer s.Close()
	if got := count(t, s); got != 10 {
		t.Errorf("got %d jobs, want 10", got)
	}
	if _, err := os.Stat(leftover); !os.IsNotExist(err) {
		t.Errorf("leftover: got %v, want it gone", err)
	}
}
