//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"path/filepath"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func BenchmarkCommit(b *testing.B) {
	for _, name := range []string{"queue.tch", "queue.tcb"} {
		b.Run(name, func(b *testing.B) {
			storetest.Bench(b, func(b *testing.B) store.Store {
				s := open(b, filepath.Join(b.TempDir(), name))
				b.Cleanup(func() { _ = s.Close() })
				return s
			})
		})
	}
}
