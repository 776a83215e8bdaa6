package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// rowsOf returns the rows of an admin command that answers JSON.
func rowsOf[T any](p *peer, cmd string) (rows []T) {
	p.t.Helper()
	for _, line := range p.list(cmd) {
		var row T
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			p.t.Fatalf("%s: row %s: %v", cmd, line, err)
		}
		rows = append(rows, row)
	}
	return rows
}

func mustEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v\nwant %+v", what, got, want)
	}
}

// TestMethodsReturnTheRowsOfTheCommands compares the methods that list with the
// admin commands, for all kinds of jobs.
func TestMethodsReturnTheRowsOfTheCommands(t *testing.T) {
	t.Parallel()
	s, addr := start(t, server.Config{Store: newJournal(), KeepResults: time.Hour, Version: "1.2"})
	c, w, p := dial(t, addr), worker(t, addr, "f"), dial(t, addr)
	w.send(req(wire.SetClientID, "the worker"))
	dead := dies(c, w, "gone", "dead payload")
	running := c.submit(wire.SubmitJobBG, "f", "u1", "x")
	w.grab()
	w.send(req(wire.WorkStatus, running, "1", "3"))
	w.sync()
	waiting := c.submit(wire.SubmitJobHighBG, "f", "u2", "waiting payload")
	delayed := c.submit(wire.SubmitJobEpoch, "g", "", fmt.Sprint(time.Now().Add(time.Hour).Unix()), "later")

	ctx := t.Context()
	stats, functions, err := s.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	counters := rowsOf[server.ServerStats](p, "stats")[0]
	stats.UptimeMS, counters.UptimeMS = 0, 0
	mustEqual(t, "server", stats, counters)
	for i, want := range rowsOf[server.FunctionStats](p, "stats")[1:] {
		functions[i].OldestMS, want.OldestMS = 0, 0
		mustEqual(t, "function", functions[i], want)
	}
	steady := func(rows []server.Job) []server.Job {
		for i := range rows {
			rows[i].AgeMS, rows[i].RunningMS = 0, 0
		}
		return rows
	}
	jobs, next, err := s.Jobs(ctx, server.JobFilter{}, "", 0)
	if err != nil || next != "" {
		t.Fatalf("got cursor %q, %v", next, err)
	}
	mustEqual(t, "jobs", steady(jobs), steady(rowsOf[server.Job](p, "jobs")))
	deadJobs, _, err := s.Jobs(ctx, server.JobFilter{Function: "f", State: server.StateDead}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	mustEqual(t, "dead jobs", steady(deadJobs), steady(rowsOf[server.Job](p, "jobs f dead")))
	for _, handle := range []string{dead, running, waiting, delayed} {
		job, err := s.Job(handle)
		if err != nil {
			t.Fatal(err)
		}
		mustEqual(t, "job", steady([]server.Job{job}), steady([]server.Job{server.Job(p.job(handle))}))
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, row := range workers {
		lines = append(lines, strings.TrimSuffix(string(wire.WorkerInfo(row).Append(nil)), "\n"))
	}
	mustEqual(t, "workers", lines, p.list("workers"))
	sessions, err := s.Sessions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := rowsOf[server.Session](p, "sessions")
	for i := range want {
		sessions[i].AgeMS, want[i].AgeMS = 0, 0
	}
	mustEqual(t, "sessions", sessions, want)
	for handle, want := range map[string]string{dead: "dead payload", waiting: "waiting payload", delayed: "later"} {
		job, payload, err := s.Payload(ctx, handle)
		if err != nil || string(payload) != want || job.Size != len(want) {
			t.Errorf("payload of %s: got %q, size %d, %v, want %q", handle, payload, job.Size, err, want)
		}
	}
	w.send(req(wire.WorkComplete, running, "its result"))
	w.sync()
	outcome, data, err := s.Result(running)
	if err != nil || outcome.State != server.OutcomeCompleted || string(data) != "its result" {
		t.Errorf("result: got %+v %q, %v", outcome, data, err)
	}
}

// TestJobsGoesOnFromACursor lists jobs in pages, filtered and not, dead and not.
func TestJobsGoesOnFromACursor(t *testing.T) {
	t.Parallel()
	s, addr := start(t, server.Config{})
	c, w := dial(t, addr), worker(t, addr, "f")
	var dead, ofF, ofG []string
	for range 5 {
		dead = append(dead, dies(c, w, "", ""))
	}
	w.Close()
	for range 5 {
		ofF = append(ofF, c.submit(wire.SubmitJobBG, "f", "", ""))
		ofG = append(ofG, c.submit(wire.SubmitJobBG, "g", "", ""))
	}
	var both []string
	for i := range ofF {
		both = append(both, ofF[i], ofG[i])
	}
	for _, tt := range []struct {
		filter server.JobFilter
		want   []string
	}{
		{server.JobFilter{}, both},
		{server.JobFilter{Function: "g"}, ofG},
		{server.JobFilter{Function: "f", State: server.StateWaiting}, ofF},
		{server.JobFilter{State: server.StateRunning}, nil},
		{server.JobFilter{State: server.StateDead}, dead},
		{server.JobFilter{Function: "f", State: server.StateDead}, dead},
		{server.JobFilter{Function: "g", State: server.StateDead}, nil},
	} {
		for _, n := range []int{1, 2, 3, 5, 100} {
			var got []string
			calls := 0
			for cursor, more := "", true; more; calls++ {
				jobs, next, err := s.Jobs(t.Context(), tt.filter, cursor, n)
				if err != nil || len(jobs) > n {
					t.Fatalf("%+v: got %d jobs, %v, want at most %d", tt.filter, len(jobs), err, n)
				}
				for _, j := range jobs {
					got = append(got, j.Handle)
				}
				cursor, more = next, next != ""
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%+v, %d at a time: got %q, want %q", tt.filter, n, got, tt.want)
			}
			if most := len(tt.want)/n + 1; calls > most {
				t.Errorf("%+v, %d at a time: %d calls, want at most %d", tt.filter, n, calls, most)
			}
		}
	}
}

// TestMethodsChange makes each change, and looks at the state afterwards.
func TestMethodsChange(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		t.Run(fmt.Sprintf("with a store %v", kept), func(t *testing.T) {
			cfg := server.Config{}
			if kept {
				cfg.Store = newJournal()
			}
			testMethodsChange(t, cfg)
		})
	}
}

func testMethodsChange(t *testing.T, cfg server.Config) {
	s, addr := start(t, cfg)
	c, w := dial(t, addr), worker(t, addr, "f")
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	function := func(name string) *server.FunctionStats {
		t.Helper()
		_, functions, err := s.Stats(ctx)
		must(err)
		for i := range functions {
			if functions[i].Function == name {
				return &functions[i]
			}
		}
		return nil
	}
	count := func(what string, got int, err error, want int) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", what, got, err, want)
		}
	}

	must(s.Create(ctx, "new"))
	if function("new") == nil {
		t.Error("the new function is not there")
	}
	must(s.Limit(ctx, "new", [3]int{1, 2, 3}))
	must(s.Pause(ctx, "new"))
	must(s.SetPolicy(ctx, "new", &server.Policy{Retries: 3, MinWait: 500 * time.Millisecond, MaxWait: time.Second}))
	if f := function("new"); f.MaxQueue != [3]int{1, 2, 3} || !f.Paused || f.Policy != "3,500ms..1s" {
		t.Errorf("got %+v", f)
	}
	if p, err := s.Policy("new"); err != nil || *p != (server.Policy{Retries: 3, MinWait: 500 * time.Millisecond, MaxWait: time.Second}) {
		t.Errorf("got policy %+v, %v", p, err)
	}
	must(s.Resume(ctx, "new"))
	must(s.SetPolicy(ctx, "new", nil))
	if f := function("new"); f.Paused || f.Policy != "" {
		t.Errorf("got %+v", f)
	}
	c.submit(wire.SubmitJobBG, "new", "", "")
	n, err := s.Drop(ctx, "new")
	count("drop", n, err, 1)
	if f := function("new"); f != nil {
		t.Errorf("the dropped function is there: %+v", f)
	}

	first, second := c.submit(wire.SubmitJobBG, "f", "", ""), c.submit(wire.SubmitJobBG, "f", "", "")
	must(s.Front(ctx, second))
	if got := w.grab(); got != second {
		t.Errorf("got %s, want the job that was moved to the front, %s", got, second)
	}
	must(s.Cancel(ctx, first))
	if _, err := s.Job(first); !errors.Is(err, server.ErrUnknownJob) {
		t.Errorf("a cancelled job: got %v", err)
	}
	if runsOn, err := s.CancelRunning(ctx, second); err != nil || !runsOn {
		t.Errorf("got %v, %v for a worker that stops nothing", runsOn, err)
	}
	w.send(req(wire.WorkComplete, second, ""), req(wire.OptionReq, wire.OptionCancel))
	w.want(`OPTION_RES *`)
	third := c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	if runsOn, err := s.CancelRunning(ctx, third); err != nil || runsOn {
		t.Errorf("got %v, %v for a worker that stops jobs", runsOn, err)
	}
	w.want(`WORK_FAIL handle="` + third + `"`)
	w.send(req(wire.WorkFail, third))
	w.sync()

	dead := dies(c, w, "", "x")
	must(s.Retry(ctx, dead))
	if got := w.grab(); got != dead {
		t.Errorf("got %s, want the retried job %s", got, dead)
	}
	w.send(req(wire.WorkFail, dead))
	w.sync()
	dies(c, w, "", "y")
	n, err = s.RetryAll(ctx, "f")
	count("retry", n, err, 2)
	n, err = s.Purge(ctx, "f")
	count("purge", n, err, 2)
	dies(c, w, "", "z")
	n, err = s.PurgeDead(ctx, "f")
	count("purge dead", n, err, 1)
	if stats, _, err := s.Stats(ctx); err != nil || stats.Jobs != 0 {
		t.Errorf("got %d jobs, %v, want none", stats.Jobs, err)
	}
}

