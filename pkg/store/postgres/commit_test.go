package postgres

import (
	"fmt"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
	"gm/pkg/store/storetest"
)

// TestOneStatement checks that a batch of every mixture of changes is one
// statement, also where a job takes the key of one that is done.
func TestOneStatement(t *testing.T) {
	server := storetest.StartPostgres(t)
	job := func(seq uint64, unique string) *store.Record {
		return &store.Record{Seq: seq, Function: "f", Unique: unique, Priority: 1}
	}
	ops := []store.Op{
		{Kind: store.Done, Record: job(1, "a")},
		{Kind: store.Update, Record: &store.Record{Seq: 2, Function: "f", Unique: "b", Attempts: 3, RunAt: 4000}},
		{Kind: store.Delete, Key: "old"},
		{Kind: store.Put, Key: "new", Value: []byte("v")},
		{Kind: store.Add, Record: job(3, "a")},
	}
	for mixture := 1; mixture < 1<<len(ops); mixture++ {
		if mixture&1 == 0 && mixture&16 != 0 {
			continue // job 3 has the key of job 1, which stays
		}
		s := open(t, server.URL(server.Addr()), newTable())
		err := s.Commit(t.Context(), []store.Op{
			{Kind: store.Add, Record: job(1, "a")},
			{Kind: store.Add, Record: job(2, "b")},
			{Kind: store.Put, Key: "old", Value: []byte("o")},
		})
		if err != nil {
			t.Fatal(err)
		}
		jobs, extras := map[int]string{1: "1 a 0 0\n", 2: "2 b 0 0\n"}, "old o\n"
		var batch []store.Op
		for i, op := range ops {
			if mixture&(1<<i) == 0 {
				continue
			}
			batch = append(batch, op)
			switch i {
			case 0:
				delete(jobs, 1)
			case 1:
				jobs[2] = "2 b 3 4000\n"
			case 2:
				extras = ""
			case 3:
				extras = "new v\n" + extras
			case 4:
				jobs[3] = "3 a 0 0\n"
			}
		}
		err = s.link.Do(t.Context(), func() []uint64 { return nil }, func(session *session) error {
			return session.send(t.Context(), s.db.whole(sqlstore.NewNet(batch))...)
		})
		if err != nil {
			t.Errorf("mixture %05b: %v", mixture, err)
			continue
		}
		got := server.Query(t, fmt.Sprintf("SELECT format('%%s %%s %%s %%s', seq, unique_key, attempts, run_at_ms) FROM %s ORDER BY seq", s.db.table.jobs())) +
			server.Query(t, fmt.Sprintf("SELECT key || ' ' || convert_from(value, 'UTF8') FROM %s WHERE key > ' ' ORDER BY key", s.db.table.extras()))
		if want := jobs[1] + jobs[2] + jobs[3] + extras; got != want {
			t.Errorf("mixture %05b: got\n%swant\n%s", mixture, got, want)
		}
		_ = s.Close()
	}
}
