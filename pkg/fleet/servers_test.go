package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gm/pkg/fleet"
	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store/storetest"
)

// patience is the time limit of a request in these tests.
const patience = time.Minute

// startServer starts a job server on a free port, until the test ends.
func startServer(t *testing.T, config server.Config) gearman.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.Serve(l)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return gearman.Server{Network: "tcp", Addr: l.Addr().String()}
}

// closedServer returns an address at which nothing listens.
func closedServer(t *testing.T) gearman.Server {
	t.Helper()
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return gearman.Server{Network: "tcp", Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
}

func optionsOf(servers ...gearman.Server) gearman.Options { return gearman.Options{Servers: servers} }

// submitJobs adds background jobs to a server, and returns their handles.
func submitJobs(t *testing.T, s gearman.Server, tasks ...*gearman.Task) []gearman.Handle {
	t.Helper()
	client, err := gearman.NewClient(optionsOf(s))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var handles []gearman.Handle
	for _, task := range tasks {
		task.Background = true
		result, err := client.Do(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, result.Handle)
	}
	return handles
}

// runWorker runs a worker of the function f, until the test ends.
func runWorker(t *testing.T, s gearman.Server, f gearman.Handler) {
	t.Helper()
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: optionsOf(s)})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle("f", f); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(context.Background())
	}()
	t.Cleanup(func() {
		w.Stop()
		<-ended
	})
}

func echo(_ context.Context, j *gearman.Job) ([]byte, error) { return j.Payload(), nil }

// A server that does not answer is absent; the others have their answers. Without any
// answer the error names every server once.
func TestSplitLeavesOutServersThatFail(t *testing.T) {
	a, gone, alsoGone := startServer(t, server.Config{}), closedServer(t), closedServer(t)
	submitJobs(t, a, &gearman.Task{Function: "f"})
	answers, absent, err := fleet.Split(fleet.Ask(t.Context(), optionsOf(a, gone), patience, fleet.FunctionsOf))
	if err != nil || len(answers) != 1 || answers[0].Server != a || len(absent) != 1 || absent[0].Server != gone.String() {
		t.Fatalf("answers %+v, absent %+v, %v", answers, absent, err)
	}
	if strings.Contains(absent[0].Error, "no server could be reached") {
		t.Errorf("reason %q, want that of the server only", absent[0].Error)
	}
	rows := fleet.MergeFunctions(answers, false, nil)
	if len(rows) != 1 || rows[0].Function != "f" || rows[0].Waiting != 1 || rows[0].State != fleet.FunctionNoWorkers {
		t.Errorf("got %+v", rows)
	}
	_, _, err = fleet.Split(fleet.Ask(t.Context(), optionsOf(gone, alsoGone), patience, fleet.FunctionsOf))
	if !errors.Is(err, gearman.ErrNoServer) {
		t.Fatalf("without servers: %v", err)
	}
	for _, part := range []string{"no server could be reached", gone.String() + ":", alsoGone.String() + ":"} {
		if n := strings.Count(err.Error(), part); n != 1 {
			t.Errorf("%q is %d times in %q, want once", part, n, err)
		}
	}
}

// JoinErrors reports the failure of a change on one of several servers.
func TestJoinErrorsOfAChange(t *testing.T) {
	a, gone := startServer(t, server.Config{}), closedServer(t)
	create := func(ctx context.Context, admin *gearman.Admin) (struct{}, error) {
		return struct{}{}, admin.Create(ctx, "f")
	}
	if err := fleet.JoinErrors(fleet.Ask(t.Context(), optionsOf(a), patience, create)); err != nil {
		t.Error(err)
	}
	err := fleet.JoinErrors(fleet.Ask(t.Context(), optionsOf(a, gone), patience, create))
	if err == nil || !strings.Contains(err.Error(), gone.String()) || strings.Contains(err.Error(), a.String()) {
		t.Errorf("got %v, want an error of %v", err, gone)
	}
}