// TestMethodsReturnErrors checks the errors that the methods promise.
func TestMethodsReturnErrors(t *testing.T) {
	t.Parallel()
	s, addr := start(t, server.Config{})
	c, w := dial(t, addr), worker(t, addr, "f")
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	ctx := t.Context()
	over, cancel := context.WithCancelCause(ctx)
	reason := errors.New("enough")
	cancel(reason)
	ignore := func(_ any, err error) error { return err }
	jobs := func(ctx context.Context, f server.JobFilter, cursor string) error {
		_, _, err := s.Jobs(ctx, f, cursor, 10)
		return err
	}
	for name, tt := range map[string]struct {
		got  error
		want error  // nil if text says all
		text string // that the error has
	}{
		"cancel":            {s.Cancel(ctx, "H:x:1"), server.ErrUnknownJob, "cancel job H:x:1: unknown job"},
		"cancel running":    {ignore(s.CancelRunning(ctx, "H:x:1")), server.ErrUnknownJob, "stop job H:x:1: "},
		"front of none":     {s.Front(ctx, "H:x:1"), server.ErrUnknownJob, ""},
		"front of running":  {s.Front(ctx, h), server.ErrNotWaiting, "front job " + h + ": the job is running"},
		"retry":             {s.Retry(ctx, h), server.ErrUnknownJob, ""},
		"job":               {ignore(s.Job("H:x:1")), server.ErrUnknownJob, "job H:x:1: "},
		"cursor":            {jobs(ctx, server.JobFilter{}, "what"), server.ErrUnknownJob, "jobs: "},
		"cursor of dead":    {jobs(ctx, server.JobFilter{State: server.StateDead}, h), server.ErrUnknownJob, "jobs: "},
		"state":             {jobs(ctx, server.JobFilter{State: "ill"}, ""), nil, `state "ill" is none of waiting, `},
		"pause":             {s.Pause(ctx, "g h"), server.ErrNoFunction, `pause function "g\x20h": function not found`},
		"resume":            {s.Resume(ctx, "g"), server.ErrNoFunction, ""},
		"policy":            {ignore(s.Policy("g")), server.ErrNoFunction, ""},
		"purge":             {ignore(s.Purge(ctx, "g")), server.ErrNoFunction, "purge function g: "},
		"drop of none":      {ignore(s.Drop(ctx, "g")), server.ErrNoFunction, ""},
		"drop of busy":      {ignore(s.Drop(ctx, "f")), server.ErrInUse, ""},
		"create":            {s.Create(ctx, ""), nil, "empty function name"},
		"limit":             {s.Limit(ctx, "f", [3]int{0, -1, 0}), nil, "maxqueue f 0 -1 0: a limit must not be negative"},
		"retries":           {s.SetPolicy(ctx, "f", &server.Policy{Retries: -2}), nil, "retries -2"},
		"waits":             {s.SetPolicy(ctx, "f", &server.Policy{MinWait: 2 * time.Millisecond, MaxWait: time.Millisecond}), nil, "from 2ms to 1ms"},
		"ended stats":       {ignore2(s.Stats(over)), reason, "stats: enough"},
		"ended purge":       {ignore(s.Purge(over, "f")), reason, ""},
		"ended wait":        {s.Wait(over, []string{h}, nil), reason, ""},
		"wait without jobs": {s.Wait(ctx, nil, nil), nil, ""},
	} {
		switch {
		case tt.want == nil && tt.text == "":
			if tt.got != nil {
				t.Errorf("%s: got %v, want no error", name, tt.got)
			}
		case tt.got == nil || tt.want != nil && !errors.Is(tt.got, tt.want) || !strings.Contains(tt.got.Error(), tt.text):
			t.Errorf("%s: got %v, want %v with %q", name, tt.got, tt.want, tt.text)
		}
	}
	s.Close()
	for name, got := range map[string]error{
		"stats": ignore2(s.Stats(ctx)), "jobs": jobs(ctx, server.JobFilter{}, ""), "job": ignore(s.Job(h)),
		"cancel": s.Cancel(ctx, h), "purge": ignore(s.Purge(ctx, "f")), "wait": s.Wait(ctx, []string{h}, nil),
		"wait without jobs": s.Wait(ctx, nil, nil),
	} {
		if !errors.Is(got, server.ErrClosed) {
			t.Errorf("%s on a closed server: got %v", name, got)
		}
	}
}

