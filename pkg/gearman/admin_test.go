package gearman

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"

	"gm/pkg/wire"
)

// answers is an admin port that answers each line as in the script, and closes the
// connection if the script has no answer.
func answers(t *testing.T, script map[string]string) Server {
	t.Helper()
	f := newFake(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			var nc net.Conn
			select {
			case nc = <-f.conns:
			case <-stop:
				return
			}
			lines := bufio.NewScanner(nc)
			for lines.Scan() {
				answer := script[lines.Text()]
				if answer == "" {
					break
				}
				io.WriteString(nc, answer)
			}
			nc.Close()
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return f.Server
}

func TestAdminCommands(t *testing.T) {
	s := answers(t, map[string]string{
		"status":            "a b\t5\t2\t3\nERR x\t0\t0\t0\n.\n",
		"prioritystatus":    "f\t1\t2\t3\t4\n.\n",
		"workers":           "31 ::1 me : f g\n32 127.0.0.1 - :\n.\n",
		"show jobs":         "H:1\t2\t0\t1\n.\n",
		"show unique jobs":  "u 1\nu 2\n.\n",
		"version":           "OK 1.1.20\r\n",
		"getpid":            "OK 77\r\n",
		"verbose":           "OK INFO\r\n",
		"create function f": "OK\r\n",
		"drop function f":   "ERR there are still connected workers or executing clients\r\n",
		"maxqueue f":        "OK\r\n",
		"maxqueue f 7":      "OK\r\n",
		"maxqueue f 1 2 3":  "OK\r\n",
		"cancel job H:1":    "OK\r\n",
		"help":              "status - the queues\n.\n",
		"stats":             `{"version":"1","pid":5}` + "\n" + `{"function":"f","high":1}` + "\n.\n",
		"jobs - - 10000":    `{"handle":"H:1","function":"f","new":1}` + "\n.\n",
		"jobs f waiting 3":  ".\n",
		"job H:1":           `{"handle":"H:1"}` + "\n.\n",
		"job H:2":           "ERR UNKNOWN_JOB\r\n",
		"sessions":          `{"fd":3}` + "\n.\n",
		"pause function f":  "OK\r\n",
		"resume function f": "ERR UNKNOWN_COMMAND Unknown+server+command\r\n",
		"purge function f":  "OK 12\r\n",
	})
	ctx := context.Background()
	a := NewAdmin(s, Options{})
	defer a.Close()
	check := func(got any, err error, want any) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	ok := func(err error) {
		t.Helper()
		check(nil, err, nil)
	}
	status, err := a.Status(ctx)
	check(status, err, []FunctionStatus{{Function: "a b", Total: 5, Running: 2, Workers: 3}, {Function: "ERR x"}})
	prio, err := a.PriorityStatus(ctx)
	check(prio, err, []PriorityStatus{{Function: "f", High: 1, Normal: 2, Low: 3, Workers: 4}})
	workers, err := a.Workers(ctx)
	if len(workers) != 2 || !reflect.DeepEqual(workers[0], WorkerInfo{FD: 31, Addr: "::1", ID: "me", Functions: []string{"f", "g"}}) {
		t.Errorf("got %+v, %v", workers, err)
	}
	show, err := a.ShowJobs(ctx)
	check(show, err, []JobInfo{{Handle: "H:1", Attempts: 2, Queued: true}})
	uniques, err := a.ShowUniqueJobs(ctx)
	check(uniques, err, []string{"u 1", "u 2"})
	version, err := a.Version(ctx)
	check(version, err, "1.1.20")
	pid, err := a.PID(ctx)
	check(pid, err, 77)
	verbose, err := a.Verbose(ctx)
	check(verbose, err, "INFO")
	ok(a.Create(ctx, "f"))
	ok(a.MaxQueue(ctx, "f"))
	ok(a.MaxQueue(ctx, "f", 7))
	ok(a.MaxQueue(ctx, "f", 1, 2, 3))
	ok(a.CancelJob(ctx, "H:1"))
	ok(a.Pause(ctx, "f"))
	help, err := a.Help(ctx)
	check(help, err, []string{"status - the queues"})
	server, functions, err := a.Stats(ctx)
	check(server, err, ServerStats{Version: "1", PID: 5})
	check(functions, err, []FunctionStats{{Function: "f", High: 1}})
	jobs, err := a.Jobs(ctx, "", "", 0)
	check(jobs, err, []JobDetails{{Handle: "H:1", Function: "f"}})
	jobs, err = a.Jobs(ctx, "f", StateWaiting, 3)
	check(len(jobs), err, 0)
	job, err := a.Job(ctx, "H:1")
	check(job, err, JobDetails{Handle: "H:1"})
	sessions, err := a.Sessions(ctx)
	check(sessions, err, []Session{{FD: 3}})
	purged, err := a.Purge(ctx, "f")
	check(purged, err, 12)

	var said wire.ErrReply
	if err := drop(ctx, a, "f"); !errors.As(err, &said) || !strings.HasPrefix(string(said), "there are still") {
		t.Errorf("got %v", err)
	}
	if err := a.Resume(ctx, "f"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	if _, err := a.Job(ctx, "H:2"); !errors.Is(err, ErrUnknownJob) {
		t.Errorf("got %v, want ErrUnknownJob", err)
	}
	ok(a.Shutdown(ctx, true)) // the server hangs up
	version, err = a.Version(ctx)
	check(version, err, "1.1.20") // on a new connection
}

func TestAdminErrors(t *testing.T) {
	s := answers(t, map[string]string{
		"status":         "f\tmany\t0\t0\n.\n",
		"version":        "1.0 of old\n",
		"getpid":         "OK none\r\n",
		"workers":        strings.Repeat("x", 1<<17) + "\n",
		"jobs - - 10000": "{\n.\n",
		"show jobs":      "ERR UNKNOWN_SHOW_ARGUMENTS\r\n",
	})
	ctx := context.Background()
	a := NewAdmin(s, Options{})
	defer a.Close()
	broken := func(err error) {
		t.Helper()
		var p *ProtocolError
		if !errors.As(err, &p) {
			t.Errorf("got %v, want a ProtocolError", err)
		}
	}
	_, err := a.Status(ctx)
	broken(err)
	_, err = a.PID(ctx)
	broken(err)
	_, err = a.Workers(ctx)
	broken(err)
	_, err = a.Jobs(ctx, "", "", 0)
	broken(err)
	if v, err := a.Version(ctx); v != "1.0 of old" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
	var said wire.ErrReply
	if _, err := a.ShowJobs(ctx); !errors.As(err, &said) {
		t.Errorf("got %v", err)
	}
	if _, err := a.Verbose(ctx); !errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	if err := a.MaxQueue(ctx, "f", 1, 2); err == nil {
		t.Error("two limits are accepted")
	}
	if _, err := NewAdmin(deadAddr(t), Options{}).Status(ctx); !errors.Is(err, ErrNoServer) {
		t.Errorf("got %v, want ErrNoServer", err)
	}
	if _, err := NewAdmin(s, Options{MaxUnique: -1}).Status(ctx); err == nil {
		t.Error("wrong options are accepted")
	}
}

// All jobs are asked for a page at a time, each from the last one of the page
// before.
func TestAdminEachJobPages(t *testing.T) {
	page := func(from, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `{"handle":"H:x:%d"}`+"\n", from+i)
		}
		return b.String() + ".\n"
	}
	a := NewAdmin(answers(t, map[string]string{
		"jobs - - 10000":             page(1, 10000),
		"jobs - - 10000 H:x:10000":   page(10001, 10000),
		"jobs - - 10000 H:x:20000":   page(20001, 5),
		"jobs f dead 10000":          page(1, 10000),
		"jobs f dead 2000 H:x:10000": page(10001, 2000),
		"jobs - - 10000 H:x:20005":   ".\n",
	}), Options{})
	defer a.Close()
	for _, tt := range []struct {
		function string
		state    JobState
		limit    int
		after    Handle
		want     int
	}{
		{"", "", 0, "", 20005},
		{"", "", 0, "H:x:10000", 10005},
		{"f", StateDead, 12000, "", 12000},
		{"", "", 0, "H:x:20005", 0},
	} {
		n := 0
		err := a.EachJob(t.Context(), tt.function, tt.state, tt.limit, tt.after, func(JobDetails) error {
			n++
			return nil
		})
		if err != nil || n != tt.want {
			t.Errorf("%+v: %d jobs, %v", tt, n, err)
		}
	}
	stop := errors.New("stop")
	if err := a.EachJob(t.Context(), "", "", 0, "", func(JobDetails) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the error of f", err)
	}
}

