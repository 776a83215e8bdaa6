package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
	"gm/pkg/store/storetest"
)

func TestParseConninfo(t *testing.T) {
	for _, name := range []string{"PGHOST", "PGHOSTADDR", "PGPORT", "PGSSLMODE", "PGAPPNAME", "PGSERVICE", "PGCONNECT_TIMEOUT", "PGCLIENTENCODING", "PGDATESTYLE"} {
		t.Setenv(name, "")
	}
	socket := socketDir()
	for _, tc := range []struct {
		conninfo string
		env      map[string]string
		host     string
		sslmode  pq.SSLMode
		err      string // a part of it
	}{
		{conninfo: "dbname=a", host: socket, sslmode: "disable"},
		{conninfo: "", host: socket, sslmode: "disable"},
		{conninfo: "postgres:///a", host: socket, sslmode: "disable"},
		{conninfo: "dbname=a", env: map[string]string{"PGHOST": "h"}, host: "h", sslmode: "prefer"},
		{conninfo: "host=localhost", host: "localhost", sslmode: "prefer"},
		{conninfo: "dbname=a host = h sslmode=verify-full", host: "h", sslmode: "verify-full"},
		{conninfo: "postgres://localhost/a", host: "localhost", sslmode: "prefer"},
		{conninfo: "postgres:///a?host=h", host: "h", sslmode: "prefer"},
		{conninfo: "postgresql://u@h/a?sslmode=require", host: "h", sslmode: "require"},
		{conninfo: "host=h", env: map[string]string{"PGSSLMODE": "require"}, host: "h", sslmode: "require"},
		{conninfo: "host=h", env: map[string]string{"PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "German"}, host: "h", sslmode: "prefer"},
		{conninfo: "postgres://h", env: map[string]string{"PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "German"}, host: "h", sslmode: "prefer"},
		{conninfo: "host=h", env: map[string]string{"PGCHANNELBINDING": "require"}, err: "PGCHANNELBINDING"},
		{conninfo: "host=h sslmode=perhaps", err: "sslmode"},
		{conninfo: "host", err: "="},
		{conninfo: "postgres://u:secret@h:port/a", err: "port"},
	} {
		t.Run(tc.conninfo, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			c, err := parseConninfo(tc.conninfo)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v, want an error with %q and no password", err, tc.err)
				}
				return
			}
			if err != nil || c.Host != tc.host || c.SSLMode != tc.sslmode {
				t.Errorf("got %q, %q, %v, want %q, %q", c.Host, c.SSLMode, err, tc.host, tc.sslmode)
			}
			if c.ApplicationName != "gm" || c.ConnectTimeout != sqlstore.ConnectTimeout {
				t.Errorf("got %q, %v, want gm, %v", c.ApplicationName, c.ConnectTimeout, sqlstore.ConnectTimeout)
			}
		})
	}
	c, err := parseConninfo("host=h application_name=queue connect_timeout=1")
	if err != nil || c.ApplicationName != "queue" || c.ConnectTimeout != time.Second {
		t.Errorf("got %q, %v, %v, want queue, 1s", c.ApplicationName, c.ConnectTimeout, err)
	}
}

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
