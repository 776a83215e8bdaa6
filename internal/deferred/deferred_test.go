package deferred_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gm/internal/deferred"
	"gm/pkg/store"
	"gm/pkg/store/disk"
)

func openDisk(t *testing.T, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(context.Background(), disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// contents writes the contents of a store in lines.
func contents(t *testing.T, s store.Store) string {
	t.Helper()
	var b strings.Builder
	err := s.Replay(context.Background(), func(r *store.Record) error {
		fmt.Fprintf(&b, "%d %s %s %d %s\n", r.Seq, r.Function, r.Unique, r.Attempts, r.Payload)
		return nil
	})
	if err == nil {
		err = s.Extras(context.Background(), "", func(key string, value []byte) error {
			if strings.HasPrefix(key, "test/") {
				fmt.Fprintf(&b, "%s=%s\n", key, value)
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func commit(t *testing.T, s store.Store, ops ...store.Op) {
	t.Helper()
	if err := s.Commit(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
}

func job(seq uint64, attempts int) *store.Record {
	return &store.Record{Seq: seq, Function: "f", Unique: fmt.Sprint("u", seq), Attempts: attempts, Payload: fmt.Append(nil, "p", seq)}
}

func TestFlushWritesTheNetChange(t *testing.T) {
	dir := t.TempDir()
	s := openDisk(t, dir)
	commit(t, s, store.Op{Kind: store.Add, Record: job(1, 0)}, store.Op{Kind: store.Add, Record: job(2, 0)},
		store.Op{Kind: store.Put, Key: "test/old", Value: []byte("1")}, store.Op{Kind: store.Put, Key: "test/kept", Value: []byte("2")})

	d := deferred.New(s)
	payload := []byte("p3")
	third := job(3, 0)
	third.Payload = payload
	commit(t, d, store.Op{Kind: store.Add, Record: third}, store.Op{Kind: store.Add, Record: job(4, 0)})
	payload[0] = 'X' // nothing of a batch is kept
	commit(t, d, store.Op{Kind: store.Done, Record: job(1, 0)}, store.Op{Kind: store.Done, Record: job(4, 0)},
		store.Op{Kind: store.Update, Record: job(2, 7)}, store.Op{Kind: store.Update, Record: job(3, 8)},
		store.Op{Kind: store.Delete, Key: "test/old"}, store.Op{Kind: store.Put, Key: "test/new", Value: []byte("3")})
	if got, want := contents(t, d), "1 f u1 0 p1\n2 f u2 0 p2\ntest/kept=2\ntest/old=1\n"; got != want {
		t.Errorf("before the flush: %q, want %q", got, want)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Flush(context.Background()); n != 1 || err != nil {
		t.Fatalf("Flush = %d, %v, want 1", n, err)
	}
	s = openDisk(t, dir)
	defer s.Close()
	if got, want := contents(t, s), "2 f u2 7 p2\n3 f u3 8 p3\ntest/kept=2\ntest/new=3\n"; got != want {
		t.Errorf("after the flush: %q, want %q", got, want)
	}
}

// failingStore refuses jobs of one number and fails after some batches.
type failingStore struct {
	store.Memory
	refuse  uint64
	batches int // that it takes
	largest int
	added   int
	closed  bool
}

func (s *failingStore) Commit(_ context.Context, batch []store.Op) error {
	for i := range batch {
		if batch[i].Record.Seq == s.refuse {
			return &store.RefusedError{Index: i, Err: errors.New("never")}
		}
	}
	if s.batches--; s.batches < 0 {
		return errors.New("away")
	}
	s.largest = max(s.largest, len(batch))
	s.added += len(batch)
	return nil
}

func (s *failingStore) Close() error {
	s.closed = true
	return nil
}

func TestFlushLeavesOutWhatIsRefused(t *testing.T) {
	inner := &failingStore{refuse: 1500, batches: 3}
	d := deferred.New(inner)
	for seq := range uint64(2500) {
		commit(t, d, store.Op{Kind: store.Add, Record: job(seq+1, 0)})
	}
	n, err := d.Flush(context.Background())
	if n != 2499 || err == nil || err.Error() != `store job 1500 of "f": never` {
		t.Errorf("Flush = %d, %v", n, err)
	}
	if inner.largest > 1000 || inner.added != 2499 || !inner.closed {
		t.Errorf("largest batch %d, added %d, closed %t", inner.largest, inner.added, inner.closed)
	}
}

func TestFlushSaysWhatIsLost(t *testing.T) {
	inner := &failingStore{batches: 1}
	d := deferred.New(inner)
	for seq := range uint64(2500) {
		commit(t, d, store.Op{Kind: store.Add, Record: job(seq+1, 0)})
	}
	n, err := d.Flush(context.Background())
	if n != 1000 || err == nil || !strings.Contains(err.Error(), "1500 jobs and changes are lost: away") || !inner.closed {
		t.Errorf("Flush = %d, %v, closed %t", n, err, inner.closed)
	}
}
