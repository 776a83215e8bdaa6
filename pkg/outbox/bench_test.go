package outbox

import (
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/store/open"
)

// BenchmarkRelay moves 20,000 rows with 100 bytes to a job server that stores its jobs on
// disk.
func BenchmarkRelay(b *testing.B) {
	b.Run("postgres", func(b *testing.B) { benchRelay(b, newPostgres(b)) })
	b.Run("mysql", func(b *testing.B) { benchRelay(b, newMySQL(b)) })
}

func benchRelay(b *testing.B, d *database) {
	db := d.install(b, Config{})
	place, err := open.Parse("disk:" + b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	st, err := place.Acquire(b.Context(), "benchmark", false)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	s := startServer(b, "", server.Config{Store: st, StoreName: place.Name()})
	const rows, step = 20000, 1000
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		for n := 0; n < rows; n += step {
			insert(b, db, "f", "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123", n, n+step-1)
		}
		r := newRelay(b, db, s.addr)
		b.StartTimer()
		start := time.Now()
		stop := run(b, r)
		waitFor(b, "sent rows", r, func() bool { return r.Stats().Sent == rows })
		spent += time.Since(start)
		b.StopTimer()
		stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(rows)*float64(b.N)/spent.Seconds(), "rows/s")
}

// BenchmarkInsert adds rows to a table, in a transaction each, without a trigger and with
// one that adds a row to the outbox.
func BenchmarkInsert(b *testing.B) {
	bench := func(b *testing.B, d *database) {
		db := d.install(b, Config{})
		for _, name := range []string{"plain", "trigger"} {
			b.Run(name, func(b *testing.B) {
				exec := func(statement string) {
					if _, err := db.pool.Exec(statement); err != nil {
						b.Fatal(err)
					}
				}
				exec("DROP TABLE IF EXISTS uploads")
				exec("CREATE TABLE uploads (id INT, image VARCHAR(40))")
				if name == "trigger" {
					err := db.InstallTrigger(b.Context(), Trigger{
						Table: "uploads", Events: []string{"insert"}, Function: "f", JSON: true, Columns: []string{"id", "image"},
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				for b.Loop() {
					exec("INSERT INTO uploads VALUES (1, 'cat.png')")
				}
			})
		}
	}
	b.Run("postgres", func(b *testing.B) { bench(b, newPostgres(b)) })
	b.Run("mysql", func(b *testing.B) { bench(b, newMySQL(b)) })
}
