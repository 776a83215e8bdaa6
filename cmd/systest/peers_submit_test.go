package systest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// testSubmit runs gm submit against a worker.
func testSubmit(t *testing.T, serve func(*testing.T) peerServer, w worker) {
	srv := serve(t)
	submit := func(args ...string) []string {
		return slices.Concat([]string{"gm", "submit", "-s", srv.addr()}, args)
	}

	log := testSubmitQueue(t, srv, submit, w)

	t.Run("events", func(t *testing.T) { testSubmitEvents(t, submit, w) })
	t.Run("sizes", func(t *testing.T) { testSubmitSizes(t, submit) })
	t.Run("records", func(t *testing.T) {
		var in, want strings.Builder
		for i := range 50 {
			fmt.Fprintf(&in, "record-%d\n", i)
			fmt.Fprintf(&want, "RECORD-%d\n", i)
		}
		r := run(t, strings.NewReader(in.String()), submit("-N", "-k", "-f", "upper")...)
		if r.code != 0 || r.stdout != want.String() {
			t.Errorf("exit code %d\ngot  %q\nwant %q\nstderr: %s", r.code, r.stdout, want.String(), r.stderr)
		}
	})
	if w.peer == nil {
		t.Run("delayed", func(t *testing.T) {
			before := time.Now()
			mustRun(t, submit("--in", "2s", "-f", "upper", "later")...)
			waitFor(t, "the delayed job", func() bool {
				if srv.wakesNobody {
					mustRun(t, submit("-f", "upper", "wake up")...)
				}
				return slices.Contains(log.payloads(t, "upper"), "later")
			})
			// The protocol counts in whole seconds.
			if waited := time.Since(before); waited < time.Second {
				t.Errorf("a job for in two seconds ran after %s", waited)
			}
		})
	}
	if w.peer != nil && w.peer.dies {
		t.Run("worker that dies of an error", func(t *testing.T) {
			if r := run(t, nil, submit("-f", "die", "x")...); r.code != 1 {
				t.Errorf("exit code %d, want 1\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
			}
			if got := mustRun(t, submit("-f", "reverse", "abc")...); got != "cba" {
				t.Errorf("the next job: got %q, want %q", got, "cba")
			}
		})
	}
	if w.peer != nil && w.peer.reducers {
		t.Run("reduce", func(t *testing.T) {
			w.start(t, srv) // the first one splits and waits for the second
			srv.waitForWorkers(t, "sum", 2)
			if got := mustRun(t, submit("-f", "sum", "--reducer", "reverse", "12 3 40")...); got != "28" {
				t.Errorf("got %q, want 28", got)
			}
		})
	}
}

// testSubmitQueue submits jobs before there is a worker, starts it, and checks the order of
// the jobs and that each was done once.
func testSubmitQueue(t *testing.T, srv peerServer, submit func(...string) []string, w worker) *jobLog {
	g := newGate(t)
	gated := strings.TrimSpace(mustRun(t, submit("-b", "-f", "gate", g.path)...))
	job := func() []string {
		r := run(t, nil, "gm", "job", "-s", srv.addr(), gated)
		if r.code != 0 {
			return nil
		}
		return strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\t")
	}
	if got := job(); len(got) < 9 || got[3] != "waiting" {
		t.Errorf("job that waits: got %q", got)
	}

	mustRun(t, submit("-b", "-L", "-f", "upper", "low")...)
	mustRun(t, submit("-b", "-f", "upper", "normal")...)
	mustRun(t, submit("-b", "-I", "-f", "upper", "high")...)
	first := mustRun(t, submit("-b", "-u", "key", "-f", "upper", "ab")...)
	second := mustRun(t, submit("-b", "-u", "key", "-f", "upper", "cd")...)
	if first != second {
		t.Errorf("handles of two jobs with the same unique: %q and %q", first, second)
	}

	log := w.start(t, srv)
	waitFor(t, "the job at the gate to run", func() bool {
		got := job()
		return len(got) >= 9 && got[3] == "running" && got[8] == "1/3"
	})
	g.open(t)
	waitFor(t, "the job at the gate to end", func() bool { return job() == nil })

	order := []string{"high", "normal", "ab", "low"}
	waitFor(t, "the background jobs", func() bool { return len(log.payloads(t, "upper")) >= len(order) })
	if got := log.payloads(t, "upper"); !slices.Equal(got, order) {
		t.Errorf("jobs done\ngot  %q\nwant %q", got, order)
	}
	return log
}

// testSubmitEvents runs one job at a time and checks all that comes back.
func testSubmitEvents(t *testing.T, submit func(...string) []string, w worker) {
	chunks := "abcdone"
	if w.peer == nil {
		chunks = "a\nb\nc\n"
	}
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr []string // all of these are in it, in this order
	}{
		{name: "foreground", args: []string{"-f", "reverse", "abc"}, stdout: "cba"},
		{name: "high", args: []string{"-I", "-f", "upper", "abc"}, stdout: "ABC"},
		{name: "low", args: []string{"-L", "-f", "upper", "abc"}, stdout: "ABC"},
		{name: "chunks", args: []string{"-f", "chunks", "a b c"}, stdout: chunks},
		{name: "status", args: []string{"--status", "-f", "status", "x"}, stdout: "done", stderr: []string{"1/3", "2/3", "3/3"}},
		{name: "warning", args: []string{"-f", "warn", "a warning"}, stdout: "done", stderr: []string{"a warning"}},
		{name: "fail", args: []string{"-f", "fail", "x"}, code: 1},
		{name: "exception", args: []string{"-f", "exception", "an exception"}, code: 1, stderr: []string{"an exception"}},
	}
	if w.peer == nil || !w.peer.noWorkerUnique {
		tests = append(tests, tests[0])
		unique := &tests[len(tests)-1]
		unique.name, unique.args, unique.stdout = "unique", []string{"-u", "a-key", "-f", "echo_unique", "x"}, "a-key"
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, nil, submit(tt.args...)...)
			if r.code != tt.code || r.stdout != tt.stdout {
				t.Errorf("exit code %d, stdout %q, want %d, %q\nstderr: %s", r.code, r.stdout, tt.code, tt.stdout, r.stderr)
			}
			rest := r.stderr
			for _, want := range tt.stderr {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Errorf("stderr %q has no %q where it should", r.stderr, want)
					break
				}
				rest = after
			}
		})
	}
}

// testSubmitSizes sends payloads of sizes around which buffers end.
func testSubmitSizes(t *testing.T, submit func(...string) []string) {
	random := rand.NewChaCha8([32]byte{})
	for _, size := range []int{0, 1, 8191, 8192, 65480, 65536, 65540, 1 << 20} {
		payload := make([]byte, size)
		random.Read(payload)
		r := run(t, bytes.NewReader(payload), submit("-f", "reverse")...)
		slices.Reverse(payload)
		if r.code != 0 || !bytes.Equal([]byte(r.stdout), payload) {
			t.Errorf("%d bytes: exit code %d, %d bytes back, equal: %t\nstderr: %s",
				size, r.code, len(r.stdout), bytes.Equal([]byte(r.stdout), payload), r.stderr)
		}
	}
}
