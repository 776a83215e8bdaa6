package systest

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// room is a package and its allowed imports besides the standard library.
type room struct {
	path  string   // as for path.Match; the first room that matches counts
	rooms []string // of gm's packages, as for path.Match
	other []string // of other modules, themselves and all below them
	not   []string // of the standard library
}

const (
	cliRoom       = "gm/cmd/cli"
	wireRoom      = "gm/pkg/wire"
	queueRoom     = "gm/pkg/queue"
	storeRoom     = "gm/pkg/store"
	sqlstoreRoom  = "gm/pkg/store/internal/sqlstore"
	dumpRoom      = "gm/pkg/store/dump"
	openRoom      = "gm/pkg/store/open"
	filestoreRoom = "gm/pkg/store/internal/filestore"
	gearmanRoom   = "gm/pkg/gearman"
	batchRoom     = "gm/pkg/batch"
	resultsRoom   = "gm/pkg/results"
	fleetRoom     = "gm/pkg/fleet"
	recordsRoom   = "gm/pkg/records"
	outboxRoom    = "gm/pkg/outbox"

	gatherRoom   = "gm/internal/gather"
	exitlineRoom = "gm/internal/exitline"
	logsinkRoom  = "gm/internal/logsink"
	durationRoom = "gm/internal/duration"
	bytesizeRoom = "gm/internal/bytesize"
	deferredRoom = "gm/internal/deferred"
	escapeRoom   = "gm/internal/escape"
	filelockRoom = "gm/internal/filelock"
	codecRoom    = "gm/internal/codec"
	testgmRoom   = "gm/internal/testgm"
	daemonRoom   = "gm/internal/daemon"
	memoryRoom   = "gm/internal/memory"
	slogRoom     = "gm/internal/serverlog"
	servingRoom  = "gm/internal/serving"
	tuneRoom     = "gm/internal/tune"
	walltimeRoom = "gm/internal/walltime"

	pgconfigRoom    = "gm/internal/pgconfig"
	mysqlconfigRoom = "gm/internal/mysqlconfig"
	pqModule        = "github.com/lib/pq"
	mysqlModule     = "github.com/go-sql-driver/mysql"

	transportRoom = "gm/pkg/server/transport"

	diskRoom     = "gm/pkg/store/disk"
	fsysRoom     = "gm/pkg/store/disk/fsys"
	boltfileRoom = "gm/pkg/store/disk/boltfile"
	bboltModule  = "go.etcd.io/bbolt"

	anything = "*"
	// x/sys is the part of the standard library's syscall that still grows:
	// process groups, subreapers and socket options need it.
	xsys = "golang.org/x/sys"
)