func ignore2(_, _ any, err error) error { return err }

// TestMethodsReturnWhenTheChangeIsStored: a change that a method has made is in
// the store, or its error says that it is not.
func TestMethodsReturnWhenTheChangeIsStored(t *testing.T) {
	t.Parallel()
	errOf := func(_ int, err error) error { return err }
	for name, change := range map[string]func(ctx context.Context, s *server.Server, waiting, dead string) error{
		"cancel": func(ctx context.Context, s *server.Server, waiting, _ string) error { return s.Cancel(ctx, waiting) },
		"retry":  func(ctx context.Context, s *server.Server, _, dead string) error { return s.Retry(ctx, dead) },
		"retry all": func(ctx context.Context, s *server.Server, _, _ string) error {
			return errOf(s.RetryAll(ctx, "f"))
		},
		"purge":      func(ctx context.Context, s *server.Server, _, _ string) error { return errOf(s.Purge(ctx, "f")) },
		"purge dead": func(ctx context.Context, s *server.Server, _, _ string) error { return errOf(s.PurgeDead(ctx, "f")) },
		"pause":      func(ctx context.Context, s *server.Server, _, _ string) error { return s.Pause(ctx, "f") },
		"create":     func(ctx context.Context, s *server.Server, _, _ string) error { return s.Create(ctx, "new") },
		"limit": func(ctx context.Context, s *server.Server, _, _ string) error {
			return s.Limit(ctx, "f", [3]int{100, 100, 100})
		},
		"policy": func(ctx context.Context, s *server.Server, _, _ string) error {
			return s.SetPolicy(ctx, "f", &server.Policy{Retries: 1})
		},
	} {
		for _, refused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s refused %v", name, refused), func(t *testing.T) {
				t.Parallel()
				st, gate := newJournal(), make(chan error)
				var hold atomic.Bool // the next batch waits for the gate
				st.fail = func(int) error {
					if hold.CompareAndSwap(true, false) {
						return <-gate
					}
					return nil
				}
				var log logs
				s, addr := start(t, server.Config{Store: st, Logger: log.logger(0)})
				c, w := dial(t, addr), worker(t, addr, "f")
				dead := dies(c, w, "", "x")
				waiting := c.submit(wire.SubmitJobBG, "f", "", "y")
				eventually(t, "the jobs are stored", func() bool { return st.keys() == "dead" })
				before := st.copied()
				hold.Store(true)
				ended := make(chan error, 1)
				go func() { ended <- change(t.Context(), s, waiting, dead) }()
				log.wait(t, "changed", "program")
				select {
				case err := <-ended:
					t.Fatalf("it ended with %v before the store had the change", err)
				default:
				}
				if refused {
					gate <- errAway
				} else {
					gate <- nil
				}
				switch err := <-ended; {
				case refused && (!errors.Is(err, server.ErrNotStored) || !errors.Is(err, errAway)):
					t.Errorf("got %v, want %v", err, server.ErrNotStored)
				case !refused && err != nil:
					t.Error(err)
				case !refused && st.payloads(t) == before.payloads(t) && st.keys() == before.keys():
					t.Errorf("the store has no change: %s, %s", st.payloads(t), st.keys())
				}
			})
		}
	}
}

