//go:build unix

package runner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestOutcome(t *testing.T) {
	dir := t.TempDir()
	plain, script, noInterpreter := filepath.Join(dir, "plain"), filepath.Join(dir, "script"), filepath.Join(dir, "lost")
	writeFile(t, plain, "#!/bin/sh\nexit 0\n", 0o600)
	writeFile(t, script, "#!/bin/sh\nexit 9\n", 0o700)
	writeFile(t, noInterpreter, "#!/nonexistent/sh\n", 0o700)
	t.Setenv("PATH", os.Getenv("PATH")+":"+dir)

	tests := []struct {
		name   string
		cmd    *Command
		code   int
		exit   int
		signal syscall.Signal
		kind   error
		err    string
	}{
		{name: "success", cmd: &Command{Args: []string{"true"}}},
		{name: "failure", cmd: &Command{Args: []string{"false"}}, code: 1, exit: 1, err: "exit status 1"},
		{name: "three", cmd: sh("exit 3"), code: 3, exit: 3, err: "exit status 3"},
		{name: "temporary", cmd: sh("exit 75"), code: 75, exit: 75, err: "exit status 75"},
		{name: "largest", cmd: sh("exit 255"), code: 255, exit: 255, err: "exit status 255"},
		{name: "killed", cmd: sh("kill -9 $$"), code: 137, signal: 9, err: "killed by signal 9 (killed)"},
		{name: "terminated", cmd: sh("kill -15 $$"), code: 143, signal: 15, err: "killed by signal 15 (terminated)"},
		{name: "shell", cmd: &Command{Args: []string{"exit", "$((2+2))"}, Shell: true}, code: 4, exit: 4, err: "exit status 4"},
		{name: "no shell unasked", cmd: &Command{Args: []string{"test", "$((1))", "=", "1"}}, code: 1, exit: 1, err: "exit status 1"},
		{
			name: "not found", cmd: &Command{Args: []string{"no-such-program"}}, code: 127, kind: ErrNotFound,
			err: "start no-such-program: executable file not found in $PATH",
		},
		{
			name: "no such file", cmd: &Command{Args: []string{"/no/such/program"}}, code: 127, kind: ErrNotFound,
			err: "start /no/such/program: no such file or directory",
		},
		{
			name: "no interpreter", cmd: &Command{Args: []string{noInterpreter}}, code: 127, kind: ErrNotFound,
			err: "start " + noInterpreter + ": no such file or directory",
		},
		{name: "empty", cmd: &Command{}, code: 127, kind: ErrNotFound, err: "start command: empty command"},
		{
			name: "not executable", cmd: &Command{Args: []string{plain}}, code: 126, kind: ErrNotExecutable,
			err: "start " + plain + ": permission denied",
		},
		{
			name: "not executable in PATH", cmd: &Command{Args: []string{"plain"}}, code: 126, kind: ErrNotExecutable,
			err: "start plain: permission denied",
		},
		{
			name: "directory", cmd: &Command{Args: []string{dir}}, code: 126, kind: ErrNotExecutable,
			err: "start " + dir + ": is a directory",
		},
		{name: "relative to Dir", cmd: &Command{Args: []string{"./script"}, Dir: dir}, code: 9, exit: 9, err: "exit status 9"},
		{
			name: "no Dir", cmd: &Command{Args: []string{"true"}, Dir: dir + "/no"}, code: 126,
			err: "start true: stat " + dir + "/no: no such file or directory",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second run uses the path that the first one has found
				_, got := runOut(t, tt.cmd, Job{})
				if got.Code() != tt.code || got.ExitCode != tt.exit || got.Signal != tt.signal {
					t.Errorf("got code %d, exit %d, signal %d, want %d, %d, %d",
						got.Code(), got.ExitCode, got.Signal, tt.code, tt.exit, tt.signal)
				}
				if got.OK() != (tt.code == 0) || got.Temporary() != (tt.code == 75) {
					t.Errorf("got OK %v, temporary %v for code %d", got.OK(), got.Temporary(), tt.code)
				}
				if tt.kind != nil && !errors.Is(got.StartErr, tt.kind) {
					t.Errorf("got error %v, want one that is %v", got.StartErr, tt.kind)
				}
				if msg := errorText(got.Err()); msg != tt.err {
					t.Errorf("got %q, want %q", msg, tt.err)
				}
				if err := tt.cmd.Check(); errors.Is(tt.kind, ErrNotExecutable) && !errors.Is(err, ErrNotExecutable) {
					t.Errorf("Check: got %v, want %v", err, tt.kind)
				}
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestUsage(t *testing.T) {
	_, got := runOut(t, sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"), Job{})
	if got.UserTime+got.SystemTime <= 0 || got.MaxRSS < 100<<10 || got.Duration <= 0 {
		t.Errorf("got user %v, system %v, %d bytes, %v", got.UserTime, got.SystemTime, got.MaxRSS, got.Duration)
	}
}

func TestLargePayload(t *testing.T) {
	payload := make([]byte, 64<<20)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(payload)
	want := sha256.Sum256(payload)
	hash, size := sha256.New(), 0
	res := (&Command{Args: []string{"cat"}}).Run(context.Background(), Job{Stdin: payload, Stdout: func(p []byte) error {
		if len(p) > 64<<10 {
			return fmt.Errorf("chunk of %d bytes", len(p))
		}
		size += len(p)
		_, err := hash.Write(p)
		return err
	}})
	if !res.OK() || size != len(payload) || [32]byte(hash.Sum(nil)) != want {
		t.Errorf("got %d bytes, same %v, %v, want %d bytes", size, [32]byte(hash.Sum(nil)) == want, res.Err(), len(payload))
	}
}

// Early and late output are one stream, for every order in which the pipes end.
func TestOutputOverTime(t *testing.T) {
	tests := []struct{ name, script, want, stderr string }{
		{"at once", "echo one; echo err >&2", "one\n", "err\n"},
		{"some late", "echo one; echo err >&2; sleep 0.1; echo two; echo or >&2", "one\ntwo\n", "err\nor\n"},
		{"a line in two halves", "printf o; sleep 0.1; echo ne", "one\n", ""},
		{"all late", "sleep 0.1; echo one", "one\n", ""},
		{"closes its output", "echo one; exec >&- 2>&-; sleep 0.1", "one\n", ""},
		{"leaves a child that writes", "(sleep 0.02; echo two) & echo one; sleep 0.1", "one\ntwo\n", ""},
		{"much at once", "head -c 300000 /dev/zero", strings.Repeat("\x00", 300000), ""},
		{"nothing", ":", "", ""},
	}
	for _, tt := range tests {
		for _, lines := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", lines ", lines), func(t *testing.T) {
				c := sh(tt.script)
				c.Lines = lines
				control := ""
				out, res := runOut(t, c, Job{Control: func(line string) { control += line }})
				if out != tt.want || string(res.Stderr) != tt.stderr || !res.OK() || control != "" {
					t.Errorf("got %.40q, stderr %q, %v, want %.40q, %q", out, res.Stderr, res.Err(), tt.want, tt.stderr)
				}
			})
		}
	}
}

func TestStdinNotRead(t *testing.T) {
	big := make([]byte, 64<<20)
	big[0] = 'x'
	tests := []struct {
		name string
		cmd  *Command
		in   []byte
		want string
	}{
		{"read in part", &Command{Args: []string{"head", "-c1"}}, big, "x"},
		{"ignored", &Command{Args: []string{"true"}}, big, ""},
		{"ignored, small", &Command{Args: []string{"true"}}, big[:10], ""},
		{"closed early", sh("exec <&-; echo on"), big, "on\n"},
		{"empty", &Command{Args: []string{"cat"}}, nil, ""},
		{"NUL bytes", &Command{Args: []string{"cat"}}, []byte("a\x00b\x00"), "a\x00b\x00"},
		{"as much as a pipe holds", sh("wc -c | tr -d ' '"), big[:64<<10], "65536\n"},
		{"one more", sh("wc -c | tr -d ' '"), big[:64<<10+1], "65537\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, res := runOut(t, tt.cmd, Job{Stdin: tt.in})
			if out != tt.want || !res.OK() {
				t.Errorf("got %q, %v, want %q", out, res.Err(), tt.want)
			}
		})
	}
}