// The text of each error has the address of its server once.
func TestAskNamesTheServer(t *testing.T) {
	a := gearman.Server{Network: "tcp", Addr: "a:1"}
	for _, test := range []struct{ text, want string }{
		{"full", "server a:1: full"},
		{"a:1 is full", "a:1 is full"},
	} {
		answers := fleet.Ask(t.Context(), optionsOf(a), patience, func(context.Context, *gearman.Admin) (int, error) { return 0, errors.New(test.text) })
		if got := answers[0].Err.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestExpandNames(t *testing.T) {
	a := startServer(t, server.Config{})
	submitJobs(t, a, &gearman.Task{Function: "img/small"}, &gearman.Task{Function: "img/large"}, &gearman.Task{Function: "pdf"})
	admin := gearman.NewAdmin(a, gearman.Options{})
	defer admin.Close()
	for _, test := range []struct{ patterns, want string }{
		{"img*", "img/large img/small"},
		{"pdf new", "new pdf"},
		{"img* *small pdf", "img/large img/small pdf"},
		{"x*", "x*: no function matches"},
	} {
		names, err := fleet.ExpandNames(t.Context(), admin, strings.Fields(test.patterns))
		slices.Sort(names)
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.patterns, got, test.want)
		}
	}
}

// A selection finds jobs by their function and by a text in unique or payload, and
// changes them one by one.
func TestSelection(t *testing.T) {
	a := startServer(t, server.Config{})
	h := submitJobs(t, a,
		&gearman.Task{Function: "img", Unique: "cat", Payload: []byte("1")},
		&gearman.Task{Function: "img", Payload: []byte("a cat")},
		&gearman.Task{Function: "img", Payload: []byte("a dog")},
		&gearman.Task{Function: "pdf", Payload: []byte("cat")})
	admin := gearman.NewAdmin(a, gearman.Options{})
	defer admin.Close()
	for _, test := range []struct {
		selection fleet.Selection
		want      []gearman.Handle
	}{
		{fleet.Selection{Function: "img"}, h[:3]},
		{fleet.Selection{Function: "img", Match: "cat"}, h[:2]},
		{fleet.Selection{Function: "*", Match: "cat", Timeout: patience}, []gearman.Handle{h[0], h[1], h[3]}},
		{fleet.Selection{Function: "x*"}, nil},
	} {
		got, err := test.selection.Jobs(t.Context(), admin, gearman.StateWaiting)
		slices.Sort(got)
		slices.Sort(test.want)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%+v: got %v, %v, want %v", test.selection, got, err, test.want)
		}
	}
	cats := &fleet.Selection{Function: "*", Match: "cat"}
	if n, err := cats.Change(t.Context(), admin, (*gearman.Admin).CancelJob, gearman.StateWaiting); n != 3 || err != nil {
		t.Errorf("cancelled %d jobs, %v, want 3", n, err)
	}
	left, err := fleet.ListJobs(t.Context(), admin, "*", "", 0)
	if err != nil || len(left) != 1 || left[0].Handle != h[2] || left[0].Server != a.String() {
		t.Errorf("left %+v, %v, want %s", left, err, h[2])
	}
	found, err := fleet.ChangeHandles(t.Context(), admin, h[1:3], (*gearman.Admin).CancelJob)
	if err != nil || !slices.Equal(found, []bool{false, true}) {
		t.Errorf("cancelled %v, %v, want the second", found, err)
	}
}

func TestFindJob(t *testing.T) {
	a := startServer(t, server.Config{})
	h := submitJobs(t, a, &gearman.Task{Function: "f", Payload: []byte("text")}, &gearman.Task{Function: "f", Payload: []byte{0xff}})
	admin := gearman.NewAdmin(a, gearman.Options{})
	defer admin.Close()
	job, err := fleet.FindJob(t.Context(), gearman.Options{}, admin, h[0])
	if err != nil || job == nil || job.Function != "f" || job.Size != 4 || job.Payload != nil || job.Partial {
		t.Errorf("got %+v, %v", job, err)
	}
	if job, err := fleet.FindJob(t.Context(), gearman.Options{}, admin, "H:none:1"); job != nil || err != nil {
		t.Errorf("unknown: got %+v, %v", job, err)
	}
	if job, err := fleet.FindPayload(t.Context(), admin, h[0]); err != nil || job == nil || *job.Payload != "text" {
		t.Errorf("got %+v, %v", job, err)
	}
	if job, err := fleet.FindPayload(t.Context(), admin, h[1]); err != nil || job == nil || job.Payload != nil || !slices.Equal(job.PayloadBase64, []byte{0xff}) {
		t.Errorf("got %+v, %v", job, err)
	}
	if job, err := fleet.FindPayload(t.Context(), admin, "H:none:1"); job != nil || err != nil {
		t.Errorf("unknown: got %+v, %v", job, err)
	}
}

