package systest

// A client with --joblog is killed again and again, and goes on with --resume:
// each record is in its output once.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gm/pkg/gearman"
)

const (
	resumeRecords = 6000
	resumeKills   = 20
)

// resumeWorker does the functions echo and again. Some of its results are long,
// and some of its jobs fail unless it is mended.
type resumeWorker struct{ mended atomic.Bool }

func startResumeWorker(t *testing.T, srv peerServer) *resumeWorker {
	t.Helper()
	rw := &resumeWorker{}
	servers, err := gearman.ParseServers(srv.addr(), gearman.DefaultPort)
	if err != nil {
		t.Fatal(err)
	}
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}, Concurrency: 8})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"echo", "again"} {
		if err := w.Handle(f, rw.echo); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return rw
}

// echo takes as long as a small job may, so that jobs overtake each other.
func (w *resumeWorker) echo(ctx context.Context, j *gearman.Job) ([]byte, error) {
	select {
	case <-time.After(time.Duration(rand.IntN(1000)) * time.Microsecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	payload := string(j.Payload())
	switch {
	case strings.HasSuffix(payload, "13") && !w.mended.Load():
		if err := j.SendData([]byte("not the whole of " + payload)); err != nil {
			return nil, err
		}
		return nil, errors.New("not 13")
	case strings.HasSuffix(payload, "00"):
		return longResult(payload), nil
	}
	return j.Payload(), nil
}

// longResult is longer than gm's buffer.
func longResult(payload string) []byte {
	return append([]byte(payload+" "), bytes.Repeat([]byte{'x'}, 100_000)...)
}

// resumeOutput is the output of the records, with or without the failed ones.
func resumeOutput(mended bool) (lines []string) {
	for n := 1; n <= resumeRecords; n++ {
		switch payload := fmt.Sprint(n); {
		case strings.HasSuffix(payload, "13") && !mended:
		case strings.HasSuffix(payload, "00"):
			lines = append(lines, string(longResult(payload)))
		default:
			lines = append(lines, payload)
		}
	}
	return lines
}

func TestResume(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		ordered bool
	}{
		{"ordered", []string{"map", "-f", "echo"}, true},
		{"unordered", []string{"submit", "-N", "-f", "echo", "-j", "200"}, false},
		{"pipe", []string{"pipe", "echo", "again", "-j", "100"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seed := chaosSeedOf(t)
			random := rand.New(rand.NewPCG(seed, 0))
			srv := serveGM(t)
			w := startResumeWorker(t, srv)
			r := newResumed(t, srv, resumeRecords, resumeKills, tt.args...)
			for {
				r.in.raise()
				ended, code := r.live(t, random)
				if ended && code != 1 {
					t.Fatalf("got exit code %d, want 1 for the records that fail", code)
				}
				if ended {
					break
				}
			}
			t.Logf("killed %d times", r.kills)
			if r.kills < resumeKills {
				t.Errorf("killed %d times, want %d at least", r.kills, resumeKills)
			}
			r.check(t, resumeOutput(false), tt.ordered)

			w.mended.Store(true)
			if code := r.finish(t, "--retry-failed"); code != 0 {
				t.Errorf("--retry-failed: got exit code %d", code)
			}
			r.check(t, resumeOutput(true), false) // the failed ones come last
			if code := r.finish(t); code != 0 {
				t.Errorf("when all is done: got exit code %d", code)
			}
			r.check(t, resumeOutput(true), false)
		})
	}
}

// resumed is a client through its lives.
type resumed struct {
	args     []string
	in       *supply
	out, log string
	kills    int
}

// header is the content of the output before the first life.
const header = "what was there before\n"

// newResumed returns a client that gets the last records after a number of kills.
func newResumed(t *testing.T, srv peerServer, records, kills int, args ...string) *resumed {
	t.Helper()
	dir := t.TempDir()
	r := &resumed{in: newSupply(records, kills), out: filepath.Join(dir, "out"), log: filepath.Join(dir, "log")}
	r.args = append(args, "-s", srv.addr(), "--joblog", r.log, "--resume")
	for path, text := range map[string]string{r.out: header, r.log: ""} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// supply writes records to the lives of a client. It keeps back those after its limit,
// so that the client cannot end before its last kill, however slow the test is.
type supply struct {
	records, portion int

	mu     sync.Mutex
	limit  int
	raised chan struct{} // closed at each change of limit
}

// newSupply returns a supply that gives all records after kills+1 calls of raise.
func newSupply(records, kills int) *supply {
	portion := records / (kills + 2)
	return &supply{records: records, portion: portion, limit: portion, raised: make(chan struct{})}
}

// raise allows one more portion, or all records if less than two are left.
func (s *supply) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit += s.portion
	if s.limit > s.records-s.portion {
		s.limit = s.records
	}
	close(s.raised)
	s.raised = make(chan struct{})
}

// target returns a random size of the log, after which the client is killed. The
// limit lets the log grow by a portion of records, whose lines have more than 100 bytes.
func (s *supply) target(logSize int64, random *rand.Rand) int64 {
	return logSize + int64(random.IntN(s.portion*100))
}

// feed writes the records to w until the client that reads them has ended, or ctx.
func (s *supply) feed(ctx context.Context, w io.WriteCloser) {
	defer w.Close()
	for n := 0; n < s.records; {
		s.mu.Lock()
		limit, raised := s.limit, s.raised
		s.mu.Unlock()
		var text []byte
		for ; n < limit; n++ {
			text = fmt.Appendln(text, n+1)
		}
		if _, err := w.Write(text); err != nil {
			return
		}
		if n < s.records {
			select {
			case <-raised:
			case <-ctx.Done():
				return
			}
		}
	}
}

// live has the client go on until its log has grown by some records and a
// moment has passed, and kills it, unless it has ended by then.
func (r *resumed) live(t *testing.T, random *rand.Rand) (ended bool, code int) {
	t.Helper()
	cmd := r.start(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // ProcessState says it
	}()
	target := r.in.target(r.logSize(t), random)
	waitFor(t, "the log to grow", func() bool {
		select {
		case <-done:
			return true
		default:
			return r.logSize(t) >= target
		}
	})
	select {
	case <-done:
	case <-time.After(time.Duration(random.IntN(10_000)) * time.Microsecond):
		_ = cmd.Process.Kill()
		<-done
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		r.kills++
		return false, 0
	}
	return true, cmd.ProcessState.ExitCode()
}

// finish has the client go on to its end.
func (r *resumed) finish(t *testing.T, flags ...string) (code int) {
	t.Helper()
	cmd := r.start(t, flags...)
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

func (r *resumed) start(t *testing.T, flags ...string) *exec.Cmd {
	t.Helper()
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(r.out, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("gm", append(slices.Clone(r.args), flags...)...)
	cmd.Stdin, cmd.Stdout = in, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var feeding sync.WaitGroup
	feeding.Go(func() { r.in.feed(t.Context(), w) })
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		feeding.Wait()
	})
	return cmd
}

func (r *resumed) logSize(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(r.log)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// check compares the output with lines, in their order or in any.
func (r *resumed) check(t *testing.T, want []string, ordered bool) {
	t.Helper()
	text, err := os.ReadFile(r.out)
	if err != nil {
		t.Fatal(err)
	}
	rest, found := strings.CutPrefix(string(text), header)
	if !found {
		t.Fatalf("the output begins with %q, want %q", head(string(text)), header)
	}
	got := strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
	if !ordered {
		want = slices.Clone(want)
		slices.Sort(got)
		slices.Sort(want)
	}
	if slices.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("line %d of the output: got %.40q, want %.40q", i+1, got[i], want[i])
		}
	}
	t.Fatalf("got %d lines of output, want %d", len(got), len(want))
}
