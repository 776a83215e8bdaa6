package systest

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestGearmanTool runs Debian's gearman as the client of gm work, with gm serve
// between them.
func TestGearmanTool(t *testing.T) {
	t.Parallel()
	needTool(t, "gearman")
	srv := serveGM(t)
	gearman := func(args ...string) []string {
		return append([]string{"gearman", "-h", srv.host, "-p", srv.port}, args...)
	}

	for _, args := range [][]string{
		{"-b", "-L", "-f", "upper", "low"},
		{"-b", "-f", "upper", "normal"},
		{"-b", "-I", "-f", "upper", "high"},
		{"-b", "-u", "key", "-f", "upper", "ab"},
		{"-b", "-u", "key", "-f", "upper", "cd"},
	} {
		if got := mustRun(t, gearman(args...)...); got != "" {
			t.Errorf("gearman %s prints %q", strings.Join(args, " "), got)
		}
	}
	g := newGate(t)
	created := mustRun(t, gearman("-v", "-b", "-f", "gate", g.path)...)
	if !regexp.MustCompile(`^Task created: H:\S+:\d+\n$`).MatchString(created) {
		t.Errorf("gearman -v -b prints %q", created)
	}

	log := gmWorker().start(t, srv)
	g.open(t)
	order := []string{"high", "normal", "ab", "low"}
	waitFor(t, "the background jobs", func() bool { return len(log.payloads(t, "upper")) >= len(order) })
	if got := log.payloads(t, "upper"); !slices.Equal(got, order) {
		t.Errorf("jobs done\ngot  %q\nwant %q", got, order)
	}

	tests := []struct {
		name   string
		args   []string
		stdin  string
		code   int
		stdout string
		stderr string
	}{
		{name: "argument", args: []string{"-f", "upper", "abc"}, stdout: "ABC"},
		{name: "arguments", args: []string{"-f", "upper", "abc", "def"}, stdout: "ABCDEF"},
		{name: "stdin", args: []string{"-f", "reverse"}, stdin: "abc", stdout: "cba"},
		{name: "high", args: []string{"-I", "-f", "upper", "abc"}, stdout: "ABC"},
		{name: "low", args: []string{"-L", "-f", "upper", "abc"}, stdout: "ABC"},
		{name: "no payload", args: []string{"-s", "-f", "reverse"}},
		{name: "status", args: []string{"-f", "status", "x"}, stdout: "done33% Complete\n66% Complete\n100% Complete\n"},
		{name: "a job a line", args: []string{"-n", "-f", "reverse"}, stdin: "ab\ncd\n", stdout: "\nba\ndc"},
		{name: "a job a stripped line", args: []string{"-N", "-f", "reverse"}, stdin: "ab\ncd\n", stdout: "badc"},
		{name: "several functions, prefixed", args: []string{"-P", "-f", "upper", "-f", "reverse", "abc"}, stdout: "reverse: cbaupper: ABC"},
		{name: "unique", args: []string{"-u", "a-key", "-f", "echo_unique", "x"}, stdout: "a-key"},
		{name: "pieces", args: []string{"-f", "chunks", "a b c"}, stdout: "a\nb\nc\n"},
		{name: "warning", args: []string{"-f", "warn", "a warning"}, stdout: "done", stderr: "a warning"},
		{name: "fail", args: []string{"-f", "fail", "x"}, code: 1, stderr: "Job failed"},
		{name: "exception", args: []string{"-f", "exception", "x"}, code: 1, stderr: "Job failed"},
		{name: "in time", args: []string{"-t", "10000", "-f", "upper", "abc"}, stdout: "ABC"},
		{name: "pid file", args: []string{"-i", filepath.Join(t.TempDir(), "pid"), "-f", "upper", "abc"}, stdout: "ABC"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, strings.NewReader(tt.stdin), gearman(tt.args...)...)
			if r.code != tt.code || r.stdout != tt.stdout || !strings.Contains(r.stderr, tt.stderr) {
				t.Errorf("got exit code %d, stdout %q, stderr %q\nwant %d, %q, %q",
					r.code, r.stdout, r.stderr, tt.code, tt.stdout, tt.stderr)
			}
		})
	}
	t.Run("sizes", func(t *testing.T) {
		random := rand.NewChaCha8([32]byte{})
		for _, size := range []int{1, 8191, 8192, 65480, 65536, 65540, 1 << 20} {
			payload := make([]byte, size)
			random.Read(payload)
			r := run(t, bytes.NewReader(payload), gearman("-f", "reverse")...)
			slices.Reverse(payload)
			if r.code != 0 || !bytes.Equal([]byte(r.stdout), payload) {
				t.Errorf("%d bytes: exit code %d, %d bytes back\nstderr: %s", size, r.code, len(r.stdout), r.stderr)
			}
		}
	})
}

