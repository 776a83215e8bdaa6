package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gm/pkg/gearman"
)

// A client gets the words of a program that fails, and a line with its code.
func TestFailureReachesTheClient(t *testing.T) {
	o := startServer(t)
	const script = "echo why >&2; exit 3"
	const want = "why\ngm-exit: 3 (exit status 3)\n"
	startWorker(t, Config{Options: o, Functions: []string{"fails"}, Shell: true, Command: []string{script}})
	startWorker(t, Config{Options: o, Functions: []string{"raises"}, Shell: true, Command: []string{script}, Exception: true})
	client := newClient(t, o)

	var warning string
	var fail *gearman.FailError
	_, err := client.Do(context.Background(), &gearman.Task{
		Function: "fails", OnWarning: func(text []byte) { warning = string(text) },
	})
	if !errors.As(err, &fail) || warning != want {
		t.Errorf("got %v and the warning %q, want a failure and %q", err, warning, want)
	}
	var raised *gearman.ExceptionError
	if _, err = client.Do(context.Background(), &gearman.Task{Function: "raises"}); !errors.As(err, &raised) || string(raised.Data) != want {
		t.Errorf("got %v, want an exception with %q", err, want)
	}
}

// OnStart and OnEnd are called for each job, with the error that ends it.
func TestEventsOfJobs(t *testing.T) {
	o := startServer(t)
	var started atomic.Int64
	ends := make(chan string, 3)
	flag := filepath.Join(t.TempDir(), "flag")
	startWorker(t, Config{
		Options: o, Functions: []string{"f"}, Shell: true,
		Command: []string{`case $(cat) in good) ;; again) test -e ` + flag + ` || { touch ` + flag + `; exit 75; };; *) exit 9;; esac`},
		OnStart: func(*gearman.Job) { started.Add(1) },
		OnEnd: func(j *gearman.Job, err error) {
			ends <- fmt.Sprintf("%s: retry %t, %v", j.Payload(), errors.Is(err, gearman.ErrRetry), err)
		},
	})
	client := newClient(t, o)
	for _, tt := range []struct {
		payload string
		ends    []string
	}{
		{"good", []string{"good: retry false, <nil>"}},
		{"bad", []string{"bad: retry false, exit status 9"}},
		{"again", []string{"again: retry true, job goes back to the queue: exit status 75", "again: retry false, <nil>"}},
	} {
		client.Do(context.Background(), &gearman.Task{Function: "f", Payload: []byte(tt.payload)})
		for _, want := range tt.ends {
			if got := wait(t, ends); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	if n := started.Load(); n != 4 {
		t.Errorf("got %d starts, want 4", n)
	}
}

// Stop before Run ends it at once, without a server.
func TestStopBeforeRun(t *testing.T) {
	w, err := New(Config{
		Options:   gearman.Options{Servers: []gearman.Server{{Network: "unix", Addr: filepath.Join(t.TempDir(), "none")}}},
		Functions: []string{"f"}, Command: []string{"cat"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	if err := w.Run(context.Background()); err != nil {
		t.Error(err)
	}
}

// A worker that starts afresh works for the servers that Reload returns, and goes on
// with those it has if that fails.
func TestRestart(t *testing.T) {
	first, second := startServer(t), startServer(t)
	type reloaded struct {
		servers []gearman.Server
		err     error
	}
	reload := make(chan reloaded, 1)
	w, ended := startWorker(t, Config{
		Options: first, Functions: []string{"f"}, Command: []string{"cat"}, MaxJobs: 3,
		Reload: func() ([]gearman.Server, error) {
			select {
			case r := <-reload:
				return r.servers, r.err
			default:
				return nil, errors.New("not expected")
			}
		},
	})
	do := func(o gearman.Options) {
		t.Helper()
		if res, err := newClient(t, o).Do(context.Background(), &gearman.Task{Function: "f", Payload: []byte("in")}); err != nil || string(res.Data) != "in" {
			t.Fatalf("got %v, %v", res, err)
		}
	}
	do(first)
	reload <- reloaded{err: errors.New("unreadable")}
	w.Restart()
	do(first)
	reload <- reloaded{servers: second.Servers}
	w.Restart()
	do(second)
	if err := wait(t, ended); err != nil { // after MaxJobs of all connections together
		t.Error(err)
	}
}

// A Restart or a Stop during Reload is not lost.
func TestRestartAndStopDuringReload(t *testing.T) {
	o := startServer(t)
	var w *Worker
	reloads := 0
	w, err := New(Config{
		Options: o, Functions: []string{"f"}, Command: []string{"cat"},
		Reload: func() ([]gearman.Server, error) {
			if reloads++; reloads < 3 {
				w.Restart()
			} else {
				w.Stop()
			}
			return nil, nil // keeps the servers
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Restart()
	if err := w.Run(context.Background()); err != nil || reloads != 3 {
		t.Errorf("got %d reloads, %v, want 3", reloads, err)
	}
}

// After Stop a worker does not start afresh, and Restart does nothing.
func TestStopEndsARestart(t *testing.T) {
	o := startServer(t)
	for name, stop := range map[string]func(*Worker){
		"restart, stop": func(w *Worker) { w.Restart(); w.Stop() },
		"stop, restart": func(w *Worker) { w.Stop(); w.Restart() },
	} {
		w, ended := startWorker(t, Config{
			Options: o, Functions: []string{"f"}, Command: []string{"cat"},
			Reload: func() ([]gearman.Server, error) {
				t.Errorf("%s: the worker starts afresh", name)
				return o.Servers, nil
			},
		})
		stop(w)
		if err := wait(t, ended); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Kill ends a program that ignores SIGTERM, and the job goes back to its queue.
func TestKill(t *testing.T) {
	o := startServer(t)
	ready, ends := make(chan struct{}, 1), make(chan error, 1)
	w, ended := startWorker(t, Config{
		Options: o, Functions: []string{"f"}, Shell: true, KillAfter: patience, Lines: true,
		Command: []string{"trap '' TERM; echo ready; while :; do sleep 60; done"},
		OnEnd:   func(_ *gearman.Job, err error) { ends <- err },
	})
	client := newClient(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		client.Do(ctx, &gearman.Task{Function: "f", OnData: func([]byte) { ready <- struct{}{} }})
	}()
	wait(t, ready)
	if n := w.Running(); n != 1 {
		t.Errorf("got %d running jobs, want 1", n)
	}
	w.Kill()
	w.Kill() // a second time does nothing
	if err := wait(t, ends); !errors.Is(err, gearman.ErrRetry) {
		t.Errorf("the job ends with %v, want %v", err, gearman.ErrRetry)
	}
	if err := wait(t, ended); err != nil {
		t.Error(err)
	}
	cancel()
	wait(t, done)
}

// A payload that cannot be written ends the worker with the error, and its job goes
// back to the queue.
func TestOutputThatCannotBeWritten(t *testing.T) {
	o := startServer(t)
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r.Close()
	client := newClient(t, o)
	for range 3 {
		if _, err := client.Background(context.Background(), &gearman.Task{Function: "f", Payload: []byte("in")}); err != nil {
			t.Fatal(err)
		}
	}
	_, ended := startWorker(t, Config{Options: o, Functions: []string{"f"}, Output: out})
	if err := wait(t, ended); err == nil || !strings.Contains(err.Error(), "pipe") {
		t.Errorf("got %v, want a broken pipe", err)
	}
	var payloads strings.Builder
	_, ended = startWorker(t, Config{Options: o, Functions: []string{"f"}, Output: &payloads, UntilEmpty: true})
	if err := wait(t, ended); err != nil || payloads.String() != "ininin" {
		t.Errorf("got %q, %v, want 3 payloads", payloads.String(), err)
	}
}

// Functions with programs of their own share the slots with those of Command.
func TestCommandsOfFunctions(t *testing.T) {
	o := startServer(t)
	startWorker(t, Config{
		Options: o, Functions: []string{"same", "upper"}, Command: []string{"cat"},
		Commands: map[string][]string{"upper": {"tr", "a-z", "A-Z"}},
	})
	client := newClient(t, o)
	for function, want := range map[string]string{"same": "in", "upper": "IN"} {
		if res, err := client.Do(context.Background(), &gearman.Task{Function: function, Payload: []byte("in")}); err != nil || string(res.Data) != want {
			t.Errorf("%s: got %v, %v, want %s", function, res, err, want)
		}
	}
}

// The attempt of a job is known also after its server was started again.
func TestAttemptAfterARestartOfTheServer(t *testing.T) {
	addr, stop := startServerAt(t, "127.0.0.1:0")
	o := gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: addr}}, MaxBackoff: 10 * time.Millisecond}
	startWorker(t, Config{
		Options: o, Functions: []string{"f"}, Shell: true, Command: []string{`echo "attempt $GM_ATTEMPT"`}, Attempts: true,
	})
	for range 2 {
		res, err := newClient(t, o).Do(context.Background(), &gearman.Task{Function: "f"})
		if err != nil || string(res.Data) != "attempt 1\n" {
			t.Fatalf("got %v, %v, want attempt 1", res, err)
		}
		stop()
		_, stop = startServerAt(t, addr)
	}
}
