package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"gm/pkg/store"
)

// TestManyLargePayloads commits many payloads together that the engine could not
// hold together, and reads them.
func TestManyLargePayloads(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 500 MB")
	}
	file := filepath.Join(t.TempDir(), "queue.db")
	s := open(t, file)
	payload := bytes.Repeat([]byte("0123456789abcdef"), 60_000_000/16)
	var batch []store.Op
	for seq := range uint64(3 + 5*has64) {
		batch = append(batch, store.Op{Kind: store.Add, Record: &store.Record{Seq: seq + 1, Function: "f", Payload: payload}})
	}
	commit(t, s, batch...)
	if s.writer.heavy {
		t.Error("the writer keeps the memory of a large payload")
	}
	n := 0
	err := s.Replay(t.Context(), func(j *store.Record) error {
		if n++; !bytes.Equal(j.Payload, payload) {
			t.Errorf("job %d has another payload", j.Seq)
		}
		return nil
	})
	if err != nil || n != len(batch) {
		t.Errorf("got %d jobs, %v, want %d", n, err, len(batch))
	}
	for seq := range uint64(len(batch)) {
		got, err := s.ReadPayload(t.Context(), batch[seq].Record)
		if err != nil || !bytes.Equal(got, payload) {
			t.Errorf("payload of job %d: %d bytes, %v", seq+1, len(got), err)
		}
		commit(t, s, storeDone(seq+1))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestEngineWithoutMemory checks that a panic of the engine, which has no memory,
// is the error of a batch, of which nothing is kept, and that the store works
// again at once: when it writes, and when it reads.
func TestEngineWithoutMemory(t *testing.T) {
	enough := maxMemory
	t.Cleanup(func() { maxMemory = enough })
	file := filepath.Join(t.TempDir(), "queue.db")
	s := open(t, file)
	large := bytes.Repeat([]byte("x"), 30<<20)
	commit(t, s, add(1, "f", "", "small"), add(2, "f", "", string(large)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	maxMemory = 20 << 20
	s = open(t, file)
	for seq := uint64(3); seq < 6; seq++ {
		err := s.Commit(t.Context(), []store.Op{add(seq, "f", "", "small"), add(seq+100, "f", "", string(large))})
		if err == nil {
			t.Error("a payload of 30 MiB has found room in 20 MiB")
		}
		commit(t, s, add(seq+200, "f", "", "small"))
	}
	for range 3 {
		if _, err := s.ReadPayload(t.Context(), &store.Record{Seq: 2}); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("payload of 30 MiB in 20 MiB: got %v", err)
		}
		if got, err := s.ReadPayload(t.Context(), &store.Record{Seq: 1}); err != nil || string(got) != "small" {
			t.Errorf("payload: got %q, %v", got, err)
		}
		if err := s.Replay(t.Context(), func(*store.Record) error { return nil }); err == nil {
			t.Error("replay has found room")
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	maxMemory = enough
	s = open(t, file)
	var got []string
	err := s.Replay(t.Context(), func(j *store.Record) error {
		got = append(got, fmt.Sprint(j.Seq, " ", len(j.Payload)))
		return nil
	})
	if want := fmt.Sprint([]string{"1 5", fmt.Sprint("2 ", len(large)), "203 5", "204 5", "205 5"}); err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