func TestLinesFromChild(t *testing.T) {
	long := strings.Repeat("y", 200<<10)
	c := sh("printf 'a\\n\\nb'; sleep 0.05; printf 'c\\n'; cat; printf end")
	c.Lines = true
	var got []string
	res := c.Run(context.Background(), Job{Stdin: []byte(long + "\n"), Stdout: func(p []byte) error {
		got = append(got, string(p))
		return nil
	}})
	want := []string{"a\n", "\n", "bc\n", long + "\n", "end"}
	if !res.OK() || !slices.Equal(got, want) {
		t.Errorf("got %d lines, %v, want %d", len(got), res.Err(), len(want))
	}

	c.MaxLine = 100 << 10
	_, res = runOut(t, c, Job{Stdin: []byte(long)})
	if !errors.Is(res.StdoutErr, ErrLineTooLong) || res.Code() != 74 {
		t.Errorf("got %v, code %d, want %v, 74", res.Err(), res.Code(), ErrLineTooLong)
	}
}

func TestControl(t *testing.T) {
	var got []string
	job := Job{Control: func(line string) { got = append(got, line) }}
	c := sh(`echo "status 3 10" >&$GM_CONTROL_FD; (echo "warn from below" >&3); echo out; printf 'no newline' >&3`)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "GM_CONTROL_FD=99"}
	out, res := runOut(t, c, job)
	want := []string{"status 3 10", "warn from below", "no newline"}
	if out != "out\n" || !res.OK() || !slices.Equal(got, want) {
		t.Errorf("got %q, %q, %v, want %q", got, out, res.Err(), want)
	}

	got = nil
	_, res = runOut(t, sh("head -c 100000 /dev/zero | tr '\\0' z >&3; echo >&3; echo next >&3"), job)
	if !res.OK() || len(got) != 3 || len(got[0]) != 64<<10 || len(got[1]) != 100000-64<<10 || got[2] != "next" {
		t.Errorf("got %d lines, %v, want a long one in two pieces and one more", len(got), res.Err())
	}

	c = sh("echo ${GM_CONTROL_FD-unset}")
	c.Env = []string{"GM_CONTROL_FD=99"}
	if out, _ = runOut(t, c, Job{}); out != "unset\n" {
		t.Errorf("without Control GM_CONTROL_FD is %q, want unset", out)
	}
}

