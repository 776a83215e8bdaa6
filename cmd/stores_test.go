package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gm/cmd/cli"
	"gm/internal/testgm"
	"gm/pkg/store"
	"gm/pkg/store/dump"
	"gm/pkg/store/storetest"
)

// A storeKind is a store for tests.
type storeKind struct {
	url     string // without parameters
	name    string // the parameter that separates several stores in one place
	options []string
	sql     string // a shell command that runs the SQL on its stdin; only of a database server
}

// startStores has a function for each kind that starts the server of the store. The
// options are those of gearmand, for the store whose name parameter is restart.
var startStores = map[string]func(t *testing.T) storeKind{
	"sqlite": func(t *testing.T) storeKind {
		file := filepath.Join(t.TempDir(), "queue.db")
		return storeKind{"sqlite:" + file, "table", []string{
			"--queue-type=libsqlite3", "--libsqlite3-db=" + file, "--libsqlite3-table=restart",
		}, ""}
	},
	"postgres": func(t *testing.T) storeKind {
		s := storetest.StartPostgres(t)
		return storeKind{strings.TrimSuffix(s.URL(s.Addr()), "?sslmode=disable"), "table", []string{
			"--queue-type=Postgres", "--libpq-conninfo=" + s.Conninfo(), "--libpq-table=restart",
		}, "psql -X -q -A -t -v ON_ERROR_STOP=1 " + s.URL(s.Addr())}
	},
	"mysql": func(t *testing.T) storeKind {
		s := storetest.StartMySQL(t)
		return storeKind{s.URL(s.Addr()), "table", []string{
			"--queue-type=MySQL", "--mysql-host=127.0.0.1", "--mysql-port=" + strconv.Itoa(s.Port()),
			"--mysql-user=gm", "--mysql-password=secret", "--mysql-db=gm", "--mysql-table=restart",
		}, "mariadb --no-defaults --default-character-set=utf8mb4 -h 127.0.0.1 -P " + strconv.Itoa(s.Port()) + " -u root -N -B gm"}
	},
	"redis": func(t *testing.T) storeKind {
		s := storetest.StartRedis(t)
		return storeKind{s.URL(s.Addr()), "prefix", []string{
			"--queue-type=redis", "--redis-server=127.0.0.1", "--redis-port=" + strconv.Itoa(s.Port()), "--redis-prefix=restart",
		}, ""}
	},
}

func TestScriptsOnStores(t *testing.T) {
	for kind, start := range startStores {
		t.Run(kind, func(t *testing.T) {
			s := start(t)
			variables := map[string]string{"STORE": s.url, "NAME": s.name, "SQL": s.sql, "KIND": kind}
			for i := range 7 {
				variables[fmt.Sprintf("OPTION%d", i+1)] = ""
			}
			for i, option := range s.options {
				variables[fmt.Sprintf("OPTION%d", i+1)] = option
			}
			runScripts(t, "testdata/stores", variables)
			if s.name == "table" && kind != "sqlite" {
				runScripts(t, "testdata/databases", variables)
			}
		})
	}
}

func TestLostStore(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a lock in Redis to run out, which takes 10 s")
	}
	redis := storetest.StartRedis(t)
	runScripts(t, "testdata/lost", map[string]string{"STORE": redis.URL(redis.Addr())})
}

// dumped returns the lines that each store must dump unchanged.
func dumped() string {
	records := []*store.Record{
		{Seq: 7_000_000_000_000_001, Function: "f", Unique: "u", Payload: []byte("a\x00b'\"\\\n"), Priority: 0, Accepted: 1_795_000_000_123},
		{Seq: 7_000_000_000_000_002, Function: "f", Payload: nil, Priority: 1, RunAt: 1_995_000_000_456, Attempts: 3},
		{Seq: 7_000_000_000_000_003, Function: "f", Payload: []byte("again"), Priority: 2, Reducer: "r"},
		{Seq: 7_000_000_000_000_004, Function: "other-f", Unique: "-", Payload: bytes.Repeat([]byte{0xff}, 100_000), Priority: 1},
		{Seq: 7_000_000_000_000_005, Function: "f", Unique: strings.Repeat("u", 255), Payload: []byte("x"), Priority: 1},
		{Seq: 7_000_000_000_000_006, Function: "f\xff", Unique: "\x00\xfe", Payload: []byte("x"), Priority: 1},
		{Seq: 7_000_000_000_000_007, Function: "é", Unique: "ü", Payload: []byte("x"), Priority: 1},
	}
	var lines strings.Builder
	if err := dump.Write(context.Background(), &lines, listed(records)); err != nil {
		panic(err)
	}
	return lines.String()
}

// listed is a store that holds these jobs, and two extras.
type listed []*store.Record

func (listed) Commit(context.Context, []store.Op) error { return errors.ErrUnsupported }
func (listed) Caps() store.Caps                         { return store.Caps{Lists: true} }
func (listed) Close() error                             { return nil }

func (l listed) Replay(_ context.Context, f func(*store.Record) error) error {
	for _, r := range l {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

func (listed) Extra(context.Context, string) ([]byte, error) { return nil, store.ErrNotFound }

func (listed) Extras(_ context.Context, _ string, f func(string, []byte) error) error {
	return errors.Join(f("dead/1", []byte("\x00\xff")), f("policy/66", []byte("3")))
}

// gm runs a command line in this process and returns its output.
func gm(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	e := &env{Env: cli.Env{
		Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(string) string { return "" },
	}}
	if code := e.run(context.Background(), append([]string{"gm"}, args...)); code != 0 {
		t.Fatalf("gm %q: exit code %d\n%s", args, code, stderr.String())
	}
	return stdout.String()
}

// TestDumpLoad loads a dump into a store of each kind, and compares it with the dump
// of that store: a queue can move from any kind to any other.
func TestDumpLoad(t *testing.T) {
	want := dumped()
	kinds := map[string]func(*testing.T) storeKind{
		"disk": func(t *testing.T) storeKind { return storeKind{url: "disk:" + t.TempDir()} },
		"memcached": func(t *testing.T) storeKind {
			return storeKind{url: "memcached://" + storetest.StartMemcached(t).Addr()}
		},
	}
	if testgm.WithTokyoCabinet {
		for _, name := range []string{"queue.tch", "queue.tcb"} {
			kinds["tokyocabinet "+name] = func(t *testing.T) storeKind {
				return storeKind{url: "tokyocabinet:" + filepath.Join(t.TempDir(), name)}
			}
		}
	}
	for kind, start := range startStores {
		kinds[kind] = start
	}
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			url := start(t).url
			if got := gm(t, want, "store", "load", url); got != "7\t2\t0\t0\n" {
				t.Errorf("load: got %q", got)
			}
			if got := inOrder(gm(t, "", "store", "dump", url)); got != inOrder(want) {
				t.Errorf("got\n%.2000s\nwant\n%.2000s", got, want)
			}
			if got := gm(t, want, "store", "load", "--merge", url); got != "0\t0\t0\t7\n" {
				t.Errorf("merge: got %q", got)
			}
			if got := gm(t, "", "store", "check", url); got != "" {
				t.Errorf("check: got %s", got)
			}
		})
	}
}

// inOrder sorts the extras of a dump, whose order differs between stores.
func inOrder(dump string) string {
	lines := strings.SplitAfter(dump, "\n")
	slices.SortStableFunc(lines, func(a, b string) int {
		if strings.HasPrefix(a, `{"extra"`) && strings.HasPrefix(b, `{"extra"`) {
			return strings.Compare(a, b)
		}
		return 0
	})
	return strings.Join(lines, "")
}