// law is the direction of data: a room or an import that it does not have fails the test.
// A new room needs a line here, and a row in the table of main.go.
var law = []room{
	// calls cmd, returns its exit code
	{path: "gm", rooms: []string{"gm/cmd"}},
	// a file for each verb; the only place that prints, colours and exits
	{path: "gm/cmd", rooms: []string{cliRoom, "gm/pkg/*", durationRoom, escapeRoom, logsinkRoom, tuneRoom, walltimeRoom, openRoom, dumpRoom, daemonRoom, memoryRoom, slogRoom, servingRoom}, other: []string{"github.com/pelletier/go-toml"}},
	// verbs, flags, help, completions, tables and exit codes; knows nothing of Gearman
	{path: cliRoom, rooms: []string{bytesizeRoom, durationRoom}, other: []string{
		"github.com/urfave/cli", "github.com/olekukonko/tablewriter", "github.com/mattn/go-runewidth",
		"github.com/fatih/color", "github.com/mattn/go-isatty", xsys,
	}},
	// tests of the whole system
	{path: "gm/cmd/systest"},
	// the commands of test scripts, and servers for tests
	{path: testgmRoom, other: []string{"github.com/rogpeppe/go-internal"}},
	// every byte on port 4730
	{path: wireRoom, not: []string{"net", "os", "time"}},
	// the Go client, worker and admin library
	{path: gearmanRoom, rooms: []string{wireRoom, tuneRoom}, other: []string{xsys}},
	// many records through one function
	{path: batchRoom, rooms: []string{gearmanRoom}},
	// where the results of a batch go: outputs, files and the joblog
	{path: resultsRoom, rooms: []string{gearmanRoom, batchRoom, exitlineRoom, filelockRoom, gatherRoom}, other: []string{xsys}},
	// a run of many records: input, outputs, joblog, progress
	{path: recordsRoom, rooms: []string{gearmanRoom, batchRoom, resultsRoom}},
	// several servers asked at once: rows of functions, connections and jobs, and rates
	{path: fleetRoom, rooms: []string{gearmanRoom}, not: []string{"net", "os"}},
	// bytes that arrive in pieces
	{path: gatherRoom, not: []string{"net", "os"}},
	// the line by which gm work reports the end of its command
	{path: exitlineRoom, not: []string{"net", "os"}},
	// lines to writers that may be slow or stuck
	{path: logsinkRoom, not: []string{"net"}},
	// the log of a server: level, file, syslog
	{path: slogRoom, rooms: []string{logsinkRoom}},
	// the process of a server: background, user, limits, pid file
	{path: daemonRoom, other: []string{xsys}},
	// the memory of the machine or the container, and its parts
	{path: memoryRoom, other: []string{xsys}, not: []string{"net"}},
	// one server after the other on a store, until a signal
	{path: servingRoom, rooms: []string{"gm/pkg/server", storeRoom, openRoom, gearmanRoom, deferredRoom}},
	// durations such as 1d12h as text
	{path: durationRoom, not: []string{"net", "os"}},
	// points in time such as 15:04 as text
	{path: walltimeRoom, not: []string{"net"}},
	// sizes such as 64K as text, both ways
	{path: bytesizeRoom},
	// any bytes as printable text, both ways
	{path: escapeRoom},
	// tricks that depend on the inside of the Go runtime, with one switch
	{path: tuneRoom, other: []string{xsys}},
	// the lock of a file
	{path: filelockRoom, not: []string{"net"}},
	// a child process per job; knows nothing of Gearman
	{path: "gm/pkg/runner", rooms: []string{tuneRoom}, other: []string{xsys}},
	// a Gearman worker out of any program
	{path: "gm/pkg/work", rooms: []string{gearmanRoom, "gm/pkg/batch", "gm/pkg/runner", gatherRoom, exitlineRoom, bytesizeRoom, escapeRoom}},
	// functions, jobs, workers: no I/O, no goroutines; and no clock, see TestQueueHasNoClock
	{path: queueRoom, rooms: []string{storeRoom, wireRoom}, not: []string{"context", "io", "net", "os", "sync", "syscall"}},
	// the journal's contract
	{path: storeRoom},
	// the bytes in which stores keep jobs: records, checksums, salts
	{path: codecRoom, rooms: []string{storeRoom}, not: []string{"net", "os"}},
	// changes of files that a test can watch
	{path: fsysRoom, rooms: []string{filestoreRoom}},
	// bbolt's pages: read with checks, salvaged, shrunk; knows no jobs
	{path: boltfileRoom, rooms: []string{storeRoom, filestoreRoom, fsysRoom}, other: []string{bboltModule}},
	// jobs in a bbolt file and a log
	{path: diskRoom, rooms: []string{storeRoom, filestoreRoom, codecRoom, fsysRoom, boltfileRoom}, other: []string{bboltModule}},
	// one conformance suite for every engine
	{path: "gm/pkg/store/storetest", rooms: []string{storeRoom}},
	// the code that SQL drivers share: jobs as rows, and the one session that commits
	{path: sqlstoreRoom, rooms: []string{storeRoom, codecRoom}},
	// a store as JSON lines, both ways
	{path: dumpRoom, rooms: []string{storeRoom}},
	// the code that stores in files share: lock, watch, log, modes of files
	{path: filestoreRoom, rooms: []string{storeRoom, filelockRoom}},
	// from a URL to an open, locked store; standing by
	{path: openRoom, rooms: []string{
		storeRoom, "gm/pkg/store/disk", "gm/pkg/store/memcached", "gm/pkg/store/mysql", "gm/pkg/store/postgres",
		"gm/pkg/store/redis", "gm/pkg/store/sqlite", "gm/pkg/store/tokyocabinet",
	}},
	// the commits of a server in memory, written to a store at its end
	{path: deferredRoom, rooms: []string{storeRoom}},
	// the address of a database, as its own clients read it
	{path: pgconfigRoom, rooms: []string{storeRoom}, other: []string{pqModule}},
	{path: mysqlconfigRoom, rooms: []string{storeRoom}, other: []string{mysqlModule}},
	// jobs in a table of a database, which a relay submits
	{path: outboxRoom, rooms: []string{gearmanRoom, storeRoom, pgconfigRoom, mysqlconfigRoom}, other: []string{pqModule, mysqlModule}},
	// one engine each
	{path: "gm/pkg/store/*", rooms: []string{storeRoom, sqlstoreRoom, filestoreRoom, codecRoom, pgconfigRoom, mysqlconfigRoom}, other: []string{anything}},
	// listeners, connections, dispatch, group commit
	{path: "gm/pkg/server", rooms: []string{transportRoom, wireRoom, queueRoom, storeRoom, codecRoom, durationRoom}},
	// sockets, outboxes and back-pressure: bytes only
	{path: transportRoom, rooms: []string{tuneRoom}, other: []string{xsys}},
	// several servers, one queue
	{path: "gm/pkg/cluster", rooms: []string{storeRoom}, other: []string{anything}},
	// dashboard, HTTP submission, metrics: handlers only
	{path: "gm/pkg/web", rooms: []string{queueRoom, gearmanRoom}},
	// the SQL functions of databases, in C; only tests in Go
	{path: "gm/pkg/udf"},
	// benchmarks of servers and of their engines, and the lint of the prose
	{path: "gm/scripts/*", rooms: []string{wireRoom, storeRoom, "gm/pkg/store/*", "gm/scripts/*"}, other: []string{xsys}},
}

