//go:build unix

package runner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// keepSh returns a Keeper of a script that is closed with the test.
func keepSh(t *testing.T, script string) *Keeper {
	t.Helper()
	k := &Keeper{Command: sh(script)}
	k.Command.KillAfter = time.Second
	t.Cleanup(func() { k.Close(context.Background()) })
	return k
}

// TestFirstJobHasTheStderrOfTheStart checks that a child that fails at its start says
// why in the result of its first job, even if it has written that before the job begins.
func TestFirstJobHasTheStderrOfTheStart(t *testing.T) {
	k := keepSh(t, "echo broken >&2; read line; exit 2")
	wrote, stderr := io.Pipe()
	k.Command.Stderr = stderr
	c, err := k.start()
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(wrote).ReadString('\n'); line != "broken\n" {
		t.Fatalf("stderr of the start: got %q, %v, want broken", line, err)
	}
	err = c.ask(t.Context(), []byte("x"), func([]byte) (bool, error) { return true, nil }, time.Now())
	if res := c.fail(t.Context(), err); string(res.Stderr) != "broken\n" || res.ExitCode != 2 {
		t.Errorf("first job: got %q, exit code %d, want broken and 2", res.Stderr, res.ExitCode)
	}
}

// do does one job whose answer is one.
func do(t *testing.T, k *Keeper, payload string) (string, Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var answer string
	res := k.Do(ctx, []byte(payload), func(b []byte) (bool, error) {
		answer += string(b)
		return true, nil
	})
	if ctx.Err() != nil {
		t.Fatalf("job ran into the test's own limit: %v", res.Err())
	}
	return answer, res
}

func TestKeepLine(t *testing.T) {
	k := keepSh(t, `while read -r x; do echo "$$ $x"; done`)
	pid := ""
	for _, payload := range []string{"one", "two\n", "", "\n", "über", "a\tb", strings.Repeat("x", 60000)} {
		got, res := do(t, k, payload)
		word, rest, _ := strings.Cut(got, " ")
		if pid == "" {
			pid = word
		}
		if want := strings.TrimSuffix(payload, "\n") + "\n"; !res.OK() || rest != want || word != pid {
			t.Errorf("%.20q: got %.40q from %s, %v, want %.40q from %s", payload, rest, word, res.Err(), want, pid)
		}
	}
	for _, payload := range []string{"a\nb", "\n\n", "a\n\n"} {
		if _, res := do(t, k, payload); !errors.Is(res.Err(), ErrNewline) || res.Code() != 76 {
			t.Errorf("%q: got %v, code %d, want %v", payload, res.Err(), res.Code(), ErrNewline)
		}
	}
	k.Close(context.Background())
	wantGone(t, pid)
}

func TestKeepReplaces(t *testing.T) {
	fifo := fifo(t)
	tests := []struct {
		name, script, want string
		code               int
		kept               bool // the child serves the next job too
	}{
		{name: "one answer", script: `echo $x`, kept: true},
		{name: "two at once", script: `printf "$x\n$x\n"`, code: 76, want: `the command wrote more than its answer: "bad\n" follows`},
		{name: "two, one after the other", script: `echo $x; echo $x`, code: 76, want: `the command wrote more than its answer: "bad\n" follows`},
		{name: "two with a pause", script: `echo $x; sleep 0.02; echo $x`, code: 76, want: `the command wrote more than its answer: "bad\n" follows`},
		{name: "half an answer more", script: `printf "$x\nmore"`, code: 76, want: `the command wrote more than its answer: "more" follows`},
		{name: "ends", script: `exit 0`, code: 76, want: "the command ended without an answer"},
		{name: "ends in an answer", script: `printf half; exit 0`, code: 76, want: `the command ended without an answer, after "half"`},
		{name: "fails", script: `echo sorry >&2; exit 3`, code: 3, want: "exit status 3"},
		{name: "fails for now", script: `exit 75`, code: 75, want: "exit status 75"},
		{name: "dies", script: `kill -9 $$`, code: 137, want: "killed by signal 9 (killed)"},
		{name: "closes stdout", script: `exec >&-; read y <` + fifo, code: 76, want: "the command closed its stdout without an answer"},
		{name: "answers and ends", script: `echo $x; exit 0`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := keepSh(t, `echo $$ >&2; while read -r x; do if test "$x" = bad; then `+tt.script+`; else echo "$x $$"; fi; done`)
			_, res := do(t, k, "bad")
			if res.Code() != tt.code || errorText(res.Err()) != tt.want {
				t.Errorf("got %v, code %d, want %v, %d", res.Err(), res.Code(), tt.want, tt.code)
			}
			if tt.code == 3 && !strings.HasSuffix(string(res.Stderr), "\nsorry\n") {
				t.Errorf("got stderr %q", res.Stderr)
			}
			if tt.kept != (k.child != nil && k.child.answered == 1 && !k.child.isEnding()) && tt.code != 0 {
				t.Errorf("got kept %v, want %v", !tt.kept, tt.kept)
			}
			for i := range 2 {
				x := fmt.Sprint("good", i)
				if got, res := do(t, k, x); !strings.HasPrefix(got, x+" ") || !res.OK() {
					t.Errorf("next job: got %q, %v", got, res.Err())
				}
			}
		})
	}
}