// Names with white space are quoted for gm's server, and not sent to others,
// which would take them for another name.
func TestAdminQuotesNames(t *testing.T) {
	ctx := t.Context()
	gm := NewAdmin(answers(t, map[string]string{
		"help":                            "status   a row a function\n.\n",
		`drop function "a\x20b"`:          "OK\r\n",
		`pause function "\"q\ttab\nline"`: "OK\r\n",
		`create function App\Jobs\Mail`:   "OK\r\n",
		`create function a"b`:             "OK\r\n",
		`create function größe`:           "OK\r\n",
		"status":                          `"a\x20b"` + "\t1\t0\t0\n" + `"\ttab"` + "\t2\t0\t0\n.\n",
		"show unique jobs":                "u 1\n" + `"two\nlines"` + "\n.\n",
	}), Options{})
	defer gm.Close()
	for _, err := range []error{
		drop(ctx, gm, "a b"),
		gm.Pause(ctx, "\"q\ttab\nline"),
		gm.Create(ctx, `App\Jobs\Mail`),
		gm.Create(ctx, `a"b`),
		gm.Create(ctx, "größe"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if got, err := gm.Status(ctx); err != nil || len(got) != 2 || got[0].Function != "a b" || got[1].Function != "\ttab" {
		t.Errorf("status: %+v, %v", got, err)
	}
	if got, err := gm.ShowUniqueJobs(ctx); err != nil || !reflect.DeepEqual(got, []string{"u 1", "two\nlines"}) {
		t.Errorf("uniques: %q, %v", got, err)
	}
	other := NewAdmin(answers(t, map[string]string{
		"help":            "ERR UNKNOWN_COMMAND Unknown+server+commandhelp\r\n",
		"drop function f": "OK\r\n",
	}), Options{})
	defer other.Close()
	for _, f := range []string{"", "a b", "a\nshutdown", "a\x00", "\"f"} {
		if err := drop(ctx, other, f); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%q: got %v, want ErrUnsupported", f, err)
		}
	}
	if err := drop(ctx, other, "f"); err != nil {
		t.Error(err)
	}
}

func TestAdminGivesUp(t *testing.T) {
	f := newFake(t) // never answers
	a := NewAdmin(f.Server, Options{})
	defer a.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	got := make(chan error, 1)
	ask := func() {
		_, err := a.Status(ctx)
		got <- err
	}
	go ask()
	nc := within(t, "a connection", f.conns)
	defer nc.Close()
	because := errors.New("because")
	cancel(because)
	if err := within(t, "status", got); !errors.Is(err, because) {
		t.Errorf("got %v, want the cause", err)
	}
	ctx = context.Background()
	go ask()
	nc2 := within(t, "a connection", f.conns)
	defer nc2.Close()
	a.Close()
	if err := within(t, "status", got); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestStatusOfSeveral(t *testing.T) {
	good := answers(t, map[string]string{"status": "f\t1\t0\t0\n.\n"})
	bad := deadAddr(t)
	got, err := StatusOf(context.Background(), nil, Options{Servers: []Server{good, bad}})
	var each ServerErrors
	if !errors.As(err, &each) || each[bad] == nil || each[good] != nil {
		t.Errorf("got %v", err)
	}
	want := map[Server][]FunctionStatus{good: {{Function: "f", Total: 1}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func drop(ctx context.Context, a *Admin, function string) error {
	_, err := a.Drop(ctx, function)
	return err
}

func TestDropSaysHowManyJobsItDropped(t *testing.T) {
	for reply, want := range map[string]int{"OK\r\n": 0, "OK 3\r\n": 3, "OK many\r\n": -1} {
		a := NewAdmin(answers(t, map[string]string{"drop function f": reply}), Options{})
		defer a.Close()
		n, err := a.Drop(t.Context(), "f")
		if (err != nil) != (want < 0) || n != max(want, 0) {
			t.Errorf("%q: %d, %v, want %d", reply, n, err, want)
		}
	}
}
