package gearman_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/store/storetest"
)

// The same tests against gm's server and against gearmand.

func TestWithServers(t *testing.T) {
	t.Run("gm", func(t *testing.T) {
		s, stop := startServer()
		defer stop()
		testServer(t, s)
	})
	t.Run("gearmand", func(t *testing.T) {
		testServer(t, startGearmand(t))
	})
}

// startGearmand starts Debian's gearmand on a free port.
func startGearmand(t *testing.T) gearman.Server {
	path, err := exec.LookPath("gearmand")
	if err != nil {
		t.Skip("gearmand is not installed (Debian: gearman-job-server)")
	}
	free, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free)
	addr := net.JoinHostPort("127.0.0.1", port)
	log := filepath.Join(t.TempDir(), "gearmand.log")
	cmd := exec.Command(path, "-p", port, "-L", "127.0.0.1", "-l", log)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("gearmand's log:\n%s", text)
		}
	})
	s := gearman.Server{Network: "tcp", Addr: addr}
	a := gearman.NewAdmin(s, gearman.Options{})
	defer a.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); ; {
		select {
		case <-tick.C:
			if _, err := a.Version(t.Context()); err == nil {
				return s
			}
		case <-deadline:
			t.Fatal("gearmand does not answer")
		}
	}
}

func testServer(t *testing.T, s gearman.Server) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	release := make(chan struct{})
	jobs := make(chan *gearman.Job, 100)
	stop := startWorker(s, map[string]gearman.Handler{
		"reverse": reverse,
		"cat":     func(_ context.Context, j *gearman.Job) ([]byte, error) { return j.Payload(), nil },
		"raise": func(context.Context, *gearman.Job) ([]byte, error) {
			return nil, &gearman.Exception{Data: []byte("oh")}
		},
		"fail": func(context.Context, *gearman.Job) ([]byte, error) { return nil, errors.New("no") },
		"held": func(_ context.Context, j *gearman.Job) ([]byte, error) {
			j.SendStatus(1, 3)
			jobs <- j
			<-release
			j.SendData([]byte("da"))
			j.SendWarning([]byte("w"))
			return []byte("ta"), nil
		},
		"reduced": func(_ context.Context, j *gearman.Job) ([]byte, error) {
			return fmt.Appendf(nil, "%s by %s", j.Payload(), j.Reducer()), nil
		},
	})
	defer stop()
	c := newClient(s)
	defer c.Close()
	a := gearman.NewAdmin(s, gearman.Options{})
	defer a.Close()

	t.Run("sizes", func(t *testing.T) {
		for _, n := range []int{0, 1, 8191, 8192, 65480, 65540, 1 << 20, 8 << 20} {
			payload := bytes.Repeat([]byte{0, 1, '\n', 255}, n/4+1)[:n]
			got, err := c.Do(ctx, &gearman.Task{Function: "cat", Payload: payload})
			if err != nil || !bytes.Equal(got.Data, payload) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	})
	t.Run("many at once", func(t *testing.T) {
		set := c.NewSet()
		for i := range 2000 {
			set.Add(&gearman.Task{Function: "cat", Payload: strconv.AppendInt(nil, int64(i), 10), Priority: gearman.Priority(i%3 - 1)})
		}
		if err := set.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		for i, r := range set.Results() {
			if string(r.Data) != strconv.Itoa(i) {
				t.Errorf("task %d: got %q", i, r.Data)
			}
		}
	})
	t.Run("ends", func(t *testing.T) {
		var exception *gearman.ExceptionError
		if _, err := c.Do(ctx, &gearman.Task{Function: "raise"}); !errors.As(err, &exception) || string(exception.Data) != "oh" {
			t.Errorf("got %v", err)
		}
		var fail *gearman.FailError
		if _, err := c.Do(ctx, &gearman.Task{Function: "fail"}); !errors.As(err, &fail) {
			t.Errorf("got %v", err)
		}
		if got, err := c.Do(ctx, &gearman.Task{Function: "reduced", Reducer: "sum", Payload: []byte("x")}); err != nil || string(got.Data) != "x by sum" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("coalesced, status", func(t *testing.T) {
		other := newClient(s)
		defer other.Close()
		var running []*gearman.Running
		for _, client := range []*gearman.Client{c, c, other} {
			r, err := client.Start(ctx, &gearman.Task{Function: "held", Unique: "key", Payload: []byte("p")})
			if err != nil {
				t.Fatal(err)
			}
			running = append(running, r)
		}
		job := <-jobs
		for _, r := range running {
			if r.Handle() != job.Handle() {
				t.Errorf("got handle %s, want %s", r.Handle(), job.Handle())
			}
		}
		if job.Unique() != "key" {
			t.Errorf("got unique %q", job.Unique())
		}
		status, err := other.Status(ctx, job.Handle())
		if err != nil || !status.Known || !status.Running {
			t.Errorf("got %+v, %v", status, err)
		}
		status, err = c.StatusUnique(ctx, "key")
		if err != nil || !status.Known || status.Clients != 3 {
			t.Errorf("got %+v, %v", status, err)
		}
		close(release)
		for i, r := range running {
			if got, err := r.Wait(ctx); err != nil || string(got.Data) != "data" {
				t.Errorf("client %d: got %+v, %v", i, got, err)
			}
		}
		if status, err := c.Status(ctx, job.Handle()); err != nil || status.Known {
			t.Errorf("after the end: got %+v, %v", status, err)
		}
	})
	t.Run("delayed", func(t *testing.T) {
		_, err := c.Background(ctx, &gearman.Task{Function: "held", At: time.Now(), Payload: []byte("later")})
		if err != nil {
			t.Fatal(err)
		}
		// gearmand does not wake workers when a job is due: others must.
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case j := <-jobs:
				if string(j.Payload()) != "later" {
					t.Errorf("got %q", j.Payload())
				}
				return
			case <-tick.C:
				if _, err := c.Do(ctx, &gearman.Task{Function: "cat"}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	t.Run("order of functions", func(t *testing.T) { testOrder(ctx, t, s, c) })
	t.Run("admin", func(t *testing.T) {
		if _, err := c.Ping(ctx, s); err != nil {
			t.Error(err)
		}
		var waiting []gearman.Handle
		for range 2 {
			h, err := c.Background(ctx, &gearman.Task{Function: "nobody"})
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, h)
		}
		rows, err := a.Status(ctx)
		found := false
		for _, row := range rows {
			found = found || row == gearman.FunctionStatus{Function: "nobody", Total: 2}
		}
		if !found {
			t.Errorf("got %+v, %v", rows, err)
		}
		if err := a.MaxQueue(ctx, "nobody", 2); err != nil {
			t.Error(err)
		}
		var refused *gearman.ServerError
		if _, err := c.Background(ctx, &gearman.Task{Function: "nobody"}); !errors.As(err, &refused) || !refused.QueueFull() {
			t.Errorf("got %v, want a full queue", err)
		}
		if v, err := a.Version(ctx); err != nil || v == "" {
			t.Errorf("got %q, %v", v, err)
		}
		if pid, err := a.PID(ctx); err != nil || pid == 0 {
			t.Errorf("got %d, %v", pid, err)
		}
		if _, err := a.Verbose(ctx); err != nil {
			t.Error(err)
		}
		shown, err := a.ShowJobs(ctx)
		for _, h := range waiting { // others may be about to end
			if !slices.ContainsFunc(shown, func(j gearman.JobInfo) bool { return j.Handle == h && j.Queued }) {
				t.Errorf("%s does not wait in %+v, %v", h, shown, err)
			}
		}
		if _, err := a.ShowUniqueJobs(ctx); err != nil {
			t.Error(err)
		}
		for _, j := range shown {
			if err := a.CancelJob(ctx, gearman.Handle(j.Handle)); err != nil {
				t.Error(err)
			}
		}
		workers, err := a.Workers(ctx)
		able := 0
		for _, w := range workers {
			if len(w.Functions) == 6 {
				able++
			}
		}
		if err != nil || able != 4 {
			t.Errorf("got %d of 4 slots in %+v, %v", able, workers, err)
		}
		if _, err := a.PriorityStatus(ctx); err != nil {
			t.Error(err)
		}
		created := a.Create(ctx, "made")
		_, dropped := a.Drop(ctx, "made")
		if err := errors.Join(created, dropped); err != nil {
			t.Error(err)
		}
		if _, err := a.Drop(ctx, "cat"); err == nil {
			t.Error("a function with workers was dropped")
		}
		if _, _, err := a.Stats(ctx); err != nil && !errors.Is(err, gearman.ErrUnsupported) {
			t.Error(err)
		}
		if _, err := a.Job(ctx, "H:none:1"); !errors.Is(err, gearman.ErrUnsupported) && !errors.Is(err, gearman.ErrUnknownJob) {
			t.Error(err)
		}
	})
}

// testOrder sees that a worker gets the jobs of the function first that it was
// given first.
func testOrder(ctx context.Context, t *testing.T, s gearman.Server, c *gearman.Client) {
	names := []string{"urgent", "usual", "bulk"}
	for _, name := range []string{"bulk", "usual", "urgent", "bulk", "usual", "urgent"} {
		if _, err := c.Background(ctx, &gearman.Task{Function: name}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: []gearman.Server{s}}, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 6)
	for _, name := range names {
		if err := w.Handle(name, func(context.Context, *gearman.Job) ([]byte, error) {
			done <- name
			return nil, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	var got []string
	for range 6 {
		select {
		case name := <-done:
			got = append(got, name)
		case <-ctx.Done():
			t.Fatalf("%v, and then nothing", got)
		}
	}
	w.Stop()
	running.Wait()
	if want := []string{"urgent", "urgent", "usual", "usual", "bulk", "bulk"}; !slices.Equal(got, want) {
		t.Errorf("jobs come in the order %v, want %v", got, want)
	}
}

// A job that goes back must be done by another worker, or later by the same.
func TestErrRetryIsDoneAgain(t *testing.T) {
	s, stop := startServer()
	defer stop()
	var mu sync.Mutex
	tries := 0
	defer startWorker(s, map[string]gearman.Handler{
		"f": func(context.Context, *gearman.Job) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries < 3 {
				return nil, fmt.Errorf("busy: %w", gearman.ErrRetry)
			}
			return []byte("done"), nil
		},
	})()
	c := newClient(s)
	defer c.Close()
	got, err := c.Do(t.Context(), &gearman.Task{Function: "f", Timeout: 20 * time.Second})
	if err != nil || string(got.Data) != "done" || got.Attempts != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Clients that know several servers must meet at the one of the unique.
func TestUniqueChoosesTheServer(t *testing.T) {
	first, stopFirst := startServer()
	defer stopFirst()
	second, stopSecond := startServer()
	defer stopSecond()
	o := gearman.Options{Servers: []gearman.Server{first, second}}
	used := map[gearman.Server]int{}
	for i := range 40 {
		var homes []gearman.Server
		for range 2 {
			c, err := gearman.NewClient(o)
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.Start(t.Context(), &gearman.Task{Function: "f", Unique: strings.Repeat("k", i+1)})
			if err != nil {
				t.Fatal(err)
			}
			homes = append(homes, r.Server())
			c.Close()
			o.Servers[0], o.Servers[1] = o.Servers[1], o.Servers[0]
		}
		if homes[0] != homes[1] {
			t.Errorf("key %d: at %v and %v", i, homes[0], homes[1])
		}
		used[homes[0]]++
	}
	if used[first] < 5 || used[second] < 5 {
		t.Errorf("got keys %v", used)
	}
}

// With ten workers and a client that goes on, a server that is restarted loses only
// the running jobs.
func TestServerRestart(t *testing.T) {
	s, stop := startServer()
	for range 3 {
		defer startWorker(s, map[string]gearman.Handler{"reverse": reverse})()
	}
	c := newClient(s)
	defer c.Close()
	for i := range 200 {
		if i == 50 || i == 120 {
			stop()
			_, stop = startServerAt(s.Addr)
		}
		task := &gearman.Task{Function: "reverse", Payload: []byte("abc"), Retries: 10, Timeout: 30 * time.Second}
		if got, err := c.Do(t.Context(), task); err != nil || string(got.Data) != "cba" {
			t.Fatalf("task %d: got %+v, %v", i, got, err)
		}
	}
	stop()
}
