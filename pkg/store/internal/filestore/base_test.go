package filestore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/store"
)

func TestBaseLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var log bytes.Buffer
	first := NewBase("x:first", nil, nil)
	second := NewBase("x:second", slog.New(slog.NewTextHandler(&log, nil)), nil)
	for range 2 { // the second time it has the lock
		if err := first.TakeLock(path, "first"); err != nil {
			t.Fatal(err)
		}
	}
	held := new(store.HeldError)
	if err := second.TakeLock(path, "second"); !errors.As(err, &held) || !strings.HasPrefix(held.By, "first, since ") {
		t.Errorf("while first has the lock: got %v, want a HeldError", err)
	}
	if err := first.AbandonLock(); err != nil {
		t.Error(err)
	}
	if err := second.TakeLock(path, "second"); err != nil {
		t.Errorf("after first ended: %v", err)
	}
	for _, want := range []string{"was not closed by its last holder", "store=x:second", "first, since "} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log: got %q, want %q in it", log.String(), want)
		}
	}
	if err := errors.Join(second.ReleaseLock(), second.ReleaseLock()); err != nil {
		t.Error(err)
	}
	if err := first.TakeLock(filepath.Join(path, "none", "lock"), ""); err == nil || !strings.HasPrefix(err.Error(), "lock store x:first: ") {
		t.Errorf("in no directory: got %v, want the operation and the store", err)
	}
}

func TestBaseKept(t *testing.T) {
	dir := t.TempDir()
	path, aside := filepath.Join(dir, "queue[1].db"), filepath.Join(dir, "aside")
	var log bytes.Buffer
	b := NewBase("x", slog.New(slog.NewTextHandler(&log, nil)), nil)
	if b.LogKept(path, aside) || log.Len() > 0 {
		t.Errorf("without any file: logs %q", log.String())
	}
	broken := BrokenName(path)
	for _, name := range []string{broken, path, filepath.Join(dir, "queue1.db.broken-1")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		f, err := OpenAside(aside)
		if err == nil {
			err = AppendAside(f, []AsideLine{{What: "job", Why: "test"}, {Key: []byte{byte(i)}}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := BrokenFiles(path); len(got) != 1 || got[0] != broken {
		t.Errorf("broken files: got %q, want %q", got, broken)
	}
	if !b.LogKept(path, aside) || !strings.Contains(log.String(), filepath.Base(broken)) || !strings.Contains(log.String(), aside) {
		t.Errorf("with a broken file and one of records: logs %q", log.String())
	}
	text, err := os.ReadFile(aside)
	if err != nil || strings.Count(string(text), "\n") != 4 {
		t.Errorf("records that were set aside: got %q, %v, want 4 lines", text, err)
	}
}

func TestSyncEvery(t *testing.T) {
	for _, tc := range []struct {
		interval time.Duration
		want     int // in ten seconds
	}{{0, 10}, {-time.Second, 10}, {2 * time.Second, 5}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
			defer cancel()
			n := 0
			NewBase("x", nil, nil).SyncEvery(ctx, tc.interval, func() error { n++; return errors.New("sync") })
			if n != tc.want {
				t.Errorf("interval %v: synced %d times, want %d", tc.interval, n, tc.want)
			}
		})
	}
}
