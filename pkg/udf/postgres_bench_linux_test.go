package udf_test

import (
	"fmt"
	"strconv"
	"testing"
)

// BenchmarkPostgres calls the functions in one session and in 20, with 100 bytes a
// job: background submissions to a server that keeps its jobs in memory, to one that
// syncs its disk before it acknowledges jobs, and to one that syncs it every second;
// and foreground jobs of a worker in the test's process.
func BenchmarkPostgres(b *testing.B) {
	p := startPostgres(b)
	for _, store := range []struct {
		name  string
		flags []string
	}{
		{"memory", nil},
		{"data", []string{"--data", b.TempDir()}},
		{"data-interval", []string{"--data", b.TempDir(), "--sync", "interval"}},
	} {
		addr := startJobServer(b, store.flags...).addr
		for _, sessions := range []int{1, 20} {
			b.Run(fmt.Sprintf("background/%s/%d", store.name, sessions), func(b *testing.B) {
				benchCalls(b, p, addr, sessions, "gman_do_background('bench', repeat('x', 100))")
			})
		}
	}
	for _, sessions := range []int{1, 20} {
		b.Run(fmt.Sprintf("foreground/memory/%d", sessions), func(b *testing.B) {
			benchCalls(b, p, p.jobs.addr, sessions, "gman_do('echo', repeat('x', 100))")
		})
	}
}

// benchCalls makes b.N calls in some sessions.
func benchCalls(b *testing.B, p *postgres, addr string, sessions int, call string) {
	var all []*session
	for range sessions {
		s := newSession(b, p.db)
		s.exec(b, "SET gearman.servers = '"+addr+"'")
		if got, err := s.query("SELECT " + call); err != nil { // connects
			b.Fatalf("%s = %q, %v", call, got, err)
		}
		all = append(all, s)
	}
	benchSessions(b, all, func(n int) string { return fmt.Sprintf("SELECT count(%s) FROM generate_series(1, %d)", call, n) })
}

// benchSessions makes b.N calls, divided among the sessions, with one statement each.
func benchSessions(b *testing.B, all []*session, statement func(calls int) string) {
	b.ResetTimer()
	var answers []<-chan answer
	var counts []int
	for i, s := range all {
		n := b.N / len(all)
		if i < b.N%len(all) {
			n++
		}
		counts = append(counts, n)
		answers = append(answers, s.start(statement(n)))
	}
	for i, done := range answers {
		if a := <-done; a.err != nil || a.got != strconv.Itoa(counts[i]) {
			b.Errorf("session %d: %q, %v; want %d calls", i, a.got, a.err, counts[i])
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
