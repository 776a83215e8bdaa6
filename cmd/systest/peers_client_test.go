package systest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// testPeerClient runs all scenarios of a peer's client against a worker.
func testPeerClient(t *testing.T, serve func(*testing.T) peerServer, p *peer, command []string, w worker) {
	srv := serve(t)
	client := func(args ...string) []string {
		return slices.Concat(command, []string{srv.host, srv.port}, args)
	}

	log := testPeerQueue(t, srv, client, w)

	for _, sc := range peerScenarios(t, p, w) {
		t.Run(sc.name, func(t *testing.T) {
			got, want := mustRun(t, client(sc.args...)...), sc.want
			if sc.anyOrder {
				got, want = sortLines(got), sortLines(want)
			}
			if got != want {
				t.Errorf("%s\ngot  %q\nwant %q", strings.Join(sc.args, " "), head(got), head(want))
			}
		})
	}
	if w.peer == nil || !w.peer.noWorkerUnique {
		t.Run("unique reaches the worker", func(t *testing.T) {
			got := mustRun(t, client("unique", "echo_unique", "a-key", "x", "y")...)
			if !strings.Contains(got, "1\tresult\ta-key\n") || !strings.Contains(got, "2\tresult\ta-key\n") {
				t.Errorf("got %q, want a-key as the result of both", got)
			}
		})
	}
	if p.epoch {
		t.Run("epoch", func(t *testing.T) {
			before := time.Now()
			handleOf(t, mustRun(t, client("epoch", "upper", "later", "2")...))
			waitFor(t, "the delayed job", func() bool { return slices.Contains(log.payloads(t, "upper"), "later") })
			// The protocol counts in whole seconds.
			if waited := time.Since(before); waited < time.Second {
				t.Errorf("a job for in two seconds ran after %s", waited)
			}
		})
	}
	if p.reducers && w.peer != nil && w.peer.reducers {
		t.Run("reduce", func(t *testing.T) {
			w.start(t, srv) // the first one splits and waits for the second
			srv.waitForWorkers(t, "sum", 2)
			got, want := mustRun(t, client("reduce", "sum", "reverse", "12 3 40")...), "result\t28\n"
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	if p.reducers && w.peer == nil {
		t.Run("reduce", func(t *testing.T) { // with one worker of one slot
			got, want := mustRun(t, client("reduce", "total", "total", "12 3\n40\n")...), "result\t55 \n"
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// testPeerQueue submits jobs before there is a worker, starts it, and checks the order of
// the jobs and that each was done once.
func testPeerQueue(t *testing.T, srv peerServer, client func(args ...string) []string, w worker) *jobLog {
	g := newGate(t)
	status := start(t, client("status", "gate", g.path)...)
	status.waitForOutput(t, "status\t1\t0\t0\t0\n")

	handleOf(t, mustRun(t, client("low-bg", "upper", "low")...))
	handleOf(t, mustRun(t, client("bg", "upper", "normal")...))
	handleOf(t, mustRun(t, client("high-bg", "upper", "high")...))

	unique := start(t, client("unique", "upper", "key", "ab", "cd")...)
	waitFor(t, "two jobs created", func() bool { return strings.Count(unique.output(t), "created\t") == 2 })

	log := w.start(t, srv)

	status.waitForOutput(t, "status\t1\t1\t1\t3\n")
	g.open(t)
	wantStatus := regexp.MustCompile(`^status\t1\t0\t0\t0\n(status\t1\t1\t0\t0\n)?status\t1\t1\t1\t3\nstatus\t0\t0\t0\t0\n$`)
	if got := status.wait(t); !wantStatus.MatchString(got) {
		t.Errorf("status of a background job\ngot  %q\nwant %s", got, wantStatus)
	}

	var handles, results []string
	for line := range strings.Lines(unique.wait(t)) {
		if handle, ok := strings.CutPrefix(line, "created\t"); ok {
			handles = append(handles, handle)
		} else {
			results = append(results, line)
		}
	}
	if handles[0] != handles[1] {
		t.Errorf("handles of two jobs with the same unique: %q", handles)
	}
	slices.Sort(results)
	if want := []string{"1\tresult\tAB\n", "2\tresult\tAB\n"}; !slices.Equal(results, want) {
		t.Errorf("results of two jobs with the same unique\ngot  %q\nwant %q", results, want)
	}

	order := []string{"high", "normal", "ab", "low"}
	waitFor(t, "the background jobs", func() bool { return len(log.payloads(t, "upper")) >= len(order) })
	if got := log.payloads(t, "upper"); !slices.Equal(got, order) {
		t.Errorf("jobs done\ngot  %q\nwant %q", got, order)
	}
	return log
}

// peerScenario is one run of a peer's client while a worker is there.
type peerScenario struct {
	name     string
	args     []string
	want     string // what it prints
	anyOrder bool   // the lines may come in any order
}

func peerScenarios(t *testing.T, p *peer, w worker) []peerScenario {
	t.Helper()
	bytes := make([]byte, 256)
	for i := range bytes {
		bytes[i] = byte(i)
	}
	bytesFile := writeFile(t, bytes)
	slices.Reverse(bytes)

	large := []byte(strings.Repeat("0123456789abcdef", 20000))
	largeFile := writeFile(t, large)
	slices.Reverse(large)

	unasked := "FAIL\n"
	if p.exceptions {
		unasked = w.exception
	}

	scenarios := []peerScenario{
		{name: "foreground", args: []string{"fg", "reverse", "abc"}, want: "result\tcba\n"},
		{name: "high", args: []string{"high", "upper", "abc"}, want: "result\tABC\n"},
		{name: "low", args: []string{"low", "upper", "abc"}, want: "result\tABC\n"},
		{name: "all bytes", args: []string{"fg", "reverse", "@" + bytesFile}, want: "result\t" + escape(bytes) + "\n"},
		{name: "320000 bytes", args: []string{"fg", "reverse", "@" + largeFile}, want: "result\t" + string(large) + "\n"},
		{name: "chunks", args: []string{"fg", "chunks", "a b c"}, want: w.chunks},
		{name: "status", args: []string{"fg", "status", "x"}, want: "status\t1\t3\nstatus\t2\t3\nstatus\t3\t3\nresult\tdone\n"},
		{name: "warning", args: []string{"fg", "warn", "x"}, want: "warning\tx\nresult\tdone\n"},
		{name: "fail", args: []string{"fg", "fail", "x"}, want: w.fail},
		{name: "exception not asked for", args: []string{"fg", "exception", "x"}, want: unasked},
		{name: "parallel", args: []string{"parallel", "reverse", "50"}, want: "ok\t50\n"},
		{
			name: "tasks", args: []string{"tasks", "reverse=abc", "upper=abc", "fail=x"},
			want: "reverse\tresult\tcba\nupper\tresult\tABC\n" + prefixLines("fail\t", w.fail), anyOrder: true,
		},
	}
	if !p.noEmptyPayload {
		scenarios = append(scenarios, peerScenario{
			name: "empty", args: []string{"fg", "reverse", ""}, want: "result\t\n",
		})
	}
	if !p.noExceptions {
		scenarios = append(scenarios, peerScenario{
			name: "exception", args: []string{"exception", "exception", "x"}, want: w.exception,
		})
	}
	return scenarios
}

var handleLine = regexp.MustCompile(`^handle\t(H:\S+:\d+)\n$`)

// handleOf returns the handle that a client has printed.
func handleOf(t *testing.T, output string) string {
	t.Helper()
	m := handleLine.FindStringSubmatch(output)
	if m == nil {
		t.Fatalf("got %q, want a line with a handle", output)
	}
	return m[1]
}

func writeFile(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// escape writes data as the peers' programs do.
func escape(data []byte) string {
	var b strings.Builder
	for _, c := range data {
		if c >= 0x20 && c <= 0x7e && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

func sortLines(s string) string {
	return strings.Join(slices.Sorted(strings.Lines(s)), "")
}

func prefixLines(prefix, s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(prefix + line)
	}
	return b.String()
}
