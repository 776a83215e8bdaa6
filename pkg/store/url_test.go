package store

import (
	"fmt"
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

// TestNoPassword checks that neither an error nor a printed URL contains any
// part of a password, for all places and characters of it.
func TestNoPassword(t *testing.T) {
	for _, scheme := range []string{"postgres", "postgresql", "mysql", "redis", "rediss", "memcached", "sqlite", "tokyocabinet", "disk", "unheard"} {
		for _, between := range []string{"", "/", "?", "#", "@", ":", "%", "&", "=", "[", "]", " ", "'", "//", "1", "@@", "?a=", "&x=", "é", "\\", "\x01", "%zz", "%2F"} {
			password := "hush1" + between + "hush2"
			for _, form := range []string{
				"://u:PASS@h:1/db", "://:PASS@h/0", "://u:PASS@h:1/db?table=t", "://u:12/PASS@h:1/db", "://h/db?password=PASS", "://h/db?user=u&password=PASS&table=t",
				"://h/db?table=t&sslpassword=PASS", "//u:PASS@h/db", ":host=h password=PASS dbname=d", ":host=h password='PASS' dbname=d",
				"://u:PASS@h:port/db?password=PASS", ":x?password=PASS", "://u:PASS@[::1/db",
			} {
				text := scheme + strings.ReplaceAll(form, "PASS", password)
				if strings.Contains(between, " ") && strings.Contains(form, "password=PASS d") {
					continue // the second half is a word of its own
				}
				u, err := ParseURL(text)
				printed := ""
				if err != nil {
					printed = err.Error()
				} else {
					printed = u.String()
					if strings.Contains(form, "password") {
						printed += u.UnknownKey("hush2").Error()
					}
				}
				if strings.Contains(printed, "hush") {
					t.Errorf("%q: printed as %s", text, printed)
				}
			}
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://u@h/db":                          "postgres://u@h/db",
		"postgres://u:p@h/db?table=t":                "postgres://u:xxxxx@h/db?table=t",
		"mysql://u:a/b#c?d@e@h:3306/db":              "mysql://u:xxxxx@h:3306/db",
		"postgres://h/db?table=t&password=p":         "postgres://h/db?table=t&password=xxxxx",
		"postgres://h/db?password=p&q&table=t":       "postgres://h/db?password=xxxxx",
		"postgres://h/db?passfile=/etc/pass&table=t": "postgres://h/db?passfile=/etc/pass&table=t",
		"postgres:host=h password = 'p q' dbname=d":  "postgres:host=h password =xxxxx",
		"disk:/srv/a@b:c":                            "disk:/srv/a@b:c",
		"memcached://a:1,b:2?prefix=p":               "memcached://a:1,b:2?prefix=p",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestURLOptions(t *testing.T) {
	for _, tc := range []struct{ url, want string }{
		{"x:file", "map[] <nil>"},
		{"x:file?a=1&b=&a=2", "map[a:[2] b:[]] <nil>"},
		{"x://host/?a=1", "map[a:[1]] <nil>"},
		{"x:file?c=1", `map[] store x:file?c=1: unknown option "c"`},
	} {
		u, err := ParseURL(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		options, err := u.Options("a", "b")
		if got := fmt.Sprint(options, " ", err); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.url, got, tc.want)
		}
	}
}

func TestURLFile(t *testing.T) {
	for in, want := range map[string]string{
		"x:queue.db": "queue.db", "x:/dir/queue.db?table=t": "/dir/queue.db", "x:///dir/queue.db": "/dir/queue.db", "x://host/queue.db": "",
	} {
		u, err := ParseURL(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.File(); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
