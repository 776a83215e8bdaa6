package store

import (
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for _, test := range []struct {
		in, scheme, path, host, query, printed string
	}{
		{in: "disk:/var/lib/gm", scheme: "disk", path: "/var/lib/gm", printed: "disk:/var/lib/gm"},
		{in: "disk:data", scheme: "disk", path: "data", printed: "disk:data"},
		{in: "SQLite:/a/b:c.db?table=queue", scheme: "sqlite", path: "/a/b:c.db", query: "table=queue", printed: "SQLite:/a/b:c.db?table=queue"},
		{in: "postgres://u:secret@db:5432/jobs?table=q", scheme: "postgres", host: "db:5432", query: "table=q", printed: "postgres://u:xxxxx@db:5432/jobs?table=q"},
		{in: "redis://:secret@127.0.0.1:6379/0", scheme: "redis", host: "127.0.0.1:6379", printed: "redis://:xxxxx@127.0.0.1:6379/0"},
	} {
		u, err := ParseURL(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		host := ""
		if u.Net != nil {
			host = u.Net.Host
		}
		if u.Scheme != test.scheme || u.Path != test.path || host != test.host || u.Query.Encode() != test.query {
			t.Errorf("%s: got scheme %q path %q host %q query %q", test.in, u.Scheme, u.Path, host, u.Query.Encode())
		}
		if u.String() != test.printed {
			t.Errorf("%s: printed as %q, want %q", test.in, u.String(), test.printed)
		}
	}
	for _, bad := range []string{"", "disk", "disk:", ":x", "x://%zz", "disk:x?a=%zz", "postgres://h:port/db"} {
		if u, err := ParseURL(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, u)
		}
	}
	if _, err := ParseURL("postgres://u:secret@h:port/db"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error without the password", err)
	}
}
