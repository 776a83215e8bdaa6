package sqlite

import (
	"path/filepath"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestMoved(t *testing.T) {
	storetest.RunMoved(t, func(t *testing.T, dir string) store.Store { return open(t, filepath.Join(dir, "queue.db")) },
		"queue.db", "queue.db-wal", "queue.db.lock")
}

func TestLastNumber(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	storetest.RunLastNumber(t, func(t *testing.T) store.Store { return open(t, file) }, func(s store.Store) { crash(t, s.(*Store)) })
}

func TestModes(t *testing.T) {
	storetest.RunModes(t, func(t *testing.T, dir string) store.Store { return open(t, filepath.Join(dir, "queue.db")) }, "queue.db")
}