// outcomes collects the calls of a Wait as text, with names for servers and handles.
type outcomes struct {
	names map[string]string
	lines []string
}

func (o *outcomes) add(s gearman.Server, outcome gearman.Outcome) error {
	o.lines = append(o.lines, fmt.Sprintf("%s %s %s", o.names[s.Addr], o.names[string(outcome.Handle)], outcome.State))
	return nil
}

// Wait reports the jobs of several servers, and a job that no server knows once.
func TestWaitForJobsOfSeveralServers(t *testing.T) {
	kept := server.Config{KeepResults: time.Hour}
	a, b := startServer(t, kept), startServer(t, kept)
	runWorker(t, a, echo)
	runWorker(t, b, echo)
	onA, onB := submitJobs(t, a, &gearman.Task{Function: "f"}), submitJobs(t, b, &gearman.Task{Function: "other"}, &gearman.Task{Function: "f"})
	handles := []gearman.Handle{onA[0], onB[1], "H:none:9", onA[0]}
	o := &outcomes{names: map[string]string{"": "-", a.Addr: "a", b.Addr: "b", string(onA[0]): "job1", string(onB[1]): "job2", "H:none:9": "job3"}}
	absent, err := fleet.Wait(t.Context(), optionsOf(a, b), handles, o.add)
	slices.Sort(o.lines)
	want := []string{"- job3 unknown", "a job1 completed", "b job2 completed"}
	if err != nil || absent != nil || !slices.Equal(o.lines, want) {
		t.Errorf("got %q, absent %v, %v, want %q", o.lines, absent, err, want)
	}
}

// A server that cannot be reached counts as one without the jobs.
func TestWaitNamesAbsentServers(t *testing.T) {
	a, gone := startServer(t, server.Config{KeepResults: time.Hour}), closedServer(t)
	o := &outcomes{names: map[string]string{"": "-", "H:none:9": "job"}}
	absent, err := fleet.Wait(t.Context(), optionsOf(a, gone), []gearman.Handle{"H:none:9"}, o.add)
	if err != nil || len(absent) != 1 || absent[0].Server != gone.String() || !slices.Equal(o.lines, []string{"- job unknown"}) {
		t.Errorf("got %q, absent %v, %v", o.lines, absent, err)
	}
	_, err = fleet.Wait(t.Context(), optionsOf(gone), []gearman.Handle{"H:none:9"}, o.add)
	if !errors.Is(err, gearman.ErrNoServer) || len(o.lines) != 1 {
		t.Errorf("without servers: %v, %q", err, o.lines)
	}
}

