//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"path/filepath"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestMoved(t *testing.T) {
	storetest.RunMoved(t, func(t *testing.T, dir string) store.Store { return open(t, filepath.Join(dir, "queue.tch")) },
		"queue.tch", "queue.tch.journal", "queue.tch.lock")
}

func TestLastNumber(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.tch")
	storetest.RunLastNumber(t, func(t *testing.T) store.Store { return open(t, file) }, func(s store.Store) { crash(t, s.(*Store)) })
}

func TestModes(t *testing.T) {
	storetest.RunModes(t, func(t *testing.T, dir string) store.Store { return open(t, filepath.Join(dir, "queue.tch")) }, "queue.tch")
}
