package open

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGearmand checks which store gearmand's options name. The file is MySQL's
// option file of the user.
func TestGearmand(t *testing.T) {
	const file = "[client]\nuser=c\npassword=pa ss\nhost=of clients\n[gearmand]\nhost=db\ndatabase=jobs\n"
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".my.cnf"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		options string // blanks between them
		want    string // the URL, with its password
		err     string
		hint    string
	}{
		{},
		{options: "queue-type=builtin"},
		{options: "queue-type=BuiltIn"},
		{options: "queue-type=libsqlite3 libsqlite3-db=f libsqlite3-table=t", want: "sqlite:f?table=t"},
		{options: "queue-type=LIBPQ libpq-conninfo=host=a", want: "postgres:host=a"},
		{options: "queue-type=Postgres libpq-conninfo=postgres://a/b libpq-table=t", want: "postgres://a/b?table=t"},
		{options: "queue-type=MySQL", want: "mysql://c:pa%20ss@db:3306/jobs"},
		{options: "queue-type=mysql mysql-host=h mysql-port=1 mysql-user=u mysql-password=p@/ mysql-db=d mysql-table=t", want: "mysql://u:p%40%2F@h:1/d?table=t"},
		{options: "queue-type=redis redis-server=::1 redis-prefix=x", want: "redis://[::1]:6379?prefix=x"},
		{options: "queue-type=libmemcached libmemcached-servers=a:1,b:2", want: "memcached:a:1,b:2"},
		{options: "queue-type=libtokyocabinet libtokyocabinet-file=f.tch", want: "tokyocabinet:f.tch"},

		{options: "queue-type=none", err: `--queue-type "none": not builtin`},
		{options: "queue-type=libsqlite3", err: "--queue-type libsqlite3: no --libsqlite3-db"},
		{options: "queue-type=libtokyocabinet", err: "no --libtokyocabinet-file"},
		{options: "libpq-table=t", err: "--libpq-table: the jobs are kept elsewhere", hint: "--queue-type postgres uses it"},
		{options: "queue-type=redis mysql-db=d", err: "--mysql-db: the jobs are kept elsewhere", hint: "--queue-type mysql uses it"},
		{options: "queue-type=Postgres libpq-conninfo=postgres://a:p/p@b", err: "store"},
	} {
		t.Run(tc.options, func(t *testing.T) {
			g := Gearmand{Options: map[string]string{}, Getenv: func(name string) string { return map[string]string{"HOME": home}[name] }}
			g.Unsafe = func(file string) { t.Errorf("anyone may write %s", file) }
			for option := range strings.FieldsSeq(tc.options) {
				name, value, _ := strings.Cut(option, "=")
				if !IsGearmandOption(name) {
					t.Errorf("%s is no option", name)
				}
				g.Options[name] = value
			}
			p, err := g.Place()
			wrong := new(UsageError)
			switch {
			case tc.err != "" && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.err) || wrong.Hint != tc.hint):
				t.Errorf("got %v with the hint %q, want a UsageError with %q and the hint %q", err, wrong.Hint, tc.err, tc.hint)
			case tc.err == "" && (err != nil || urlText(p) != tc.want):
				t.Errorf("got %s, %v, want %s", urlText(p), err, tc.want)
			}
		})
	}
	for _, name := range []string{"store", "threads", "redis", "sql"} {
		if IsGearmandOption(name) {
			t.Errorf("%s is an option of a queue", name)
		}
	}
}

// urlText returns the URL of a place with its password; empty for memory.
func urlText(p *Place) string {
	if p == nil {
		return ""
	}
	u := p.URL
	if u.Net != nil {
		plain := *u.Net
		plain.RawQuery = u.Query.Encode()
		return plain.String()
	}
	text := u.Scheme + ":" + u.Path
	if len(u.Query) > 0 {
		text += "?" + u.Query.Encode()
	}
	return text
}