func TestKeepTimeout(t *testing.T) {
	k := keepSh(t, `trap "" TERM; while read -r x; do test "$x" = bad && sleep 60; echo "$x"; done`)
	k.Command.Timeout, k.Command.KillAfter = 300*time.Millisecond, 50*time.Millisecond
	for _, x := range []string{"good", "bad", "good", "bad"} {
		got, res := do(t, k, x)
		switch {
		case x == "good" && (got != "good\n" || !res.OK()):
			t.Errorf("got %q, %v", got, res.Err())
		case x == "bad" && (!res.TimedOut || res.Code() != 124 || errorText(res.Err()) != "timed out after 300ms"):
			t.Errorf("got %q, %v, code %d", got, res.Err(), res.Code())
		}
	}
}

func TestKeepCancel(t *testing.T) {
	k := keepSh(t, `while read -r x; do echo "$x" >&2; exec sleep 60; done`)
	ctx, cancel := context.WithCancel(context.Background())
	k.Command.Stderr = writerFunc(func([]byte) { cancel() })
	res := k.Do(ctx, []byte("x"), nil)
	if !res.Cancelled || res.Signal != syscall.SIGTERM || res.Code() != 143 {
		t.Errorf("got %v, signal %d, code %d", res.Err(), res.Signal, res.Code())
	}
	if res = k.Do(ctx, []byte("x"), nil); !res.Cancelled || res.Signal != 0 {
		t.Errorf("context done beforehand: got %v, signal %d", res.Err(), res.Signal)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestKeepLimits(t *testing.T) {
	const script = `s=; while read -r x; do test "$x" = grow && s=$(head -c 20000000 /dev/zero | tr "\\0" x); echo $$; done`
	tests := []struct {
		name     string
		limit    func(k *Keeper)
		payloads []string
		children string
	}{
		{name: "none", limit: func(*Keeper) {}, payloads: []string{"", "", ""}, children: "111"},
		{name: "jobs", limit: func(k *Keeper) { k.MaxJobs = 2 }, payloads: []string{"", "", "", "", ""}, children: "11223"},
		{name: "age", limit: func(k *Keeper) { k.MaxAge = 1 }, payloads: []string{"", "", ""}, children: "123"},
		{name: "memory", limit: func(k *Keeper) { k.MaxRSS = 15 << 20 }, payloads: []string{"grow", "", ""}, children: "122"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := keepSh(t, script)
			if tt.limit(k); k.MaxRSS > 0 && !MaxRSSSupported() {
				t.Skip("memory can't be looked at on this system")
			}
			numbers, got := map[string]int{}, ""
			for _, payload := range tt.payloads {
				pid, res := do(t, k, payload)
				if !res.OK() {
					t.Fatal(res.Err())
				}
				if numbers[pid] == 0 {
					for old := range numbers {
						wantGone(t, old)
					}
					numbers[pid] = len(numbers) + 1
				}
				got += fmt.Sprint(numbers[pid])
			}
			if got != tt.children {
				t.Errorf("got children %s, want %s", got, tt.children)
			}
		})
	}
}

// A child that ends between two jobs is replaced, and no job fails.
func TestKeepEndsBetweenJobs(t *testing.T) {
	k := keepSh(t, `for i in 1 2 3; do read -r x || exit; echo "$x $$"; done; exit 4`)
	pids := map[string]bool{}
	for i := range 20 {
		x := fmt.Sprint(i)
		got, res := do(t, k, x)
		answer, pid, _ := strings.Cut(got, " ")
		if pids[pid] = true; answer != x || !res.OK() {
			t.Fatalf("job %d: got %q, %v", i, got, res.Err())
		}
	}
	if len(pids) != 7 {
		t.Errorf("got %d children, want 7", len(pids))
	}
}

// Output of a child without a job is not the answer to the next job.
func TestKeepUnasked(t *testing.T) {
	f := fifo(t)
	var logged strings.Builder
	k := keepSh(t, `while read -r x; do echo "$x $$"; test "$x" = odd && { read y <`+f+`; echo more; echo >`+f+`; }; done`)
	k.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	k.quietTime = time.Nanosecond
	for range 2 {
		if got, res := do(t, k, "plain"); !strings.HasPrefix(got, "plain ") || !res.OK() {
			t.Fatalf("got %q, %v", got, res.Err())
		}
	}
	odd, res := do(t, k, "odd")
	if !strings.HasPrefix(odd, "odd ") || !res.OK() {
		t.Fatalf("got %q, %v", odd, res.Err())
	}
	for range 2 {
		file, err := os.OpenFile(f, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = file.WriteString("\n")
		defer file.Close()
	}
	got, res := do(t, k, "next")
	if !strings.HasPrefix(got, "next ") || got[5:] == odd[4:] || !res.OK() {
		t.Errorf("after %q: got %q, %v", odd, got, res.Err())
	}
	if want := `msg="kept command wrote output without a job: the answer before may be wrong" jobs=3 output="\"more\\n\""`; !strings.Contains(logged.String(), want) {
		t.Errorf("got log %s, want %s", logged.String(), want)
	}
}

func TestKeepDoesNotAnswer(t *testing.T) {
	if !MaxRSSSupported() {
		t.Skip("what a child waits for can't be looked at on this system")
	}
	for name, script := range map[string]string{
		"one process":     `while read -r x; do :; done`,
		"half an answer":  `while read -r x; do printf "$x"; done`,
		"two processes":   `sh -c 'while read -r x; do :; done'; exit 1`,
		"a pipeline":      `cat | sh -c 'while read -r x; do :; done' | cat; exit 1`,
		"after an answer": `read -r x; echo "$x"; while read -r x; do :; done`,
	} {
		t.Run(name, func(t *testing.T) {
			k := keepSh(t, script)
			k.checking = 100 * time.Millisecond
			_, res := do(t, k, "x")
			if strings.HasPrefix(name, "after") {
				if !res.OK() {
					t.Fatal(res.Err())
				}
				_, res = do(t, k, "x")
			}
			if !errors.Is(res.Err(), errInsatiate) || res.Code() != 76 {
				t.Errorf("got %v, code %d, want %v", res.Err(), res.Code(), errInsatiate)
			}
		})
	}
}

func TestKeepClose(t *testing.T) {
	k := keepSh(t, `echo $$ >&2; while read -r x; do echo "$x"; done; head -c 1000000 /dev/zero; echo end >&2`)
	var log strings.Builder
	k.Command.Stderr = &log
	if got, res := do(t, k, "x"); got != "x\n" || !res.OK() {
		t.Fatalf("got %q, %v", got, res.Err())
	}
	k.Close(context.Background())
	if pid, rest, _ := strings.Cut(log.String(), "\n"); rest != "end\n" {
		t.Errorf("got %q: it was not let end by itself", rest)
	} else {
		wantGone(t, pid)
	}

	k = keepSh(t, `trap "" TERM; read -r x; echo $$; while :; do sleep 0.05; done`)
	k.Command.KillAfter = 50 * time.Millisecond
	pid, _ := do(t, k, "x")
	k.Close(context.Background())
	wantGone(t, pid)

	k = keepSh(t, `read -r x; echo $$; exec sleep 60`)
	k.Command.KillAfter = time.Hour
	pid, _ = do(t, k, "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	k.Close(ctx)
	wantGone(t, pid)
}

// After a child that has answered nothing the next takes its time.
func TestKeepPause(t *testing.T) {
	k := keepSh(t, `exit 9`)
	began := time.Now()
	for range 3 {
		if _, res := do(t, k, "x"); res.Code() != 9 {
			t.Errorf("got %v, want exit status 9", res.Err())
		}
	}
	if d := time.Since(began); d < 3*firstPause {
		t.Errorf("three children that die at once took %v, want %v at least", d, 3*firstPause)
	}
	kill := make(chan struct{})
	close(kill)
	k.Kill = kill
	if _, res := do(t, k, "x"); !res.Cancelled {
		t.Errorf("got %v, want cancelled", res.Err())
	}

	k = &Keeper{Command: &Command{Args: []string{"no-such-program"}}}
	if _, res := do(t, k, "x"); !errors.Is(res.Err(), ErrNotFound) || res.Code() != 127 {
		t.Errorf("got %v, code %d, want %v", res.Err(), res.Code(), ErrNotFound)
	}
}
