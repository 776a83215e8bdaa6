package udf_test

import (
	"fmt"
	"testing"
)

// BenchmarkMySQL is BenchmarkPostgres with MariaDB.
func BenchmarkMySQL(b *testing.B) {
	m := startMySQL(b)
	for _, store := range []string{"memory", "data"} {
		var flags []string
		if store == "data" {
			flags = []string{"--data", b.TempDir()}
		}
		addr := startJobServer(b, flags...).addr
		for _, sessions := range []int{1, 20} {
			b.Run(fmt.Sprintf("background/%s/%d", store, sessions), func(b *testing.B) {
				m.benchCalls(b, addr, sessions, "gman_do_background('bench', REPEAT('x', 100))")
			})
		}
	}
	for _, sessions := range []int{1, 20} {
		b.Run(fmt.Sprintf("foreground/memory/%d", sessions), func(b *testing.B) {
			m.benchCalls(b, m.jobs.addr, sessions, "gman_do('echo', REPEAT('x', 100))")
		})
	}
}

// benchCalls makes b.N calls in some sessions.
func (m *mysqlServer) benchCalls(b *testing.B, addr string, sessions int, call string) {
	m.set(b, "servers", addr)
	var all []*session
	for range sessions {
		s := newSession(b, m.db)
		if got, err := s.query("SELECT " + call); err != nil {
			b.Fatalf("%s = %q, %v", call, got, err)
		}
		all = append(all, s)
	}
	benchSessions(b, all, func(n int) string { return fmt.Sprintf("SELECT COUNT(%s) FROM seq_0_to_%d WHERE seq > 0", call, n) })
}
