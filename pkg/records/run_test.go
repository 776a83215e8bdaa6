package records_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/records"
	"gm/pkg/results"
)

// fakeClient runs tasks in this process. The result of a job is its payload in capital
// letters; a payload "bad" fails.
type fakeClient struct {
	mu      sync.Mutex
	started []string        // payloads
	stalled <-chan struct{} // no job ends before this is closed; nil: at once
}

// StartAsync implements batch.Submitter.
func (c *fakeClient) StartAsync(_ context.Context, t *gearman.Task) (*gearman.Running, error) {
	task := *t
	payload := string(task.Payload)
	c.mu.Lock()
	c.started = append(c.started, payload)
	handle := gearman.Handle(fmt.Sprint("H:", len(c.started)))
	c.mu.Unlock()
	task.OnServer(gearman.Server{})
	task.OnCreated(handle)
	go func() {
		if c.stalled != nil {
			<-c.stalled
		}
		if payload == "bad" {
			task.OnFail(&gearman.FailError{Handle: handle})
			return
		}
		if !task.Background {
			task.OnData([]byte(strings.ToUpper(payload)))
		}
		task.OnComplete(nil)
	}()
	return nil, nil
}

// testRun is a run with a fakeClient.
type testRun struct {
	client fakeClient
	config records.Config
	stdout bytes.Buffer
	notes  []string
}

// newTestRun returns a run of the given input through the function "upper".
func newTestRun(in records.Input) *testRun {
	r := &testRun{}
	r.config = records.Config{
		Input:  in,
		Batch:  &batch.Batch{Client: &r.client, Task: gearman.Task{Function: "upper"}},
		Stdout: &r.stdout,
		Note:   func(text string) { r.notes = append(r.notes, text) },
	}
	return r
}