// TestMethodsTakePages: the server serves others while a method walks many jobs.
func TestMethodsTakePages(t *testing.T) {
	t.Parallel()
	for name, walk := range map[string]func(ctx context.Context, s *server.Server) (int, error){
		"jobs": func(ctx context.Context, s *server.Server) (int, error) {
			jobs, _, err := s.Jobs(ctx, server.JobFilter{}, "", 10*manyRows)
			return len(jobs), err
		},
		"purge": func(ctx context.Context, s *server.Server) (int, error) { return s.Purge(ctx, "f") },
		"drop":  func(ctx context.Context, s *server.Server) (int, error) { return s.Drop(ctx, "f") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := start(t, server.Config{})
			other := dial(t, addr)
			submitMany(t, other, "f", manyRows)
			var pages atomic.Int32
			s.OnPage(func() {
				pages.Add(1)
				other.sync()
			})
			n, err := walk(t.Context(), s)
			if err != nil || n != manyRows {
				t.Errorf("got %d, %v, want %d", n, err, manyRows)
			}
			if n := int(pages.Load()); n < manyRows/server.PageSteps {
				t.Errorf("it took %d pages", n)
			}
		})
	}
}

// TestAPolicyWithoutWaitsStaysSo: the store keeps that there are no waits, though
// a policy that names none has waits.
func TestAPolicyWithoutWaitsStaysSo(t *testing.T) {
	t.Parallel()
	st := newJournal()
	s, addr := start(t, server.Config{Store: st})
	if err := s.SetPolicy(t.Context(), "method", &server.Policy{Retries: 3}); err != nil {
		t.Fatal(err)
	}
	if got := dial(t, addr).line("policy function command 2,0s"); got != "OK" {
		t.Fatal(got)
	}
	s.Close()
	s, _ = start(t, server.Config{Store: st})
	for function, want := range map[string]server.Policy{"method": {Retries: 3}, "command": {Retries: 2}} {
		if got, err := s.Policy(function); err != nil || *got != want {
			t.Errorf("%s: got %+v, %v, want %+v", function, got, err, want)
		}
	}
}

