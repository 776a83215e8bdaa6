package udf_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gm/cmd/cli"
	"gm/pkg/store/storetest"
)

// The page is cmd/help/sql.txt, gm-sql(7). The first word about a block of code in it is
//
//	sh      the commands of a shell, which stays the same for the whole page
//	sql     statements for psql or mariadb. A comment after a statement is its result.
//	output  a part of what the commands of the shell print, now or later
//	file    a file, whose name is the next word
//	build   commands of make that build and install the functions
//	unit    a part of a unit of systemd
//
// The other words are postgres or mysql, for a block that belongs to one of them, admin,
// for statements that the user app must not run, and wait, for a result that comes later.

const pageFile = "../../cmd/help/sql.txt"

// pageRun runs the page with one database.
type pageRun struct {
	kind  string            // postgres or mysql
	dir   string            // of the shell, and its home
	env   []string          // of the shell
	names *strings.Replacer // of the addresses in the page
	// statements returns the client of the database for a user of it.
	statements func(user string) *exec.Cmd
	shell      *pageShell
}

// pageBlocks returns the blocks of code in the page that are for a kind of database.
func pageBlocks(t *testing.T, kind string) []cli.TopicBlock {
	t.Helper()
	page := &cli.Topic{Name: "sql", Text: readText(t, pageFile)}
	var blocks []cli.TopicBlock
	for _, b := range page.Blocks() {
		if b.Kind != cli.TopicCode {
			continue
		}
		other := "mysql"
		if kind == other {
			other = "postgres"
		}
		if !slices.Contains(b.Info, other) {
			blocks = append(blocks, b)
		}
	}
	return blocks
}

// runBlocks runs the blocks in the order of the page.
func (p *pageRun) runBlocks(t *testing.T) {
	ran := 0
	for _, b := range pageBlocks(t, p.kind) {
		name, code := strings.Join(b.Info, " "), p.names.Replace(b.Text)
		t.Logf("%s:\n%s", name, code)
		switch b.Info[0] {
		case "sh":
			p.shell.run(t, code)
		case "sql":
			user := "app"
			if slices.Contains(b.Info, "admin") {
				user = "admin"
			}
			p.checkResults(t, &b, user, code)
		case "output":
			p.shell.waitOutput(t, b.Text)
		case "file":
			if err := os.WriteFile(filepath.Join(p.dir, b.Info[1]), []byte(code), 0o755); err != nil {
				t.Fatal(err)
			}
		case "build":
			p.makeFunctions(t, code)
		case "unit":
			checkUnit(t, b.Info[1], code)
		default:
			t.Fatalf("a block of %q, which nothing runs", name)
		}
		ran++
	}
	if ran < 10 {
		t.Errorf("%d blocks, want more", ran)
	}
}

// runReadme runs the blocks of README's chapter about databases.
func (p *pageRun) runReadme(t *testing.T) {
	_, chapter, ok := strings.Cut(readText(t, "../../README.md"), "\n## Jobs from databases\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	if !ok || !strings.Contains(chapter, "\n    gm outbox install") {
		t.Fatalf("README's chapter about databases is\n%s", chapter)
	}
	p.mustQuery(t, "app", "CREATE TABLE uploads (name text)")
	p.shell.end() // with its server
	shell := startPageShell(t, p.dir, p.env...)
	defer shell.end()
	shell.run(t, "gm work -f upper -- tr a-z A-Z &")
	for paragraph := range strings.SplitSeq(chapter, "\n\n") {
		code := p.names.Replace(paragraph)
		switch {
		case strings.HasPrefix(code, "    SELECT"):
			p.mustQuery(t, "app", code)
		case strings.HasPrefix(code, "    "):
			shell.run(t, code)
		}
	}
	p.mustQuery(t, "app", "INSERT INTO uploads VALUES ('cat.png')")
	p.waitRows(t, "FROM gearman_outbox WHERE dead IS NULL", "0")
}

// makeFunctions runs commands of make that build and install the libraries, into another
// directory than the system's. A short test only has make look for the targets.
func (p *pageRun) makeFunctions(t *testing.T, commands string) {
	t.Helper()
	root := t.TempDir()
	for line := range strings.Lines(commands) {
		_, target, ok := strings.Cut(strings.TrimSpace(line), "make ")
		if !ok {
			t.Errorf("%q is not a command of make", line)
			continue
		}
		cmd := exec.Command("make", "-C", "../..", target)
		if testing.Short() {
			cmd.Args = append(cmd.Args, "-n")
		}
		cmd.Env = append(os.Environ(), "DESTDIR="+root)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", cmd, err, out)
		}
	}
	if testing.Short() {
		return
	}
	names := []string{"gearman_udf.so", functionsDir + "install.sql", functionsDir + "uninstall.sql"}
	if p.kind == "postgres" {
		names = []string{"gearman.so", "gearman.control"}
	}
	for _, name := range names {
		found := exec.Command("find", root, "-path", "*/"+strings.TrimPrefix(name, "/"))
		if out, err := found.Output(); err != nil || len(out) == 0 {
			t.Errorf("%s is not installed: %v", name, err)
		}
	}
}

