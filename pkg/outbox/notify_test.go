package outbox

import (
	"errors"
	"testing"
	"time"

	"gm/pkg/server"
)

// TestNotify has relays that look at an empty outbox once an hour. The insert notifies
// them, also after the database has lost their connections.
func TestNotify(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{Table: "Jobs of 'mine'"})
		if err := db.InstallNotify(t.Context(), true); d.dialect == MySQL {
			if !errors.Is(err, errNotify) {
				t.Errorf("got %v, want %v", err, errNotify)
			}
			return
		} else if err != nil {
			t.Fatal(err)
		}
		s := startServer(t, "", server.Config{})
		r := newRelay(t, db, s.addr)
		r.MinPoll, r.MaxPoll = time.Hour, time.Hour
		stop := run(t, r)
		for n := range 3 {
			insert(t, db, "f", "a", 1, 1)
			waitFor(t, "job", r, func() bool { return r.Stats().Sent == uint64(n+1) })
		}
		d.query(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()")
		insert(t, db, "f", "b", 1, 1)
		waitFor(t, "job after a lost connection", r, func() bool { return r.Stats().Sent == 4 })
		stop()
		waitFor(t, "end of the listening connection", r, func() bool {
			return d.query(t, "SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()") == "0\n"
		})
		text, err := db.NotifySchema(true)
		if err != nil {
			t.Fatal(err)
		}
		d.query(t, text)
		if on, err := db.notifies(t.Context()); !on || err != nil {
			t.Errorf("after the script: got %v, %v, want true", on, err)
		}
		if err := db.InstallNotify(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if on, err := db.notifies(t.Context()); on || err != nil {
			t.Errorf("after the removal: got %v, %v, want false", on, err)
		}
	})
}