// TestWaitCallsWithEachOutcome waits for jobs that run, have ended, are dead and
// are unknown.
func TestWaitCallsWithEachOutcome(t *testing.T) {
	t.Parallel()
	s, addr := start(t, server.Config{KeepResults: time.Hour})
	c, w := dial(t, addr), worker(t, addr, "f")
	dead := dies(c, w, "", "")
	ended := c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	w.send(req(wire.WorkComplete, ended, "r"))
	w.sync()
	running := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	told, result := make(chan server.Outcome), make(chan error, 1)
	go func() {
		result <- s.Wait(t.Context(), []string{running, dead, ended, "H:test:1"}, func(o server.Outcome) { told <- o })
	}()
	got := map[string]server.OutcomeState{}
	for range 3 {
		o := <-told
		got[o.Handle] = o.State
	}
	w.send(req(wire.WorkFail, running))
	o := <-told
	got[o.Handle] = o.State
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	mustEqual(t, "outcomes", got, map[string]server.OutcomeState{
		dead: server.OutcomeDead, ended: server.OutcomeCompleted, "H:test:1": server.OutcomeUnknown, running: server.OutcomeFailed,
	})
}

// TestFollowCallsWithEachEvent follows a job from before its worker to its end.
func TestFollowCallsWithEachEvent(t *testing.T) {
	t.Parallel()
	s, addr := start(t, server.Config{KeepResults: time.Hour})
	c, w := dial(t, addr), worker(t, addr, "f")
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	w.send(req(wire.WorkData, h, "early "))
	w.sync()
	type followed struct {
		outcome server.Outcome
		err     error
	}
	events, result := make(chan string), make(chan followed, 1)
	go func() {
		outcome, err := s.Follow(t.Context(), h, func(e server.FollowEvent) {
			events <- fmt.Sprintf("%s %s %d/%d", e.Event, e.Data, e.Numerator, e.Denominator)
		})
		result <- followed{outcome, err}
	}()
	want := func(event string) {
		t.Helper()
		if got := <-events; got != event {
			t.Errorf("got event %q, want %q", got, event)
		}
	}
	want("data early  0/0")
	w.send(req(wire.WorkStatus, h, "1", "2"))
	want("status  1/2")
	w.send(req(wire.WorkWarning, h, "oh"))
	want("warning oh 0/0")
	w.Close()
	want("again  0/0")
	w = worker(t, addr, "f")
	w.grab()
	w.send(req(wire.WorkComplete, h, "late"))
	want("data late 0/0")
	if got := <-result; got.err != nil || got.outcome.State != server.OutcomeCompleted {
		t.Errorf("got %+v", got)
	}
}

