package postgres

import (
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

// TestSocket commits through the server's unix socket.
func TestSocket(t *testing.T) {
	server := storetest.StartPostgres(t)
	c := config(t, server.URL(server.Addr()), "queue")
	c.Conninfo = server.SocketConninfo()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	job := &store.Record{Seq: 7, Function: "f", Unique: "u", Priority: 1}
	if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: job}}); err != nil {
		t.Fatal(err)
	}
	if got := server.Query(t, "SELECT seq, unique_key FROM queue"); got != "7|u\n" {
		t.Errorf("got %q, want job 7", got)
	}
}
