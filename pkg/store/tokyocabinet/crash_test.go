//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"context"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.KillMain(m, func(ctx context.Context, file string) (store.Store, error) { return Open(ctx, Config{File: file}) })
}

func TestKill(t *testing.T) {
	eachKind(t, func(t *testing.T, name string) {
		storetest.RunKill(t, name,
			func(t testing.TB, file string) store.Store { return open(t, file) },
			func(t testing.TB, s store.Store) { crash(t, s.(*Store)) })
	})
}