// functionsDir is the directory of install.sql in the page.
const functionsDir = "/usr/local/share/gearman-udf/"

// checkUnit has systemd, if it is installed, look for mistakes in a unit, or in an addition
// to one.
func checkUnit(t *testing.T, name, text string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Logf("systemd is not installed: it does not check %s", name)
		return
	}
	if !strings.HasSuffix(name, ".service") {
		name, text = "other.service", "[Service]\nExecStart=/bin/true\n"+text
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify %s: %v\n%s", name, err, out)
	}
}

// mustQuery runs statements and returns a line for each row.
func (p *pageRun) mustQuery(t *testing.T, user, statements string) string {
	t.Helper()
	out, err := p.tryQuery(user, statements)
	if err != nil {
		t.Fatalf("%s: %v\n%s", statements, err, out)
	}
	return out
}

func (p *pageRun) tryQuery(user, statements string) (string, error) {
	client := p.statements(user)
	client.Stdin = strings.NewReader(statements)
	out, err := client.CombinedOutput()
	return string(out), err
}

// checkResults runs statements and compares the comments after them with the lines of
// their output.
func (p *pageRun) checkResults(t *testing.T, b *cli.TopicBlock, user, code string) {
	t.Helper()
	var want []string
	for line := range strings.Lines(b.Text) {
		if _, result, ok := strings.Cut("; "+strings.TrimSpace(line), "; -- "); ok {
			want = append(want, result)
		}
	}
	out := ""
	hasResults := func() bool {
		out = p.mustQuery(t, user, code)
		lines := strings.Split(strings.NewReplacer("\t", ", ", "|", ", ").Replace(out), "\n")
		for _, result := range want {
			i := slices.Index(lines, result)
			if i < 0 {
				return false
			}
			lines = lines[i+1:]
		}
		return true
	}
	switch {
	case slices.Contains(b.Info, "wait"):
		eventually(t, code, hasResults)
	case !hasResults():
		t.Errorf("%s\nprints\n%s", code, out)
	}
}

