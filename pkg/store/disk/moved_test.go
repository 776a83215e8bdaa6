package disk

import (
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestMoved(t *testing.T) {
	storetest.RunMoved(t, func(t *testing.T, dir string) store.Store { return openDir(t, dir) },
		"queue.db", "queue.log.0", "queue.log.1", "lock")
}

func TestLastNumber(t *testing.T) {
	dir := t.TempDir()
	storetest.RunLastNumber(t, func(t *testing.T) store.Store { return openDir(t, dir) }, func(s store.Store) { abandon(s.(*Store)) })
}
