package outbox

import (
	"context"
	"strings"
	"testing"

	"gm/pkg/server"
	"gm/pkg/store"
)

// smallStore keeps nothing, and takes no payload of more than 1,000 bytes.
type smallStore struct{ store.Memory }

func (smallStore) Caps() store.Caps { return store.Caps{MaxPayload: 1000} }

func (smallStore) Commit(context.Context, []store.Op) error { return nil }

// TestOverLimitOfTheStore has a row whose workload the store of the job server can never
// take. It dies, and does not hold up the others of its function.
func TestOverLimitOfTheStore(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{Store: smallStore{}, StoreName: "small"})
		insert(t, db, "f", strings.Repeat("x", 2000), 1, 1)
		insert(t, db, "f", "good", 1, 3)
		r := newRelay(t, db, s.addr)
		r.MaxAttempts = 3
		run(t, r)
		startCollector(t, s.addr, "f").wait(t, 3)
		waitEmpty(t, db, r)
		rows, err := db.Dead(t.Context(), 0, 0)
		if err != nil || len(rows) != 1 || !strings.Contains(rows[0].LastError, "exceeds the limit of store small") {
			t.Errorf("got %+v, %v, want one dead row with the error of the store", rows, err)
		}
	})
}