// testPagePostgres runs the page with PostgreSQL.
func testPagePostgres(t *testing.T, server *postgres) {
	server.Query(t, "CREATE ROLE app LOGIN PASSWORD 'secret'")
	server.Query(t, "CREATE DATABASE app OWNER app")
	p := newPageRun(t, "postgres", server.Addr())
	p.statements = func(user string) *exec.Cmd {
		login := user + ":secret"
		if user == "admin" {
			login = "gm"
		}
		return exec.Command("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "postgres://"+login+"@"+server.Addr()+"/app")
	}
	p.runBlocks(t)

	p.runReadme(t)
	p.checkNames(t, "SELECT name FROM pg_settings WHERE name LIKE 'gearman.%'", 5)
	p.checkNames(t, "SELECT proname FROM pg_proc WHERE proname LIKE 'gman_%' AND proname NOT LIKE 'gman_sum_%'", 20)

	p.mustQuery(t, "admin", "CREATE ROLE cashier LOGIN PASSWORD 'secret'; GRANT INSERT ON orders TO cashier")
	p.checkGrants(t, "postgres://relay:secret@db/app")
}

// testPageMySQL runs the page with MariaDB.
func testPageMySQL(t *testing.T, server *mysqlServer) {
	server.change(t, "servers", server.jobs.addr)
	server.Query(t, "CREATE DATABASE app; CREATE USER app IDENTIFIED BY 'secret'; GRANT ALL ON app.* TO app")
	p := newPageRun(t, "mysql", server.Addr())
	p.statements = func(user string) *exec.Cmd {
		login := []string{"-u", user, "-psecret"}
		if user == "admin" {
			login = []string{"-u", "root"}
		}
		args := []string{"--no-defaults", "--default-character-set=utf8mb4", "-h", "127.0.0.1", "-P", fmt.Sprint(server.Port()), "-N", "-B"}
		return exec.Command("mariadb", append(append(args, login...), "app")...)
	}
	for name, login := range map[string]string{".my.cnf": "user = app\npassword = secret\n", "root.cnf": "user = root\n"} {
		options := fmt.Sprintf("[client]\nprotocol = tcp\nhost = 127.0.0.1\nport = %d\n%s", server.Port(), login)
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(options), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.runBlocks(t)
	p.mustQuery(t, "admin", "CREATE USER cashier IDENTIFIED BY 'secret'; GRANT INSERT ON orders TO cashier")
	p.checkNames(t, "SELECT name FROM mysql.func", 12)
	p.checkGrants(t, "mysql://relay:secret@db/app")
}

// checkNames checks that the page has each name that a query finds, and that there are
// some.
func (p *pageRun) checkNames(t *testing.T, query string, least int) {
	t.Helper()
	text := readText(t, pageFile)
	names := strings.Fields(p.mustQuery(t, "admin", "SELECT gman_version(); "+query))[1:]
	for _, name := range names {
		if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`"+name+"(") {
			t.Errorf("the page does not describe %s", name)
		}
	}
	if len(names) < least {
		t.Errorf("the names are %q; want more", names)
	}
}

// checkGrants checks that the users of the page can do their work, and no more.
func (p *pageRun) checkGrants(t *testing.T, relayURL string) {
	p.shell.end() // with the relays of app
	p.mustQuery(t, "app", "DELETE FROM gearman_outbox")
	p.mustQuery(t, "cashier", "INSERT INTO orders (id, state) VALUES (1000, 'new')")
	p.waitRows(t, "FROM gearman_outbox", "1") // of the trigger
	p.mustQuery(t, "shop", "SELECT gman_enqueue('mail', 'for the relay')")
	for user, statements := range map[string][]string{
		"shop": {
			"SELECT workload FROM gearman_outbox", "DELETE FROM gearman_outbox", "UPDATE gearman_outbox SET dead = NULL",
			"INSERT INTO gearman_outbox (id, workload) VALUES (1, '')", "SELECT * FROM gearman_outbox_token",
		},
		"cashier": {"SELECT gman_enqueue('mail', 'x')", "INSERT INTO gearman_outbox (workload) VALUES ('')"},
		"relay": {
			"INSERT INTO gearman_outbox (workload) VALUES ('')", "UPDATE gearman_outbox SET workload = ''", "SELECT * FROM orders",
			"DELETE FROM gearman_outbox_token",
		},
	} {
		for _, statement := range statements {
			if out, err := p.tryQuery(user, statement); err == nil || !strings.Contains(out, "denied") {
				t.Errorf("%s may run %s: %v\n%s", user, statement, err, out)
			}
		}
	}
	shell := startPageShell(t, p.dir, p.env...)
	shell.run(t, p.names.Replace("gm serve &\ngm outbox run --max-attempts 1 "+relayURL+" &"))
	p.waitRows(t, "FROM gearman_outbox", "0")
	p.mustQuery(t, "app", "INSERT INTO gearman_outbox VALUES (DEFAULT, '', 'x', DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT)")
	p.waitRows(t, "FROM gearman_outbox WHERE dead IS NOT NULL", "1")
	shell.run(t, p.names.Replace("gm outbox retry --all "+relayURL))
	p.waitRows(t, "FROM gearman_outbox WHERE dead IS NOT NULL", "1")
	shell.run(t, p.names.Replace("gm outbox status "+relayURL+" && gm outbox dead "+relayURL+" && gm outbox purge --yes --all "+relayURL))
	p.waitRows(t, "FROM gearman_outbox", "0")
}

// waitRows waits until a query finds a number of rows.
func (p *pageRun) waitRows(t *testing.T, from, want string) {
	t.Helper()
	eventually(t, want+" rows "+from, func() bool {
		return strings.TrimSpace(p.mustQuery(t, "app", "SELECT COUNT(*) "+from)) == want
	})
}

// convertStandIn is a program that makes a PNG of 2 x 2 pixels of any image.
const convertStandIn = `#!/bin/sh
cat >/dev/null
echo iVBORw0KGgoAAAANSUhEUgAAAAIAAAACAQMAAABIeJ9nAAAAA1BMVEX/AAAZ4gk3AAAADElEQVQI12NgYGAAAAAEAAEnNCcKAAAAAElFTkSuQmCC | base64 -d
`

// newPageRun starts a shell for the page.
func newPageRun(t *testing.T, kind, addr string) *pageRun {
	t.Helper()
	dir := t.TempDir()
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	jobs := fmt.Sprintf("127.0.0.1:%d", port) // of the server that the page starts
	udf, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	gm, err := exec.LookPath("gm")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=" + dir, "GEARMAN_SERVERS=" + jobs, fmt.Sprintf("GEARMAND_PORT=%d", port)}
	if _, err := exec.LookPath("convert"); err != nil {
		t.Log("ImageMagick is not installed: a script takes the place of its convert")
		if err := os.WriteFile(filepath.Join(dir, "convert"), []byte(convertStandIn), 0o755); err != nil {
			t.Fatal(err)
		}
		env = append(env, "PATH="+dir+":"+os.Getenv("PATH"))
	}
	return &pageRun{
		kind: kind, dir: dir, env: env,
		names: strings.NewReplacer("@db/", "@"+addr+"/", "'localhost'", "'"+jobs+"'",
			"sudo mariadb ", "mariadb --defaults-file=root.cnf ", functionsDir, udf+"/mysql/", "/usr/local/bin/gm", gm, "/var/lib/gm", dir+"/queue"),
		shell: startPageShell(t, dir, env...),
	}
}
