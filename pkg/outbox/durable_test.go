package outbox

import (
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store/storetest"
)

// TestRowsOfAsynchronousCommits has a session of PostgreSQL that does not wait for the
// disk. The database crashes when the relay has submitted the job. The row is still
// there: the job was not that of a transaction which never happened.
func TestRowsOfAsynchronousCommits(t *testing.T) {
	t.Parallel()
	p := storetest.StartPostgres(t)
	p.Query(t, "ALTER SYSTEM SET wal_writer_delay = '10s'")
	p.Query(t, "SELECT pg_reload_conf()")
	d := &database{dialect: Postgres, addr: p.Addr(), url: p.URL, query: p.Query}
	d.install(t, Config{})
	s := startServer(t, "", server.Config{})
	admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
	defer admin.Close()
	proxy := storetest.StartProxy(t, p.Addr())
	r := newRelay(t, d.openAt(t, proxy.Addr(), Config{}), s.addr)
	r.MinBackoff, r.MaxBackoff = time.Minute, time.Minute // after the crash it leaves the row alone
	proxy.Hit(storetest.ToServer, d.commit(), storetest.Swallow)
	d.query(t, "SET synchronous_commit = off; SELECT gman_enqueue('f', 'a')")
	run(t, r)
	waitFor(t, "job", r, func() bool {
		jobs, err := admin.Jobs(t.Context(), "f", "", 0)
		return err == nil && len(jobs) == 1 && proxy.Hits() == 1
	})
	p.Kill()
	p.Start(t)
	if got := d.query(t, "SELECT COUNT(*) FROM gearman_outbox"); got != "1\n" {
		t.Errorf("after the crash there are %q rows, want 1", got)
	}
	proxy.Resume()
}