// TestASlowFollowHoldsItsWorker: the server keeps no more than 1 MiB for a program
// that is slow, and the program gets all of it.
func TestASlowFollowHoldsItsWorker(t *testing.T) {
	t.Parallel()
	s, addr := start(t, server.Config{})
	c, w := dial(t, addr), worker(t, addr, "f")
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	const pieces, size = 64, 100_000
	begun, goOn := make(chan struct{}, 1), make(chan struct{})
	got := 0
	ended := make(chan error, 1)
	go func() {
		_, err := s.Follow(t.Context(), h, func(e server.FollowEvent) {
			select {
			case begun <- struct{}{}:
			default:
			}
			<-goOn
			got += len(e.Data)
		})
		ended <- err
	}()
	eventually(t, "the job is followed", func() bool { return s.NumFollowers() == 1 })
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range pieces {
			w.Write(req(wire.WorkData, h, strings.Repeat("x", size))) //nolint:errcheck // the test sees what arrives
		}
		w.Write(req(wire.WorkComplete, h, "")) //nolint:errcheck // likewise
	}()
	<-begun
	eventually(t, "the follower is full", func() bool { return s.FollowBytes() > 1<<20 })
	if n := s.FollowBytes(); n > 1<<20+2*size {
		t.Errorf("%d bytes wait for the follower", n)
	}
	close(goOn)
	<-sent
	if err := <-ended; err != nil || got != pieces*size {
		t.Errorf("got %d bytes, %v, want %d", got, err, pieces*size)
	}
}

// TestAnEndedWaitLeavesNothing: Wait and Follow that end early are forgotten.
func TestAnEndedWaitLeavesNothing(t *testing.T) {
	t.Parallel()
	s, addr := start(t, server.Config{})
	h := dial(t, addr).submit(wire.SubmitJobBG, "f", "", "")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- s.Wait(ctx, []string{h, h}, func(server.Outcome) {}) }()
	go func() {
		_, err := s.Follow(ctx, h, func(server.FollowEvent) {})
		ended <- err
	}()
	eventually(t, "the job is waited for", func() bool { return s.NumWaits() == 3 && s.NumFollowers() == 1 })
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	}
	if waits, followers := s.NumWaits(), s.NumFollowers(); waits != 0 || followers != 0 {
		t.Errorf("%d waits and %d followers are left", waits, followers)
	}
}

// TestListsWaitForTheStore: Jobs waits until the store is read, Stats does not, and
// changes that need all jobs are refused.
func TestListsWaitForTheStore(t *testing.T) {
	t.Parallel()
	st := newSlow(1, backlog(3)...)
	s, _ := startLoading(t, server.Config{Store: st})
	<-st.stopped
	stats, _, err := s.Stats(t.Context())
	if err != nil || !stats.Loading {
		t.Errorf("got %+v, %v, want loading", stats, err)
	}
	if _, err := s.Purge(t.Context(), "f"); !errors.Is(err, server.ErrLoading) {
		t.Errorf("purge: got %v, want %v", err, server.ErrLoading)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Jobs(ctx, server.JobFilter{}, "", 10); !errors.Is(err, context.Canceled) {
		t.Errorf("jobs: got %v, want %v", err, context.Canceled)
	}
	listed := make(chan int, 1)
	go func() {
		jobs, _, err := s.Jobs(t.Context(), server.JobFilter{}, "", 10)
		if err != nil {
			t.Error(err)
		}
		listed <- len(jobs)
	}()
	st.goOn <- nil
	if n := <-listed; n != 3 {
		t.Errorf("got %d jobs, want all 3", n)
	}
}
