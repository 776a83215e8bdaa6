package outbox

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store/storetest"
)

// TestRolledBack lets sessions add rows, of which some are rolled back. The others arrive
// once, and those of a session in their order.
func TestRolledBack(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		worker := startCollector(t, s.addr, "f")
		r := newRelay(t, db, s.addr)
		r.BatchRows = 7
		run(t, r)
		const sessions, transactions = 4, 30
		var done sync.WaitGroup
		for session := range sessions {
			done.Go(func() {
				for n := range transactions {
					tx, err := db.pool.Begin()
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := tx.Exec(insertText(db, "f", fmt.Sprint(session), n, n)); err != nil {
						t.Error(err)
					}
					if n%3 == 0 {
						err = tx.Rollback()
					} else {
						err = tx.Commit()
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		done.Wait()
		jobs := worker.wait(t, sessions*transactions*2/3)
		for session := range sessions {
			var want []string
			for n := range transactions {
				if n%3 != 0 {
					want = append(want, fmt.Sprintf("%d-%d", session, n))
				}
			}
			var got []string
			for _, job := range jobs {
				if strings.HasPrefix(job, fmt.Sprintf("%d-", session)) {
					got = append(got, job)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("session %d: got %q, want %q", session, got, want)
			}
		}
		waitEmpty(t, db, r)
	})
}

// TestFields submits a row with each field, and a workload that is read on its own.
func TestFields(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		large := bytes.Repeat([]byte("x"), 3*inlineSize)
		insert := "INSERT INTO gearman_outbox (" + d.dialect.identifier("function") + ", workload, unique_key, priority, run_at) VALUES "
		d.query(t, insert+"('f', '"+string(large)+"', NULL, 1, '2000-01-01'), ('f', '', 'key', 0, '2040-01-02 03:04:05')")
		r := newRelay(t, db, s.addr)
		r.BatchBytes = inlineSize
		run(t, r)
		waitEmpty(t, db, r)
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		got, err := admin.Jobs(t.Context(), "f", "", 0)
		if err != nil || len(got) != 2 {
			t.Fatalf("got %+v, %v, want 2 jobs", got, err)
		}
		token, _ := db.readToken(t.Context())
		first, second := got[0], got[1]
		if !strings.HasPrefix(first.Unique, "outbox:"+token+":1:") || len(first.Unique) > gearman.DefaultMaxUnique || first.Priority != "high" || first.State != gearman.StateWaiting || first.Size != len(large) {
			t.Errorf("the first job is %+v", first)
		}
		if second.Unique != "key" || second.State != gearman.StateDelayed || second.RunAtMS != 2209086245000 {
			t.Errorf("the second job is %+v", second)
		}
		var payload bytes.Buffer
		if _, err := admin.JobPayload(t.Context(), first.Handle, &payload); err != nil || !bytes.Equal(payload.Bytes(), large) {
			t.Errorf("the payload has %d bytes, %v", payload.Len(), err)
		}
		waitFor(t, "count of both rows", r, func() bool { return r.Stats().Sent == 2 })
		if stats := r.Stats(); stats.Batches != 2 {
			t.Errorf("got %+v, want 2 batches, because of the bytes", stats)
		}
	})
}

// TestDeadRows has rows that no server accepts between two that it does.
func TestDeadRows(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		insert(t, db, "f", "a", 1, 1)
		d.query(t, "INSERT INTO gearman_outbox ("+d.dialect.identifier("function")+", workload, priority) VALUES ('', 'b', 0), ('f', 'c', 9)")
		insert(t, db, "f", "d", 1, 1)
		r := newRelay(t, db, s.addr)
		r.MaxPayload, r.MaxAttempts = 5000, 3
		d.query(t, "INSERT INTO gearman_outbox ("+d.dialect.identifier("function")+", workload, priority) VALUES ('f', '"+strings.Repeat("x", 6000)+"', 0)")
		run(t, r)
		waitEmpty(t, db, r)
		waitFor(t, "dead rows", r, func() bool { return r.Stats().Dead == 3 })
		waitFor(t, "two sent rows", r, func() bool { return r.Stats().Sent == 2 })
		if got := r.Stats(); got.Refused != 9 || got.Away != "" {
			t.Errorf("got %+v, want 2 sent and 9 refused", got)
		}
		rows, err := db.Dead(t.Context(), 0, 0)
		if err != nil || len(rows) != 3 {
			t.Fatalf("got %v, %v, want 3 dead rows", rows, err)
		}
		for i, want := range []string{"no function", "priority 9: not 1 (high)", "size 6000 over the limit of 5000 bytes"} {
			if got := rows[i]; got.Attempts != 3 || !strings.Contains(got.LastError, want) || time.Since(got.Dead).Abs() > time.Hour {
				t.Errorf("got %+v, want %q", got, want)
			}
		}
		if got, err := db.Dead(t.Context(), rows[0].ID, 1); err != nil || len(got) != 1 || got[0].ID != rows[1].ID {
			t.Errorf("got %v, %v, want the second row", got, err)
		}
		d.query(t, "UPDATE gearman_outbox SET priority = 0 WHERE priority = 9")
		if n, err := db.RetryDead(t.Context(), rows[1].ID); n != 1 || err != nil {
			t.Errorf("RetryDead: %d, %v, want 1", n, err)
		}
		waitFor(t, "third job", r, func() bool { return r.Stats().Sent == 3 })
		if n, err := db.PurgeDead(t.Context()); n != 2 || err != nil {
			t.Errorf("PurgeDead: %d, %v, want 2", n, err)
		}
	})
}

