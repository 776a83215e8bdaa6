package outbox

import (
	"testing"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// TestIDsUsedAgain empties an outbox whose jobs still wait on the server, so that the
// ids begin again. The new rows are new jobs. The same happens when a backup of the
// database is restored.
func TestIDsUsedAgain(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		r := newRelay(t, db, s.addr)
		run(t, r)
		truncate := "TRUNCATE gearman_outbox"
		if d.dialect == Postgres {
			truncate += " RESTART IDENTITY"
		}
		for n := 1; n <= 2; n++ {
			d.query(t, truncate)
			insert(t, db, "f", "a", n, n)
			waitFor(t, "sent row", r, func() bool { return r.Stats().Sent == uint64(n) })
		}
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		if jobs, err := admin.Jobs(t.Context(), "f", "", 0); err != nil || len(jobs) != 2 {
			t.Errorf("got the jobs %+v, %v, want 2", jobs, err)
		}
	})
}
