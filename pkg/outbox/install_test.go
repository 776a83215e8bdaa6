package outbox

import (
	"sync"
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
