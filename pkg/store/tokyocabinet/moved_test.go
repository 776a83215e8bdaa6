//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"path/filepath"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestMoved(t *testing.T) {
	for name, log := range map[string]string{"queue.tch": ".journal", "queue.tcb": walSuffix} {
		t.Run(name, func(t *testing.T) {
			storetest.RunMoved(t, func(t *testing.T, dir string) store.Store { return open(t, filepath.Join(dir, name)) },
				name, name+log, name+".lock")
		})
	}
}

func TestLastNumber(t *testing.T) {
	eachKind(t, func(t *testing.T, name string) {
		file := filepath.Join(t.TempDir(), name)
		storetest.RunLastNumber(t, func(t *testing.T) store.Store { return open(t, file) }, func(s store.Store) { crash(t, s.(*Store)) })
	})
}

func TestModes(t *testing.T) {
	eachKind(t, func(t *testing.T, name string) {
		storetest.RunModes(t, func(t *testing.T, dir string) store.Store { return open(t, filepath.Join(dir, name)) }, name)
	})
}