// lawSystems are the systems whose files the law is about: one of each kind.
var lawSystems = []string{"linux", "darwin", "freebsd", "windows"}

// TestImportLaw compares the imports of the packages with the law, on every kind of system
// that has files of its own. Tests may import any package.
func TestImportLaw(t *testing.T) {
	for _, system := range lawSystems {
		packages := list(t, system)
		if len(packages) < 2 {
			t.Fatalf("%s: go list has %d packages", system, len(packages))
		}
		for _, p := range packages {
			for _, breach := range breaches(p) {
				t.Errorf("%s: %s", system, breach)
			}
		}
	}
}

// listed is the output of go list for a package.
type listed struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T, system string) (packages []listed) {
	t.Helper()
	module := modulePath(t)
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS="+system)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages
		case err != nil:
			t.Fatalf("%v: %v", cmd, err)
		}
		p.ImportPath = lawName(module, p.ImportPath)
		for i := range p.Imports {
			p.Imports[i] = lawName(module, p.Imports[i])
		}
		packages = append(packages, p)
	}
}

// modulePath returns the path of the module, which scripts/rename-module.sh changes.
func modulePath(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "list", "-m")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	return strings.TrimSpace(string(out))
}

// lawName returns the name that the law has for a package: gm is the path of the module
// there.
func lawName(module, importPath string) string {
	if !under(importPath, module) {
		return importPath
	}
	return "gm" + strings.TrimPrefix(importPath, module)
}

// breaches returns the imports of p that violate the law.
func breaches(p listed) (all []string) {
	i := slices.IndexFunc(law, func(r room) bool { return matches(r.path, p.ImportPath) })
	if i < 0 {
		return []string{fmt.Sprintf("%s is no room of the law", p.ImportPath)}
	}
	for _, imported := range p.Imports {
		if !law[i].allows(imported) {
			all = append(all, fmt.Sprintf("%s may not import %s", p.ImportPath, imported))
		}
	}
	return all
}

func (r *room) allows(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case first == "gm":
		return slices.ContainsFunc(r.rooms, func(pattern string) bool { return matches(pattern, imported) })
	case strings.Contains(first, "."):
		return slices.ContainsFunc(r.other, func(module string) bool { return module == anything || under(imported, module) })
	}
	return !slices.ContainsFunc(r.not, func(name string) bool { return under(imported, name) })
}

