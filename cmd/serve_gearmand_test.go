package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gm/cmd/cli"
)

// writeMyCnf writes a .my.cnf into a new directory, and returns the directory.
func writeMyCnf(t *testing.T, text string, mode os.FileMode) (dir string) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, ".my.cnf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestMyCnf checks that the options of the command line have precedence over those of
// MySQL's option files.
func TestMyCnf(t *testing.T) {
	const cnf = "[client]\nuser=c\npassword=pa ss\nhost=of clients\nport=1\n[gearmand]\nhost=db\nport=3307\ndatabase=jobs\n"
	for _, tc := range []struct{ cnf, args, want string }{
		{cnf, "", "mysql://c:pa%20ss@db:3307/jobs"},
		{cnf, "--mysql-user,u,--mysql-password,p", "mysql://u:p@db:3307/jobs"},
		{cnf, "--mysql-host,h,--mysql-port,1,--mysql-db,d", "mysql://c:pa%20ss@h:1/d"},
		{cnf + "socket=/tmp/s\n", "", "mysql://c:pa%20ss@db:3307/jobs"},
		{cnf + "socket=/tmp/s\n", "--mysql-host,localhost", "mysql://c:pa%20ss@localhost:3307/jobs?socket=%2Ftmp%2Fs"},
		{cnf + "socket=/tmp/s\n", "--mysql-host,localhost,--mysql-port,2", "mysql://c:pa%20ss@localhost:2/jobs"},
		{cnf + "port=x\n", "", "error: port \"x\""},
		{"[client]\nhost=h\nport=1\nuser=u\nsocket=/tmp/s\n", "", "mysql://u:@localhost:3306/?socket=%2Ftmp%2Fs"},
		{"x", "", "error: an option before the first group"},
	} {
		dir := writeMyCnf(t, tc.cnf, 0o600)
		e := &env{Env: cli.Env{Getenv: func(name string) string { return map[string]string{"HOME": dir}[name] }}}
		args := []string{"--queue-type", "MySQL"}
		if tc.args != "" {
			args = append(args, strings.Split(tc.args, ",")...)
		}
		withFlags(t, e, serveVerb(e), args, func(c *cli.Context) {
			place, err := e.servePlace(c)
			got := ""
			if err != nil {
				got = "error: " + err.Error()
			} else {
				got = placeText(place)
			}
			if wrong, ok := strings.CutPrefix(tc.want, "error: "); got != tc.want && !(ok && strings.HasPrefix(got, "error: ") && strings.Contains(got, wrong)) {
				t.Errorf("%q: got %s, want %s", tc.args, got, tc.want)
			}
			if err != nil && exitCode(err) != cli.ExitUsage {
				t.Errorf("%q: got exit code %d, want %d", tc.args, exitCode(err), cli.ExitUsage)
			}
		})
	}
	dir := writeMyCnf(t, cnf, 0o666)
	var stderr bytes.Buffer
	e := &env{Env: cli.Env{Getenv: func(name string) string { return map[string]string{"HOME": dir}[name] }}}
	withFlags(t, e, serveVerb(e), []string{"--queue-type", "MySQL"}, func(c *cli.Context) {
		e.Stderr = &stderr
		if got, err := e.servePlace(c); err != nil || got.URL.Net.Path != "/" {
			t.Errorf("open to all: got %q, %v, want no database", placeText(got), err)
		}
	})
	if !strings.Contains(stderr.String(), ".my.cnf is not read: everybody may write to it") {
		t.Errorf("open to all: on stderr is %q", stderr.String())
	}
}