// An error of the caller ends the requests to all servers, although the job of one of
// them has not ended.
func TestWaitStopsAtAnErrorOfItsCaller(t *testing.T) {
	a, b := startServer(t, server.Config{KeepResults: time.Hour}), startServer(t, server.Config{})
	runWorker(t, a, echo)
	ended, waiting := submitJobs(t, a, &gearman.Task{Function: "f"}), submitJobs(t, b, &gearman.Task{Function: "f"}, &gearman.Task{Function: "f"})
	full := errors.New("disk is full")
	_, err := fleet.Wait(t.Context(), optionsOf(a, b), []gearman.Handle{ended[0], waiting[1]}, func(gearman.Server, gearman.Outcome) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

// Follow follows a job on the server that has it, and stops asking the others.
func TestFollow(t *testing.T) {
	a, b := startServer(t, server.Config{}), startServer(t, server.Config{})
	followed := make(chan struct{})
	runWorker(t, b, func(_ context.Context, j *gearman.Job) ([]byte, error) {
		if err := j.SendStatus(1, 2); err != nil {
			return nil, err
		}
		<-followed
		return []byte("rest"), j.SendData([]byte("part"))
	})
	h := submitJobs(t, b, &gearman.Task{Function: "other"}, &gearman.Task{Function: "f"})[1]
	var events []string
	ended, absent, err := fleet.Follow(t.Context(), optionsOf(a, b), h, func(s gearman.Server, event gearman.FollowEvent) error {
		events = append(events, fmt.Sprintf("%t %s %d/%d %s", s == b, event.Event, event.Numerator, event.Denominator, event.Data))
		if event.Event == gearman.FollowStatus {
			close(followed)
		}
		return nil
	})
	want := []string{"true status 1/2 ", "true data 0/0 part", "true data 0/0 rest"}
	if err != nil || absent != nil || ended.Server != b || ended.Value.State != gearman.OutcomeCompleted || !slices.Equal(events, want) {
		t.Errorf("got %+v with %q, absent %v, %v, want %q", ended, events, absent, err, want)
	}
	gone := closedServer(t)
	ended, absent, err = fleet.Follow(t.Context(), optionsOf(a, gone), "H:none:9", func(gearman.Server, gearman.FollowEvent) error { return nil })
	if err != nil || ended.Value.State != gearman.OutcomeUnknown || len(absent) != 1 || absent[0].Server != gone.String() {
		t.Errorf("unknown: got %+v, absent %v, %v", ended, absent, err)
	}
}

// Ping reports each round trip, and goes on after a server that does not answer.
// ResultOf knows the job that waits, the job that has completed, and no other.
func TestResultOf(t *testing.T) {
	s := startServer(t, server.Config{KeepResults: patience})
	handles := submitJobs(t, s, &gearman.Task{Function: "f", Payload: []byte("done")}, &gearman.Task{Function: "g"})
	runWorker(t, s, echo)
	if _, err := fleet.Wait(t.Context(), optionsOf(s), handles[:1], func(gearman.Server, gearman.Outcome) error { return nil }); err != nil {
		t.Fatal(err)
	}
	admin := gearman.NewAdmin(s, optionsOf(s))
	defer admin.Close()
	for _, tc := range []struct {
		handle gearman.Handle
		state  gearman.OutcomeState
		result string
	}{
		{handles[0], gearman.OutcomeCompleted, "done"},
		{handles[1], fleet.OutcomeUnended, ""},
		{"H:x:999", gearman.OutcomeUnknown, ""},
	} {
		var result strings.Builder
		outcome, err := fleet.ResultOf(t.Context(), admin, tc.handle, &result)
		if err != nil || outcome.State != tc.state || outcome.Handle != tc.handle || result.String() != tc.result {
			t.Errorf("%s: got %+v, %q, %v, want state %s and %q", tc.handle, outcome, result.String(), err, tc.state, tc.result)
		}
	}
}

func TestPing(t *testing.T) {
	a, gone := startServer(t, server.Config{}), closedServer(t)
	client, err := gearman.NewClient(optionsOf(a))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var got []string
	err = fleet.Ping(t.Context(), client, []gearman.Server{gone, a}, 2, 0, patience, func(s gearman.Server, round int, took time.Duration, err error) error {
		got = append(got, fmt.Sprint(s == a, round, took > 0, err == nil))
		return nil
	})
	want := []string{"false 1 false false", "true 1 true true", "false 2 false false", "true 2 true true"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	stopped := errors.New("stopped")
	err = fleet.Ping(t.Context(), client, []gearman.Server{a}, 2, time.Hour, patience, func(gearman.Server, int, time.Duration, error) error { return stopped })
	if !errors.Is(err, stopped) {
		t.Errorf("got %v, want %v", err, stopped)
	}
}