func matches(pattern, importPath string) bool {
	ok, err := path.Match(pattern, importPath)
	return ok && err == nil
}

func under(importPath, dir string) bool {
	return importPath == dir || strings.HasPrefix(importPath, dir+"/")
}

func TestLawFindsBreaches(t *testing.T) {
	for _, tc := range []struct {
		room, imported string
		want           string
	}{
		{"gm", "gm/cmd", ""},
		{"gm", wireRoom, "gm may not import gm/pkg/wire"},
		{"gm/cmd", openRoom, ""},
		{"gm/cmd", "gm/pkg/store/disk", "gm/cmd may not import gm/pkg/store/disk"},
		{"gm/cmd", cliRoom, ""},
		{cliRoom, "github.com/urfave/cli/v2", ""},
		{cliRoom, gearmanRoom, cliRoom + " may not import " + gearmanRoom},
		{"gm/cmd", "github.com/pelletier/go-toml/v2", ""},
		{"gm/cmd", "github.com/lib/pq", "gm/cmd may not import github.com/lib/pq"},
		{wireRoom, "io", ""},
		{wireRoom, "net", "gm/pkg/wire may not import net"},
		{wireRoom, "golang.org/x/sys/unix", "gm/pkg/wire may not import golang.org/x/sys/unix"},
		{queueRoom, storeRoom, ""},
		{queueRoom, "container/heap", ""},
		{queueRoom, "sync", "gm/pkg/queue may not import sync"},
		{queueRoom, "sync/atomic", "gm/pkg/queue may not import sync/atomic"},
		{queueRoom, wireRoom, ""},
		{queueRoom, gearmanRoom, "gm/pkg/queue may not import gm/pkg/gearman"},
		{"gm/pkg/server", transportRoom, ""},
		{"gm/pkg/server", "golang.org/x/sys/unix", "gm/pkg/server may not import golang.org/x/sys/unix"},
		{transportRoom, "golang.org/x/sys/unix", ""},
		{transportRoom, "golang.org/x/system", transportRoom + " may not import golang.org/x/system"},
		{transportRoom, wireRoom, transportRoom + " may not import " + wireRoom},
		{transportRoom, queueRoom, transportRoom + " may not import " + queueRoom},
		{"gm/pkg/server", gearmanRoom, "gm/pkg/server may not import gm/pkg/gearman"},
		{"gm/pkg/runner", gearmanRoom, "gm/pkg/runner may not import gm/pkg/gearman"},
		{resultsRoom, batchRoom, ""},
		{resultsRoom, wireRoom, resultsRoom + " may not import " + wireRoom},
		{resultsRoom, "github.com/mattn/go-isatty", resultsRoom + " may not import github.com/mattn/go-isatty"},
		{"gm/pkg/store/disk", "go.etcd.io/bbolt", ""},
		{"gm/pkg/store/disk", queueRoom, "gm/pkg/store/disk may not import gm/pkg/queue"},
		{diskRoom, boltfileRoom, ""},
		{boltfileRoom, bboltModule, ""},
		{boltfileRoom, diskRoom, boltfileRoom + " may not import " + diskRoom},
		{boltfileRoom, codecRoom, boltfileRoom + " may not import " + codecRoom},
		{"gm/pkg/store/sqlite", boltfileRoom, "gm/pkg/store/sqlite may not import " + boltfileRoom},
		{"gm/pkg/store/storetest", "go.etcd.io/bbolt", "gm/pkg/store/storetest may not import go.etcd.io/bbolt"},
		{dumpRoom, storeRoom, ""},
		{dumpRoom, "gm/pkg/store/disk", dumpRoom + " may not import gm/pkg/store/disk"},
		{dumpRoom, queueRoom, dumpRoom + " may not import gm/pkg/queue"},
		{openRoom, "gm/pkg/store/disk", ""},
		{openRoom, dumpRoom, openRoom + " may not import " + dumpRoom},
		{openRoom, "github.com/lib/pq", openRoom + " may not import github.com/lib/pq"},
		{"gm/pkg/util", "strings", "gm/pkg/util is no room of the law"},
		{"gm/pkg/wire/inner", "strings", "gm/pkg/wire/inner is no room of the law"},
	} {
		got := strings.Join(breaches(listed{tc.room, []string{tc.imported}}), "; ")
		if got != tc.want {
			t.Errorf("%s with %s: %q, want %q", tc.room, tc.imported, got, tc.want)
		}
	}
}

