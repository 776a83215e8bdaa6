package results

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// fakeClient runs tasks in this process. It gives a job for which run returns no
// error its payload in capital letters as the result.
type fakeClient struct {
	run func(t *gearman.Task) error

	mu      sync.Mutex
	started []string // payloads
}

// StartAsync implements batch.Submitter.
func (c *fakeClient) StartAsync(_ context.Context, t *gearman.Task) (*gearman.Running, error) {
	task := *t
	payload := string(task.Payload)
	c.mu.Lock()
	c.started = append(c.started, payload)
	n := len(c.started)
	c.mu.Unlock()
	task.OnServer(gearman.Server{})
	task.OnCreated(gearman.Handle(fmt.Sprint("H:", n)))
	if c.run != nil {
		if err := c.run(&task); err != nil {
			go task.OnFail(err)
			return nil, nil
		}
	}
	go func() {
		task.OnData([]byte(strings.ToUpper(payload)))
		task.OnComplete(nil)
	}()
	return nil, nil
}

func words(text string) *batch.Records {
	var records batch.Records
	for _, w := range strings.Fields(text) {
		records = append(records, batch.Input{Payload: []byte(w)})
	}
	return &records
}

// logRun is a run with a joblog and a file of output.
type logRun struct {
	dir    string
	client fakeClient
	config JoblogConfig // its options
	files  bool         // a file for each record
	halt   batch.Halt
	limit  int // bytes of output before the disk is full; 0: none
	cancel int // sequence number of the record at whose end the run is cancelled; 0: none
	notes  []string
}

var errCancelled = errors.New("cancelled")

func (l *logRun) run(t *testing.T, text string) (Report, error) {
	t.Helper()
	f := openTestFile(t, l.dir, "out", os.O_APPEND)
	w := io.Writer(f)
	if l.limit > 0 {
		w = &failAfter{f, l.limit, l.cancel > 0}
	}
	out, err := NewOutput(w, f)
	if err != nil {
		t.Fatal(err)
	}
	sink := NewText(out, TextOptions{End: "\n"})
	c := l.config
	c.Path, c.Output = filepath.Join(l.dir, "log"), out
	if l.files {
		sink = NewFiles(FilesOptions{Template: Template(filepath.Join(l.dir, "{}.txt")), Label: label})
		c.Files = "files"
	}
	l.notes = nil
	note := func(text string) { l.notes = append(l.notes, text) }
	c.Sink, c.Note = sink, note
	log, err := OpenJoblog(c)
	if err != nil {
		return Report{}, err
	}
	defer log.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	return New(Config{Sink: sink, Output: out, Joblog: log, Many: true, Note: note}).Run(ctx, &batch.Batch{
		Client: &l.client,
		Task:   gearman.Task{Function: "upper"},
		Window: 1,
		Halt:   l.halt,
		Done: func(r *batch.Record) error {
			if r.Seq == l.cancel {
				cancel(errCancelled)
			}
			return nil
		},
	}, words(text))
}

func (l *logRun) checkOutput(t *testing.T, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(l.dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("output: got %q, want %q", got, want)
	}
}

// failOn returns a run function of a fakeClient that fails the given payloads.
func failOn(payloads string) func(*gearman.Task) error {
	return func(t *gearman.Task) error {
		for _, p := range strings.Fields(payloads) {
			if p == string(t.Payload) {
				return &gearman.FailError{}
			}
		}
		return nil
	}
}

func TestRunWithJoblog(t *testing.T) {
	l := &logRun{dir: t.TempDir(), client: fakeClient{run: failOn("b d")}}
	report, err := l.run(t, "a b c d")
	if err != nil || !report.Complete {
		t.Fatalf("got %+v, %v, want a complete run", report, err)
	}
	if got, want := report.Err().Error(), "2 of 4 records failed"; got != want || report.Code != 1 {
		t.Errorf("got %q, code %d, want %q, code 1", got, report.Code, want)
	}
	if len(l.notes) != 2 || !strings.HasPrefix(l.notes[0], "record 2: ") {
		t.Errorf("got notes %q, want one for each failed record", l.notes)
	}
	l.checkOutput(t, "A\nC\n")

	if _, err := l.run(t, "a b c d"); !errors.Is(err, batch.ErrLogged) {
		t.Errorf("without Resume: got %v, want ErrLogged", err)
	}

	l.config.Resume = true
	l.client = fakeClient{}
	report, err = l.run(t, "a b c d")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := report.Err().Error(), "2 of 4 records failed, 2 of them before"; got != want || report.Code != 1 {
		t.Errorf("resumed: got %q, code %d, want %q, code 1", got, report.Code, want)
	}
	if len(l.client.started) > 0 {
		t.Errorf("resumed: got jobs %q, want none", l.client.started)
	}

	l.config.RetryFailed = true
	report, err = l.run(t, "a b c d")
	if err != nil || report.Err() != nil {
		t.Fatalf("failed ones again: got %v, %v", report.Err(), err)
	}
	l.checkOutput(t, "A\nC\nB\nD\n")

	if _, err := l.run(t, "a b c"); !errors.Is(err, ErrInputChanged) {
		t.Errorf("with a record less: got %v, want ErrInputChanged", err)
	}
	if _, err := l.run(t, "a x c d"); !errors.Is(err, ErrInputChanged) {
		t.Errorf("with another record: got %v, want ErrInputChanged", err)
	}
}