// TestGearmanToolWorks runs Debian's gearman as the worker for gm submit, with
// gm serve and with gearmand between them.
func TestGearmanToolWorks(t *testing.T) {
	t.Parallel()
	needTool(t, "gearman")
	t.Run("gm serve", func(t *testing.T) { testGearmanToolWorks(t, serveGM) })
	t.Run("gearmand", func(t *testing.T) { testGearmanToolWorks(t, serveGearmand) })
}

func testGearmanToolWorks(t *testing.T, serve func(*testing.T) peerServer) {
	t.Parallel()
	srv := serve(t)
	work := func(args ...string) *child {
		return start(t, append([]string{"gearman", "-h", srv.host, "-p", srv.port, "-w"}, args...)...)
	}
	work("-f", "reverse", "--", "perl", "-0777", "-ne", "print scalar reverse")
	work("-f", "cat", "-f", "copy", "--", "cat")
	work("-f", "lines", "-n", "--", "cat")
	work("-f", "fail", "--", "false")
	for _, function := range []string{"reverse", "cat", "copy", "lines", "fail"} {
		srv.waitForWorkers(t, function, 1)
	}

	submit := func(args ...string) []string { return append([]string{"gm", "submit", "-s", srv.addr()}, args...) }
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
	}{
		{name: "one job", args: []string{"-f", "reverse", "abc"}, stdout: "cba"},
		{name: "two functions", args: []string{"-f", "copy", "abc"}, stdout: "abc"},
		{name: "high", args: []string{"-I", "-f", "cat", "abc"}, stdout: "abc"},
		{name: "low", args: []string{"-L", "-f", "cat", "abc"}, stdout: "abc"},
		{name: "a line at a time", args: []string{"-f", "lines", "one line\n"}, stdout: "one line\n"},
		{name: "command fails", args: []string{"-f", "fail", "x"}, code: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, nil, submit(tt.args...)...)
			if r.code != tt.code || r.stdout != tt.stdout {
				t.Errorf("got exit code %d, stdout %q, want %d, %q\nstderr: %s", r.code, r.stdout, tt.code, tt.stdout, r.stderr)
			}
		})
	}
	t.Run("records", func(t *testing.T) {
		in := strings.Repeat("a line\nanother\n", 25)
		r := run(t, strings.NewReader(in), submit("-n", "-k", "-f", "cat")...)
		if r.code != 0 || r.stdout != in {
			t.Errorf("exit code %d\ngot  %q\nwant %q\nstderr: %s", r.code, r.stdout, in, r.stderr)
		}
	})
	t.Run("sizes", func(t *testing.T) {
		// The tool writes the whole payload before it reads: cat and it would
		// wait for each other if the payload exceeds a pipe.
		random := rand.NewChaCha8([32]byte{})
		for _, size := range []int{0, 1, 8191, 8192, 65480, 65536} {
			payload := make([]byte, size)
			random.Read(payload)
			r := run(t, bytes.NewReader(payload), submit("-f", "cat")...)
			if r.code != 0 || !bytes.Equal([]byte(r.stdout), payload) {
				t.Errorf("%d bytes: exit code %d, %d bytes back\nstderr: %s", size, r.code, len(r.stdout), r.stderr)
			}
		}
	})
	t.Run("a number of jobs", func(t *testing.T) {
		worker := work("-c", "2", "-f", "counted", "--", "cat")
		for _, payload := range []string{"one", "two"} {
			if got := mustRun(t, submit("-f", "counted", payload)...); got != payload {
				t.Errorf("got %q, want %q", got, payload)
			}
		}
		worker.wait(t)
	})
}