// TestQueueFull has a function that accepts one job. The rows of other functions pass.
func TestQueueFull(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		if err := admin.Create(t.Context(), "full"); err != nil {
			t.Fatal(err)
		}
		if err := admin.MaxQueue(t.Context(), "full", 1); err != nil {
			t.Fatal(err)
		}
		insert(t, db, "full", "a", 1, 5)
		insert(t, db, "f", "b", 1, 1)
		other := startCollector(t, s.addr, "f")
		r := newRelay(t, db, s.addr)
		r.BatchRows = 2
		run(t, r)
		other.wait(t, 1)
		startCollector(t, s.addr, "full").wait(t, 5)
		waitEmpty(t, db, r)
		if got := r.Stats(); got.Refused != 0 {
			t.Errorf("got %+v, want no attempts of rows of a full queue", got)
		}
	})
}

// TestAway starts a relay without a job server and without a database, and kills the
// database later. It logs each change once.
func TestAway(t *testing.T) {
	eachDatabaseAlone(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		insert(t, db, "f", "a", 1, 3)
		port, err := storetest.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		r := newRelay(t, db, addr)
		log := &lockedBuffer{}
		r.Logger = slog.New(slog.NewTextHandler(log, nil))
		run(t, r)
		waitFor(t, "failure of the server", r, func() bool { return r.Stats().Away == "server" })
		startServer(t, addr, server.Config{})
		worker := startCollector(t, addr, "f")
		worker.wait(t, 3)
		waitFor(t, "recovery", r, func() bool { return r.Stats().Away == "" && r.Stats().Sent == 3 })
		d.kill()
		waitFor(t, "failure of the database", r, func() bool { return r.Stats().Away == "database" })
		d.start(t)
		insert(t, d.open(t, Config{}), "f", "b", 1, 2)
		worker.wait(t, 5)
		waitFor(t, "recovery", r, func() bool { return r.Stats().Away == "" })
		got := log.String()
		for _, want := range []string{"away=server", "back=server", "away=database", "back=database"} {
			if n := strings.Count(got, want); n != 1 {
				t.Errorf("%d lines with %s, want 1:\n%s", n, want, got)
			}
		}
	})
}

// TestNotInstalled runs a relay before its table exists.
func TestNotInstalled(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.open(t, Config{})
		s := startServer(t, "", server.Config{})
		r := newRelay(t, db, s.addr)
		run(t, r)
		waitFor(t, "error", r, func() bool { return strings.Contains(r.Stats().Err, "its installation creates") })
		d.install(t, Config{})
		insert(t, db, "f", "a", 1, 1)
		waitFor(t, "job", r, func() bool { return r.Stats().Sent == 1 })
	})
}

// TestTwoRelays has two relays at an outbox, and every job once.
func TestTwoRelays(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		insert(t, db, "f", "a", 1, 500)
		var relays []*Relay
		for range 2 {
			r := newRelay(t, d.open(t, Config{}), s.addr)
			r.BatchRows = 10
			r.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
			relays = append(relays, r)
			run(t, r)
		}
		jobs := startCollector(t, s.addr, "f").wait(t, 500)
		waitEmpty(t, db, relays[0])
		slices.Sort(jobs)
		if n := len(slices.Compact(jobs)); n != 500 {
			t.Errorf("%d different jobs, want 500", n)
		}
		waitFor(t, "count of all rows", relays[0], func() bool { return relays[0].Stats().Sent+relays[1].Stats().Sent == 500 })
	})
}

// TestClosedClient ends Run.
func TestClosedClient(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		insert(t, db, "f", "a", 1, 1)
		r := newRelay(t, db, "127.0.0.1:1")
		_ = r.Client.Close()
		if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("got %v, want an error about the client", err)
		}
	})
}