func TestEnvironment(t *testing.T) {
	c := sh("echo $A$B$C$D")
	c.Env = []string{"A=1", "B=old", "B=2", "C=3"}
	out, _ := runOut(t, c, Job{Env: []string{"C=x", "C=4", "D=5"}})
	if out != "1245\n" {
		t.Errorf("got %q, want 1245", out)
	}
	t.Setenv("RUNNER_INHERITED", "yes")
	if out, _ = runOut(t, sh("echo $RUNNER_INHERITED"), Job{}); out != "yes\n" {
		t.Errorf("got %q, want the own environment", out)
	}
}

func TestStderr(t *testing.T) {
	tests := []struct {
		name, script string
		keep         int
		want         string
	}{
		{"all", "echo one >&2; echo two >&2", 0, "one\ntwo\n"},
		{"whole lines", "echo first >&2; echo second >&2; echo third >&2", 10, "third\n"},
		{"exactly a line", "echo second >&2; echo third >&2", 6, "third\n"},
		{"a long line", "printf 0123456789abcdef >&2", 6, "abcdef"},
		{"much", "seq 100000 >&2", 14, "99999\n100000\n"},
		{"none", "echo one >&2", -1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var all bytes.Buffer
			c := sh(tt.script)
			c.StderrTail, c.Stderr = tt.keep, &all
			_, res := runOut(t, c, Job{})
			if string(res.Stderr) != tt.want {
				t.Errorf("got %q, want %q", res.Stderr, tt.want)
			}
			if !strings.HasSuffix(all.String(), tt.want) || all.Len() == 0 {
				t.Errorf("the copy ends in %q, want %q", all.Bytes()[max(0, all.Len()-20):], tt.want)
			}
		})
	}
}

func TestParallel(t *testing.T) {
	c := sh(`cat; echo "$N" >&2; exit $N`)
	var failed atomic.Int32
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 20 {
				n := fmt.Sprint(worker*20 + i)
				var out bytes.Buffer
				res := c.Run(context.Background(), Job{
					Env: []string{"N=" + n}, Stdin: []byte(n),
					Stdout: func(p []byte) error { out.Write(p); return nil },
				})
				if out.String() != n || fmt.Sprint(res.ExitCode) != n || string(res.Stderr) != n+"\n" {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of 160 jobs got another's results", failed.Load())
	}
}

func TestNoDescriptorsLeft(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	once := func(i int) {
		job := Job{Stdin: make([]byte, i%3*100<<10), Control: func(string) {}}
		c := []*Command{sh("exit 0"), {Args: []string{"no-such-program"}}, {Args: []string{"/"}}, {Args: []string{"cat"}, Dir: "/no"}, {Args: []string{"cat"}}}[i%5]
		runOut(t, c, job)
	}
	once(0)
	before := count()
	for i := range 50 {
		once(i)
	}
	if after := count(); after != before {
		t.Errorf("got %d open descriptors after 50 jobs, want %d", after, before)
	}
}