// run runs it and returns its report.
func (r *testRun) run(t *testing.T) results.Report {
	t.Helper()
	run, err := records.Open(r.config)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	report, err := run.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func lines(text string) records.Input {
	return records.Stream(strings.NewReader(text), records.Cut{}, 0)
}

func TestFormsOfResults(t *testing.T) {
	label := func(label string) string { return label + ": " }
	for _, tc := range []struct {
		name   string
		in     records.Input
		change func(c *records.Config)
		want   string
	}{
		{"text", lines("a\nb\n"), func(c *records.Config) { c.End = "\n" }, "A\nB\n"},
		{"text without an end", lines("a\nb\n"), func(*records.Config) {}, "AB"},
		{"text on a terminal", lines("a\nb\n"), func(c *records.Config) { c.Terminal = true }, "A\nB\n"},
		{"no end on a terminal", lines("a\nb\n"), func(c *records.Config) { c.Terminal, c.NoEnd = true, true }, "AB"},
		{"label of a line", lines("a\nb\n"), func(c *records.Config) { c.LinePrefix, c.End = label, "\n" }, "a: A\nb: B\n"},
		{
			"label of a block", records.Stream(strings.NewReader("a\nb\n"), records.Cut{Blocks: true, BlockOptions: batch.BlockOptions{Records: 2}}, 0),
			func(c *records.Config) { c.LinePrefix = label }, "1: A\n1: B\n",
		},
		{"lines", lines("a\nb\n"), func(c *records.Config) {
			c.Form, c.Batch.Interleaved, c.Batch.Window, c.End = records.FormLines, true, 1, "\n"
		}, "A\nB\n"},
		{"handles", lines("a\nb\n"), func(c *records.Config) { c.Batch.Task.Background = true }, "H:1\nH:2\n"},
		{"no handles", lines("a\nb\n"), func(c *records.Config) { c.Batch.Task.Background, c.NoHandles = true, true }, ""},
	} {
		r := newTestRun(tc.in)
		tc.change(&r.config)
		if report := r.run(t); report.Code != 0 || !report.Complete {
			t.Errorf("%s: got %+v", tc.name, report)
		}
		if got := r.stdout.String(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestJSONIsAnArrayForManyRecordsOnly(t *testing.T) {
	for _, tc := range []struct {
		in    records.Input
		form  records.Form
		array bool
		lines int
	}{
		{records.Arguments([]string{"a"}), records.FormJSON, false, 0},
		{records.Arguments([]string{"a", "b"}), records.FormJSON, true, 0},
		{records.Arguments([]string{"a", "b"}), records.FormJSONLines, false, 2},
	} {
		r := newTestRun(tc.in)
		r.config.Form = tc.form
		r.run(t)
		got := r.stdout.String()
		if array := strings.HasPrefix(got, "["); array != tc.array {
			t.Errorf("form %d: an array is %t, want %t: %s", tc.form, array, tc.array, got)
		}
		if n := strings.Count(strings.TrimSpace(got), "\n") + 1; tc.lines > 0 && n != tc.lines {
			t.Errorf("form %d: got %d lines, want %d: %s", tc.form, n, tc.lines, got)
		}
	}
}

func TestFilesOfResults(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.txt", "b.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name[:1]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{filepath.Join(dir, "a.txt"), filepath.Join(dir, "b.txt"), filepath.Join(dir, "absent.txt")}
	template, err := results.ParseTemplate("{.}.up")
	if err != nil {
		t.Fatal(err)
	}
	r := newTestRun(records.FilesNamedBy(strings.NewReader(strings.Join(names, "\x00")), []byte{0}, 0))
	r.config.Out, r.config.OutAnywhere = template, true
	report := r.run(t)
	if report.Failed != 1 || report.Records != 3 || len(r.notes) != 1 || !strings.HasPrefix(r.notes[0], "record 3, "+names[2]+": ") {
		t.Errorf("got %+v and %q, want one failure that names record 3", report, r.notes)
	}
	for name, want := range map[string]string{"a.up": "A", "b.up": "B"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}

	folder := filepath.Join(dir, "results")
	r = newTestRun(records.Files(names[:2], 0))
	r.config.Folder = folder
	r.run(t)
	if got, err := os.ReadFile(filepath.Join(folder, "2", "stdout")); err != nil || string(got) != "B" {
		t.Errorf("folder of record 2: got %q, %v, want B", got, err)
	}
}

// TestPlanIsTheRun plans a run, does a part of it, and plans and does the rest.
func TestPlanIsTheRun(t *testing.T) {
	dir := t.TempDir()
	template, err := results.ParseTemplate(dir + "/{}.up")
	if err != nil {
		t.Fatal(err)
	}
	newRun := func() *testRun {
		r := newTestRun(lines("a\nbad\nc\n../d\n"))
		r.config.Out = template
		r.config.Joblog = results.JoblogConfig{Path: filepath.Join(dir, "log"), Resume: true, RetryFailed: true}
		return r
	}
	plan := func() (planned []string) {
		t.Helper()
		err := records.Plan(newRun().config, func(p *records.Planned) error {
			planned = append(planned, fmt.Sprintf("%d %s %d %s %s %t", p.Seq, p.Function, p.Bytes, p.Name, filepath.Base(p.Out), p.Error != ""))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return planned
	}
	want := []string{"1 upper 1 a a.up false", "2 upper 3 bad bad.up false", "3 upper 1 c c.up false", "4 upper 4 ../d . true"}
	if got := plan(); !slices.Equal(got, want) {
		t.Errorf("before the run: got %q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "log")); err == nil {
		t.Error("the plan has made a joblog")
	}
	first := newRun()
	if report := first.run(t); report.Failed != 2 || !slices.Equal(first.client.started, []string{"a", "bad", "c"}) {
		t.Errorf("got %+v of %q, want 2 failures of 4", report, first.client.started)
	}
	if got := plan(); !slices.Equal(got, []string{want[1], want[3]}) {
		t.Errorf("after the run: got %q, want its failures", got)
	}
	second := newRun()
	second.run(t)
	if !slices.Equal(second.client.started, []string{"bad"}) {
		t.Errorf("the second run sent %q, want bad", second.client.started)
	}
	stop := errors.New("stop")
	if err := records.Plan(newRun().config, func(*records.Planned) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the caller: got %v", err)
	}
}

// A regular file has an estimate of its records in the progress, and the end of a run
// is in its last line.
func TestProgressInJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, []byte("a\nb\nc\nd\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var progress bytes.Buffer
	r := newTestRun(records.Stream(f, records.Cut{}, 0))
	r.config.Progress.JSON = &progress
	r.run(t)
	written := strings.Split(strings.TrimSpace(progress.String()), "\n")
	var last results.Progress
	if err := json.Unmarshal([]byte(written[len(written)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if last.Done != 4 || last.Total == nil || *last.Total != 4 || last.Part == nil || *last.Part != 1 {
		t.Errorf("last line: got %s, want 4 of 4", written[len(written)-1])
	}
}

// OnSilence is called after two seconds without a result, and not if there is one.
func TestSilence(t *testing.T) {
	for _, stalled := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newTestRun(records.Arguments([]string{"a"}))
			release := make(chan struct{})
			if stalled {
				r.client.stalled = release
			}
			calls := 0
			r.config.OnSilence = func(context.Context) {
				calls++
				close(release)
			}
			r.run(t)
			if (calls == 1) != stalled {
				t.Errorf("a job that stalls is %t: got %d calls", stalled, calls)
			}
		})
	}
}

// Ended is called after the last record and before the joblog is complete.
func TestEndedComesBeforeTheEndOfTheJoblog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r := newTestRun(lines("a\nb\n"))
	r.config.Stdout, r.config.StdoutFile = out, out
	r.config.Joblog.Path = log
	calls := 0
	r.config.Ended = func() {
		calls++
		if text, err := os.ReadFile(log); err != nil || strings.Contains(string(text), `"ended"`) {
			t.Errorf("at the call: got %q, %v, want a joblog without its end", text, err)
		}
	}
	r.run(t)
	if text, err := os.ReadFile(log); calls != 1 || err != nil || !strings.Contains(string(text), `"ended"`) {
		t.Errorf("got %d calls and %q, %v, want one call and a joblog with its end", calls, text, err)
	}
	if _, err := records.Open(r.config); !errors.Is(err, batch.ErrLogged) {
		t.Errorf("a second run without Resume: got %v, want ErrLogged", err)
	}
}

func TestServerNotes(t *testing.T) {
	var notes []string
	log := records.ServerNotes(func(text string) { notes = append(notes, text) })
	log.Debug("retrying", "server", "a:1")
	log.Warn("server lost", "server", "a:1", "error", errors.New("no route"))
	log.With("client", 1).WithGroup("g").Info("server back", "server", "a:1")
	want := []string{"server a:1 is left out: no route", "server a:1 gets records again"}
	if !slices.Equal(notes, want) {
		t.Errorf("got %q, want %q", notes, want)
	}
	if log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug lines are notes")
	}
}
