package outbox

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestInstallInUse installs an outbox several times at the same time, while sessions add
// rows to it.
func TestInstallInUse(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		const installers, sessions, times = 4, 3, 10
		db.pool.SetMaxOpenConns(installers + sessions)
		var installing, adding sync.WaitGroup
		for range installers {
			installing.Go(func() {
				for range times {
					if err := db.Install(t.Context()); err != nil {
						t.Errorf("Install: %v", err)
						return
					}
				}
			})
		}
		installed := make(chan struct{})
		for range sessions {
			adding.Go(func() {
				for {
					var id int64
					if err := db.pool.QueryRow("SELECT gman_enqueue('f', 'x')").Scan(&id); err != nil {
						t.Errorf("gman_enqueue: %v", err)
						return
					}
					select {
					case <-installed:
						return
					default:
					}
				}
			})
		}
		installing.Wait()
		close(installed)
		adding.Wait()
	})
}

// TestTriggerReplacedInUse creates a trigger again and again, while sessions change the
// table. Each change is a job.
func TestTriggerReplacedInUse(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		d.query(t, "CREATE TABLE files (path VARCHAR(40))")
		tr := Trigger{Table: "files", Events: []string{"insert"}, Function: "scan", Columns: []string{"path"}}
		if err := db.InstallTrigger(t.Context(), tr); err != nil {
			t.Fatal(err)
		}
		var adding sync.WaitGroup
		replaced := make(chan struct{})
		var added atomic.Int64
		for range 3 {
			adding.Go(func() {
				for {
					if _, err := db.pool.Exec("INSERT INTO files VALUES ('a')"); err != nil {
						t.Errorf("INSERT: %v", err)
						return
					}
					added.Add(1)
					select {
					case <-replaced:
						return
					default:
					}
				}
			})
		}
		for range 20 {
			if err := db.InstallTrigger(t.Context(), tr); err != nil {
				t.Error(err)
				break
			}
		}
		close(replaced)
		adding.Wait()
		var jobs int64
		if err := db.pool.QueryRow("SELECT COUNT(*) FROM gearman_outbox").Scan(&jobs); err != nil {
			t.Fatal(err)
		}
		if jobs != added.Load() {
			t.Errorf("%d jobs of %d rows", jobs, added.Load())
		}
	})
}

// TestRightsAfterInstall installs an outbox again. A user may add rows as before.
func TestRightsAfterInstall(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		user := "shop_" + d.name
		rights := "SELECT has_function_privilege('" + user + "', 'gman_enqueue(text, text, text, integer, timestamptz)', 'EXECUTE')::int"
		if d.dialect == Postgres {
			d.query(t, "CREATE ROLE "+user+"; REVOKE EXECUTE ON FUNCTION gman_enqueue(text, text, text, integer, timestamptz) FROM PUBLIC; "+
				"GRANT EXECUTE ON FUNCTION gman_enqueue(text, text, text, integer, timestamptz) TO "+user)
		} else {
			d.query(t, "CREATE USER "+user+"; GRANT EXECUTE ON FUNCTION gman_enqueue TO "+user)
			rights = "SELECT COUNT(*) FROM mysql.procs_priv WHERE User = '" + user + "'"
		}
		if err := db.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := d.query(t, rights); got != "1\n" {
			t.Errorf("got %q, want the right of %s", got, user)
		}
	})
}