// TestFullOutput has the disk of the output fill up in the middle of a record.
// The run that goes on writes this record again, and all after it.
func TestFullOutput(t *testing.T) {
	for limit := 1; limit < 12; limit++ {
		l := &logRun{dir: t.TempDir(), limit: limit, config: JoblogConfig{Resume: true}}
		if report, err := l.run(t, "aa bb cc dd"); !errors.Is(err, errNoRoom) || report.Complete {
			t.Fatalf("limit %d: got %+v, %v, want no room", limit, report, err)
		}
		l.limit = 0
		if report, err := l.run(t, "aa bb cc dd"); err != nil || report.Err() != nil {
			t.Fatalf("limit %d: with room: got %v, %v", limit, report.Err(), err)
		}
		l.checkOutput(t, "AA\nBB\nCC\nDD\n")
	}
}

// TestFullOutputOfCancelledRun has the disk full for a moment when a cancelled run
// writes its last results. Records without output must not be in the log.
func TestFullOutputOfCancelledRun(t *testing.T) {
	l := &logRun{dir: t.TempDir(), limit: 1, cancel: 1, config: JoblogConfig{Resume: true}}
	if _, err := l.run(t, "aa bb"); !errors.Is(err, errCancelled) && !errors.Is(err, errNoRoom) {
		t.Fatalf("got %v, want the end of a cancelled run", err)
	}
	l.limit, l.cancel = 0, 0
	if report, err := l.run(t, "aa bb"); err != nil || report.Err() != nil {
		t.Fatalf("with room: got %v, %v, want a complete run", report.Err(), err)
	}
	l.checkOutput(t, "AA\nBB\n")
}

