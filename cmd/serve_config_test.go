package cmd

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"gm/cmd/cli"
	"gm/pkg/store/open"
)

// withFlags calls f with the flags of a verb as a command line has them.
func withFlags(t *testing.T, e *env, v *cli.Verb, args []string, f func(*cli.Context)) {
	t.Helper()
	e.Stdout, e.Stderr = io.Discard, io.Discard
	root := &cli.Verb{Command: &cli.Command{Name: "gm"}, Verbs: []*cli.Verb{v}}
	call, err := cli.ParseArgs(root, append([]string{v.Name}, args...))
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	c, err := call.Context()
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	f(c)
}

func TestServePlace(t *testing.T) {
	tests := []struct {
		args string // commas between them
		env  string // GM_STORE
		want string // the URL's scheme, rest and parameters; empty for memory
		err  string
	}{
		{args: ""},
		{args: "--data,dir", want: "disk:dir"},
		{args: "--store,disk:a,--sync,never", want: "disk:a"},
		{env: "sqlite:x?table=t", want: "sqlite:x?table=t"},
		{args: "--data,dir", env: "sqlite:x", want: "disk:dir"},
		{args: "--queue-type,builtin", env: "sqlite:x"},
		{args: "-q,libsqlite3,--libsqlite3-db,/a b", want: "sqlite:/a b"},
		{args: "--queue-type,libsqlite3,--libsqlite3-db,f?,--libsqlite3-table,t", want: "sqlite:f??table=t"},
		{args: "--queue-type,Postgres", want: "postgres:"},
		{args: "--queue-type,postgres,--libpq-conninfo,host=a password=? dbname=b,--libpq-table,t", want: "postgres:host=a password=? dbname=b?table=t"},
		{args: "--queue-type,Postgres,--libpq-conninfo,postgres://a/b?sslmode=disable,--libpq-table,t", want: "postgres://a/b?sslmode=disable&table=t"},
		{args: "--queue-type,MySQL,--mysql-host,h,--mysql-user,u,--mysql-password,p@:/?,--mysql-db,d,--mysql-table,t", want: "mysql://u:p%40%3A%2F%3F@h:3306/d?table=t"},
		{args: "--queue-type,mysql,--mysql-host,::1,--mysql-port,1,--mysql-user,u", want: "mysql://u:@[::1]:1/"},
		{args: "--queue-type,redis", want: "redis://127.0.0.1:6379"},
		{args: "--queue-type,redis,--redis-server,h,--redis-port,1,--redis-password,p,--redis-prefix,x", want: "redis://:p@h:1?prefix=x"},
		{args: "--queue-type,libmemcached,--libmemcached-servers,a:1 b,--libmemcached-prefix,x", want: "memcached:a:1 b?prefix=x"},
		{args: "--queue-type,libtokyocabinet,--libtokyocabinet-file,f.tch", want: "tokyocabinet:f.tch"},
		{args: "--queue-type,libtokyocabinet,--libtokyocabinet-file,f.tcb", want: "tokyocabinet:f.tcb"},

		{args: "--data,a,--store,disk:b", err: "--store cannot be used with --data"},
		{args: "--data,a,--queue-type,redis", err: "--data cannot be used with --queue-type"},
		{args: "--sync,always", err: "--sync needs a store"},
		{args: "--store,redis://h,--sync,always", err: "--sync needs a disk or sqlite store: the settings of redis decide when it syncs"},
		{args: "--data,a,--sync,often", err: `--sync "often"`},
		{args: "--store,x", err: "not like disk:DIR"},
		{args: "--queue-type,libdrizzle", err: `--queue-type "libdrizzle"`},
		{args: "--queue-type,libsqlite3", err: "--queue-type libsqlite3: no --libsqlite3-db"},
		{args: "--queue-type,libmemcached", err: "no --libmemcached-servers"},
		{args: "--libsqlite3-db,x", err: "--libsqlite3-db: the jobs are kept elsewhere"},
		{args: "--queue-type,redis,--mysql-db,x", err: "--mysql-db: the jobs are kept elsewhere"},
	}
	for _, test := range tests {
		var args []string
		if test.args != "" {
			args = strings.Split(test.args, ",")
		}
		e := &env{Env: cli.Env{Getenv: func(name string) string {
			if name == "GM_STORE" {
				return test.env
			}
			return ""
		}}}
		withFlags(t, e, serveVerb(e), args, func(c *cli.Context) {
			place, err := e.servePlace(c)
			if err != nil || test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || exitCode(err) != cli.ExitUsage {
					t.Errorf("%s: got error %v, want one of usage with %q", test.args, err, test.err)
				}
				return
			}
			if got := placeText(place); got != test.want {
				t.Errorf("%s: got %s, want %s", test.args, got, test.want)
			}
		})
	}
}

// placeText writes a place as its URL, with its password.
func placeText(p *open.Place) string {
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

func TestRetryFlags(t *testing.T) {
	e := &env{Env: cli.Env{Getenv: func(string) string { return "" }}}
	args := []string{"--retry", "a=3,1s..5m", "--retry", "b=1", "--retry=c=-1,0s"}
	withFlags(t, e, serveVerb(e), args, func(c *cli.Context) {
		want := []string{"a=3,1s..5m", "b=1", "c=-1,0s"}
		if got := retryFlags(c); !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
