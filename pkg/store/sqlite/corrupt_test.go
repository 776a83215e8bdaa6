package sqlite

import (
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestDamage(t *testing.T) {
	storetest.RunDamage(t, storetest.Damage{
		Name: "queue.db",
		Open: func(t testing.TB, file string, skipped func(string, error)) store.Store {
			s, err := Open(t.Context(), Config{File: file, Skipped: skipped})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Ways: []storetest.DamagedFile{
			{Name: "closed", Leave: func(_ testing.TB, s store.Store) { _ = s.Close() }},
			{Name: "killed", Leave: func(t testing.TB, s store.Store) { crash(t, s.(*Store)) }, Suffix: "-wal", Logs: []string{"-wal"}},
		},
	})
}