// TestMapHasTheRooms compares the table of rooms in main.go with the packages and with
// the law. A package whose room is not in the table, a row without a package, and a row
// with other imports than the law allows fail.
func TestMapHasTheRooms(t *testing.T) {
	want := map[string]string{}
	for _, system := range lawSystems {
		for _, p := range list(t, system) {
			if i := slices.IndexFunc(law, func(r room) bool { return matches(r.path, p.ImportPath) }); i >= 0 {
				want[mapName(law[i].path)] = mapImports(law[i])
			}
		}
	}
	got := map[string]string{}
	for _, row := range mapRows(t, "../../main.go") {
		if _, twice := got[row.room]; twice {
			t.Errorf("main.go: %s has two rows", row.room)
		}
		if row.owns == "" {
			t.Errorf("main.go: %s: the row does not say what the room owns", row.room)
		}
		got[row.room] = row.imports
	}
	for room, imports := range want {
		if have, ok := got[room]; !ok {
			t.Errorf("main.go: the table of rooms has no row for %s; imports %s", room, imports)
		} else if have != imports {
			t.Errorf("main.go: %s: imports %q, the law allows %q", room, have, imports)
		}
	}
	for room := range got {
		if _, ok := want[room]; !ok {
			t.Errorf("main.go: %s is no package", room)
		}
	}
}

// mapRow is a row of the table of rooms.
type mapRow struct{ room, owns, imports string }

// mapRows reads the rows in the section "# Rooms" of a file's package comment.
func mapRows(t *testing.T, file string) (rows []mapRow) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(parsed.Doc.Text(), "# Rooms\n")
	section, _, _ = strings.Cut(section, "\n# ")
	for line := range strings.Lines(section) {
		text, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "\t")
		switch {
		case !indented:
		case !strings.HasPrefix(text, " "):
			name, rest, _ := strings.Cut(text, " ")
			rows = append(rows, mapRow{room: name, owns: strings.TrimSpace(rest)})
		case len(rows) == 0:
			t.Fatalf("%s: %q belongs to no row", file, text)
		default:
			rows[len(rows)-1].owns += " " + strings.TrimSpace(text)
		}
	}
	for i := range rows {
		owns, imports, _ := strings.Cut(rows[i].owns, "; imports ")
		rows[i].owns, rows[i].imports = owns, sortedList(strings.Split(imports, ", "))
	}
	return rows
}

// mapName returns a path of the law in the form of the table: relative to the module.
func mapName(path string) string {
	if path == "gm" {
		return "."
	}
	return strings.TrimPrefix(path, "gm/")
}

// mapImports returns the allowed imports of a room in the form of the table.
func mapImports(r room) string {
	var names []string
	for _, path := range r.rooms {
		names = append(names, mapName(path))
	}
	for _, module := range r.other {
		if module == anything {
			module = "any module"
		}
		names = append(names, module)
	}
	return sortedList(names)
}

func sortedList(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// TestMapRowsAreRead reads a table with every kind of row.
func TestMapRowsAreRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "main.go")
	text := `// Command x has rooms.
//
// # Rooms
//
// These are they:
//
//	.        calls cmd;
//	         imports cmd
//	pkg/a    one task
//	pkg/b    another task, in two
//	         lines;
//	         imports pkg/c, any module,
//	         pkg/a
//
// # More
//
//	pkg/d    not a room
package main
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := mapRows(t, file)
	want := []mapRow{
		{".", "calls cmd", "cmd"},
		{"pkg/a", "one task", ""},
		{"pkg/b", "another task, in two lines", "any module, pkg/a, pkg/c"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
