package sqlite

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
	storetest.RunKill(t, "queue.db",
		func(t testing.TB, file string) store.Store { return open(t, file) },
		func(t testing.TB, s store.Store) { crash(t, s.(*Store)) })
}
