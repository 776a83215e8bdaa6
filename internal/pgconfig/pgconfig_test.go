package pgconfig

import (
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
)

func TestParse(t *testing.T) {
	const longest = 3 * time.Second
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
			c, err := Parse(tc.conninfo, longest)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v, want an error with %q and no password", err, tc.err)
				}
				return
			}
			if err != nil || c.Host != tc.host || c.SSLMode != tc.sslmode {
				t.Errorf("got %q, %q, %v, want %q, %q", c.Host, c.SSLMode, err, tc.host, tc.sslmode)
			}
			if c.ApplicationName != "gm" || c.ConnectTimeout != longest {
				t.Errorf("got %q, %v, want gm, %v", c.ApplicationName, c.ConnectTimeout, longest)
			}
		})
	}
	c, err := Parse("host=h application_name=queue connect_timeout=1", longest)
	if err != nil || c.ApplicationName != "queue" || c.ConnectTimeout != time.Second {
		t.Errorf("got %q, %v, %v, want queue, 1s", c.ApplicationName, c.ConnectTimeout, err)
	}
}