// TestUnloggedOutput finds output behind the end of the log, as a killed run
// leaves it.
func TestUnloggedOutput(t *testing.T) {
	l := &logRun{dir: t.TempDir(), limit: 4, config: JoblogConfig{Resume: true}}
	if _, err := l.run(t, "aa bb"); !errors.Is(err, errNoRoom) {
		t.Fatalf("got %v, want no room", err)
	}
	log, err := os.ReadFile(filepath.Join(l.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(log), "\n")
	if !strings.Contains(lines[len(lines)-2], `"ended":true`) {
		t.Fatalf("got log %s, want its last line to be the end", log)
	}
	kill := strings.Join(lines[:len(lines)-2], "")
	if err := os.WriteFile(filepath.Join(l.dir, "log"), []byte(kill), 0o666); err != nil {
		t.Fatal(err)
	}
	f := openTestFile(t, l.dir, "out", os.O_APPEND)
	if _, err := f.WriteString("left"); err != nil {
		t.Fatal(err)
	}
	l.limit = 0
	if report, err := l.run(t, "aa bb"); err != nil || report.Err() != nil {
		t.Fatalf("got %v, %v, want a complete run", report.Err(), err)
	}
	l.checkOutput(t, "AA\nBB\n")
	if len(l.notes) != 1 || !strings.Contains(l.notes[0], " bytes of stdout that ") {
		t.Errorf("got notes %q, want one about the output that was moved", l.notes)
	}
}

func TestOutputGone(t *testing.T) {
	change := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	l := &logRun{dir: t.TempDir(), halt: batch.Halt{Fails: 1}, client: fakeClient{run: failOn("c")}, config: JoblogConfig{Resume: true}}
	if _, err := l.run(t, "a b c d"); !errors.Is(err, batch.ErrHalted) {
		t.Fatalf("got %v, want ErrHalted", err)
	}
	l.client.run = nil
	change(t, filepath.Join(l.dir, "out"), "A\n")
	if _, err := l.run(t, "a b c d"); !errors.Is(err, ErrOutputGone) {
		t.Errorf("with less output: got %v, want ErrOutputGone", err)
	}
	l.config.NewOutput = true
	if _, err := l.run(t, "a b c d"); err != nil {
		t.Errorf("with NewOutput: got %v, want no error", err)
	}
	l.checkOutput(t, "A\nD\n")

	l = &logRun{dir: t.TempDir(), files: true, config: JoblogConfig{Resume: true}}
	if _, err := l.run(t, "a b"); err != nil {
		t.Fatal(err)
	}
	change(t, filepath.Join(l.dir, "b.txt"), "")
	if _, err := l.run(t, "a b"); !errors.Is(err, ErrOutputGone) {
		t.Errorf("with an emptied file: got %v, want ErrOutputGone", err)
	}
}

func TestJoblogRefusals(t *testing.T) {
	l := &logRun{dir: t.TempDir()}
	f := openTestFile(t, l.dir, "log", 0)
	out := newTestOutput(t, f)
	if fileID(f) != "" {
		if _, err := OpenJoblog(JoblogConfig{Path: f.Name(), Output: out, Sink: Discard}); !errors.Is(err, ErrJoblogIsOutput) {
			t.Errorf("the log is the output: got %v, want ErrJoblogIsOutput", err)
		}
	}
	log, err := OpenJoblog(JoblogConfig{Path: f.Name(), Sink: Discard})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.run(t, "a"); !errors.Is(err, ErrJoblogHeld) {
		t.Errorf("the log is in use: got %v, want ErrJoblogHeld", err)
	}
	log.Close()
	if _, err := l.run(t, "a"); err != nil {
		t.Errorf("the log is free again: got %v, want no error", err)
	}
	if _, err := f.WriteString("no log\n"); err != nil {
		t.Fatal(err)
	}
	l.config.Resume = true
	if _, err := l.run(t, "a"); !errors.Is(err, batch.ErrNotLog) {
		t.Errorf("the log has other text: got %v, want ErrNotLog", err)
	}
}

// TestOutcomes runs records that end in different ways, and checks the texts for
// the user and the exit code.
func TestOutcomes(t *testing.T) {
	fail := func(t *gearman.Task) error { return &gearman.FailError{} }
	raise := func(t *gearman.Task) error {
		return &gearman.ExceptionError{Data: []byte("oh no\ngm-exit: 3 (exit status 3)\n")}
	}
	warn := func(t *gearman.Task) error {
		t.OnWarning([]byte("careful"))
		t.OnWarning([]byte("gm-exit: 4 (exit status 4)\n"))
		return &gearman.FailError{}
	}
	lost := func(*gearman.Task) error { return gearman.ErrLost }
	tests := []struct {
		name      string
		config    Config
		run       func(*gearman.Task) error
		code      int
		text      string // of the workers
		note, err string
	}{
		{"failed", Config{}, fail, 1, "", "", "failed"},
		{"many failed", Config{Many: true}, fail, 1, "", "record 1: ", "1 of 1 records failed"},
		{"exception", Config{Many: true}, raise, 1, "oh no\n", "record 1: job H:1 failed: exit status 3", "1 of 1"},
		{"exception, propagated", Config{Propagate: true}, raise, 3, "oh no\n", "", "exit status 3"},
		{"warning", Config{Propagate: true}, warn, 4, "careful\n", "", "exit status 4"},
		{"warning is kept", Config{KeepWarnings: true}, warn, 1, "", "", "exit status 4"},
		{"lost", Config{Many: true}, lost, 75, "", "record 1: ", "1 of 1 records failed, 1 of them lost with their server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var texts, notes strings.Builder
			c := tt.config
			c.Sink = Discard
			c.Note = func(text string) { notes.WriteString(text) }
			c.WorkerText = func(text []byte) { texts.Write(text) }
			report, err := New(c).Run(t.Context(), &batch.Batch{Client: &fakeClient{run: tt.run}, Task: gearman.Task{Function: "f"}}, words("a"))
			if err != nil {
				t.Fatal(err)
			}
			if report.Code != tt.code || report.Err() == nil || !strings.Contains(report.Err().Error(), tt.err) {
				t.Errorf("got code %d, %v, want %d, %q", report.Code, report.Err(), tt.code, tt.err)
			}
			if texts.String() != tt.text {
				t.Errorf("got text %q of the worker, want %q", texts.String(), tt.text)
			}
			if got := notes.String(); !strings.HasPrefix(got, tt.note) || tt.note == "" && got != "" {
				t.Errorf("got note %q, want %q", got, tt.note)
			}
		})
	}
}

// brokenSink fails one record.
type brokenSink struct {
	Sink
	seq int
}

func (s brokenSink) End(r *batch.Record, _ *Outcome) error {
	if r.Seq == s.seq {
		return &RecordError{errors.New("it does not fit")}
	}
	return nil
}

func TestRecordError(t *testing.T) {
	report, err := New(Config{Sink: brokenSink{Discard, 2}, Many: true}).
		Run(t.Context(), &batch.Batch{Client: &fakeClient{}, Task: gearman.Task{Function: "f"}}, words("a b c"))
	if err != nil {
		t.Fatal(err)
	}
	if report.Records != 3 || report.Failed != 1 || fmt.Sprint(report.First) != "it does not fit" {
		t.Errorf("got %+v, want the second of three records to fail", report)
	}
}