// TestGearadmin runs Debian's gearadmin with every option it has.
func TestGearadmin(t *testing.T) {
	t.Parallel()
	needTool(t, "gearadmin")
	srv := serveGM(t)
	start(t, "gm", "work", "-s", srv.addr(), "-i", "a-worker", "-f", "busy", "--", "cat")
	srv.waitForWorkers(t, "busy", 1)

	first := strings.TrimSpace(mustRun(t, "gm", "submit", "-s", srv.addr(), "-b", "-I", "-u", "first", "-f", "idle", "x"))
	second := strings.TrimSpace(mustRun(t, "gm", "submit", "-s", srv.addr(), "-b", "-L", "-u", "second", "-f", "idle", "x"))

	version := regexp.QuoteMeta(strings.TrimPrefix(strings.TrimSpace(mustRun(t, "gm", "admin", "version", "-s", srv.addr())), "OK "))
	tests := []struct {
		name   string
		args   []string
		stdout string // a regular expression for the whole
		stderr string // is in it
	}{
		{name: "version", args: []string{"--server-version"}, stdout: version + `\n`},
		{name: "verbose", args: []string{"--server-verbose"}, stdout: `[A-Z]+\n`},
		{name: "pid", args: []string{"--getpid"}, stdout: strconv.Itoa(srv.pid) + `\n`},
		{name: "create function", args: []string{"--create-function", "created"}, stdout: `OK\n`},
		{name: "status", args: []string{"--status"}, stdout: `(?:busy\t0\t0\t1\n|idle\t2\t0\t0\n|created\t0\t0\t0\n){3}\.\n`},
		{name: "priority status", args: []string{"--priority-status"}, stdout: `(?:busy\t0\t0\t0\t1\n|idle\t1\t0\t1\t0\n|created\t0\t0\t0\t0\n){3}\.\n`},
		{name: "workers", args: []string{"--workers"}, stdout: `(?s:.*)\d+ 127\.0\.0\.1 a-worker : busy\n(?s:.*)\.\n`},
		{name: "show jobs", args: []string{"--show-jobs"}, stdout: "(?:" + first + `\t0\t0\t1\n|` + second + `\t0\t0\t1\n){2}\.\n`},
		{name: "show unique jobs", args: []string{"--show-unique-jobs"}, stdout: `(?:first\n|second\n){2}\.\n`},
		{name: "cancel job", args: []string{"--cancel-job", first}, stdout: `OK\n`},
		{name: "job is gone", args: []string{"--show-unique-jobs"}, stdout: `second\n\.\n`},
		{name: "cancel no job", args: []string{"--cancel-job", "H:nowhere:1"}, stderr: "Error: UNKNOWN_JOB"},
		{name: "drop function", args: []string{"--drop-function", "created"}, stdout: `OK\n`},
		{name: "function is gone", args: []string{"--status"}, stdout: `(?:busy\t0\t0\t1\n|idle\t1\t0\t0\n){2}\.\n`},
		{name: "drop no function", args: []string{"--drop-function", "created"}, stderr: "Error: function not found"},
		{name: "drop function with workers", args: []string{"--drop-function", "busy"}, stderr: "Error: there are still connected workers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, nil, append([]string{"gearadmin", "-h", srv.host, "-p", srv.port}, tt.args...)...)
			if r.code != 0 || !regexp.MustCompile("^"+tt.stdout+"$").MatchString(r.stdout) || !strings.Contains(r.stderr, tt.stderr) {
				t.Errorf("got exit code %d, stdout %q, stderr %q\nwant 0, %s, %q", r.code, r.stdout, r.stderr, tt.stdout, tt.stderr)
			}
		})
	}
}

func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("no %s here (gearman-tools)", name)
	}
}
