package gearman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/wire"
)

func TestPipelineMatchesAnswersInOrder(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	a := startAsync(t, c, &Task{Function: "f", Payload: []byte("1")})
	b := startAsync(t, c, &Task{Function: "f", Payload: []byte("2"), Priority: High})
	d := startAsync(t, c, &Task{Function: "f", Payload: []byte("3"), Background: true, Priority: Low})
	e := startAsync(t, c, &Task{Function: "f", Payload: []byte("4"), Unique: "u"})

	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "1")
	s.expect(wire.SubmitJobHigh, "f", "", "2")
	s.expect(wire.SubmitJobLowBG, "f", "", "3")
	s.expect(wire.SubmitJob, "f", "u", "4")
	s.send(wire.JobCreated, "H:a")
	s.send(wire.Error, "QUEUE_ERROR", "Job queue is full")
	s.send(wire.JobCreated, "H:d")
	s.send(wire.JobCreated, "H:e")
	s.send(wire.WorkComplete, "H:e", "four")
	s.send(wire.WorkComplete, "H:a", "one")

	for _, x := range []struct {
		r            *Running
		handle, data string
	}{{a, "H:a", "one"}, {d, "H:d", ""}, {e, "H:e", "four"}} {
		got, err := end(t, x.r)
		if err != nil || got.Handle != Handle(x.handle) || string(got.Data) != x.data || got.Server != f.Server || got.Attempts != 1 {
			t.Errorf("got %+v, %v, want %s %q", got, err, x.handle, x.data)
		}
	}
	_, err := end(t, b)
	var refused *ServerError
	if !errors.As(err, &refused) || !refused.QueueFull() || refused.Text != "Job queue is full" {
		t.Errorf("got %v, want the server's ERROR", err)
	}
}

func TestSameHandleTwice(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	s1 := startAsync(t, c, &Task{Function: "f", Unique: "u"})
	s2 := startAsync(t, c, &Task{Function: "f", Unique: "u"})
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "u", "")
	s.expect(wire.SubmitJob, "f", "u", "")
	s.send(wire.JobCreated, "H:1")
	s.send(wire.WorkData, "H:1", "early ") // before the second joins
	for _, twice := range []struct {
		typ  wire.Type
		args []string
	}{
		{wire.JobCreated, []string{"H:1"}},
		{wire.WorkData, []string{"H:1", "a"}},
		{wire.WorkData, []string{"H:1", "b"}},
		{wire.WorkComplete, []string{"H:1", "c"}},
	} {
		s.send(twice.typ, twice.args...)
		if twice.typ != wire.JobCreated {
			s.send(twice.typ, twice.args...)
		}
	}
	for i, want := range []string{"early abc", "abc"} {
		got, err := end(t, []*Running{s1, s2}[i])
		if err != nil || string(got.Data) != want {
			t.Errorf("task %d: got %+v, %v, want %q", i, got, err, want)
		}
	}
}

// A task that was given up must leave its place in the order of answers.
func TestGivenUpTaskKeepsItsPlace(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	ctx, cancel := context.WithCancelCause(context.Background())
	gone, err := c.StartAsync(ctx, &Task{Function: "f", Unique: "u"})
	if err != nil {
		t.Fatal(err)
	}
	stays := startAsync(t, c, &Task{Function: "f", Unique: "u"})
	because := errors.New("because")
	cancel(because)
	if _, err := end(t, gone); !errors.Is(err, because) {
		t.Errorf("got %v, want the cause", err)
	}
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "u", "")
	s.expect(wire.SubmitJob, "f", "u", "")
	s.send(wire.JobCreated, "H:1")
	s.send(wire.JobCreated, "H:1")
	s.send(wire.WorkData, "H:1", "for one")
	s.send(wire.WorkData, "H:1", "for two")
	s.send(wire.WorkComplete, "H:1", "")
	s.send(wire.WorkComplete, "H:1", "")
	if got, err := end(t, stays); err != nil || string(got.Data) != "for two" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestServerWithoutExceptions(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	r := startAsync(t, c, &Task{Function: "f"})
	s := f.accept()
	s.expect(wire.OptionReq, "exceptions")
	s.expect(wire.SubmitJob, "f", "", "")
	s.send(wire.Error, "unknown_option", "Server does not recognize given option")
	s.send(wire.JobCreated, "H:1")
	s.send(wire.WorkComplete, "H:1", "x")
	if got, err := end(t, r); err != nil || string(got.Data) != "x" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestLostInMidJob(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	created := startAsync(t, c, &Task{Function: "f"})
	waiting := startAsync(t, c, &Task{Function: "f", Background: true})
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "")
	s.expect(wire.SubmitJobBG, "f", "", "")
	s.send(wire.JobCreated, "H:1")
	within(t, "JOB_CREATED", created.Created())
	s.close()
	for _, r := range []*Running{created, waiting} {
		if _, err := end(t, r); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), f.Addr) {
			t.Errorf("got %v, want ErrLost of %s", err, f.Addr)
		}
	}
	again, s := f.startAfterLoss(c, &Task{Function: "f"})
	s.expect(wire.SubmitJob, "f", "", "")
	s.send(wire.JobCreated, "H:2")
	s.send(wire.WorkComplete, "H:2", "back")
	if got, err := end(t, again); err != nil || string(got.Data) != "back" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNoServer(t *testing.T) {
	a, b := deadAddr(t), Server{"unix", t.TempDir() + "/none.sock"}
	c := testClient(t, Options{Servers: []Server{a, b}})
	task, log := logTask()
	start := time.Now()
	_, err := c.Do(context.Background(), task)
	if !errors.Is(err, ErrNoServer) {
		t.Fatalf("got %v, want ErrNoServer", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	for _, want := range []string{a.Addr + ": connect: connection refused", "unix:" + b.Addr + ": connect: no such file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not contain %q", err, want)
		}
	}
	var each ServerErrors
	if !errors.As(err, &each) || each[a] == nil || each[b] == nil {
		t.Errorf("got %v, want an error of each server", err)
	}
	if got := log(); len(got) != 1 || got[0] != "fail "+err.Error() {
		t.Errorf("got callbacks %q", got)
	}
}

func TestFailover(t *testing.T) {
	dead, f := deadAddr(t), newFake(t)
	var dials []string
	var mu sync.Mutex
	o := Options{Servers: []Server{dead, f.Server}, MinBackoff: time.Hour, MaxBackoff: time.Hour}
	full, _ := o.withDefaults()
	o.Dial = countDials(full.Dial, &mu, &dials)
	c := testClient(t, o)
	var s *peer
	for i := range 2 {
		r := startAsync(t, c, &Task{Function: "f"})
		if s == nil {
			s = f.acceptClient()
		}
		s.expect(wire.SubmitJob, "f", "", "")
		s.send(wire.JobCreated, fmt.Sprint("H:", i))
		s.send(wire.WorkComplete, fmt.Sprint("H:", i), "")
		if got, err := end(t, r); err != nil || got.Server != f.Server {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{dead.Addr, f.Addr}; !reflect.DeepEqual(dials, want) {
		t.Errorf("got dials %q, want %q: the dead server is to be avoided", dials, want)
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	r := startAsync(t, c, &Task{Function: "f", Retries: 9})
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "")
	asked := make(chan error, 1)
	go func() {
		_, err := c.Status(context.Background(), "H:9")
		asked <- err
	}()
	s.expect(wire.GetStatus, "H:9")
	c.Close()
	if _, err := end(t, r); !errors.Is(err, ErrClosed) || errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := within(t, "status", asked); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if _, err := c.Do(context.Background(), &Task{Function: "f"}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	s.expectEnd()
}

func TestSet(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	set := c.NewSet()
	set.Add(&Task{Function: "f", Payload: []byte("0")})
	set.Add(&Task{Function: ""})
	set.Add(&Task{Function: "g", Payload: []byte("2")})
	waited := make(chan error, 1)
	go func() { waited <- set.Wait(context.Background()) }()
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "0")
	s.expect(wire.SubmitJob, "g", "", "2")
	s.send(wire.JobCreated, "H:0")
	s.send(wire.JobCreated, "H:2")
	s.send(wire.WorkFail, "H:2")
	s.send(wire.WorkComplete, "H:0", "zero")
	err := within(t, "the set", waited)
	var fail *FailError
	if !errors.As(err, &fail) || fail.Handle != "H:2" || !strings.Contains(err.Error(), "task 2 (g)") {
		t.Errorf("got %v", err)
	}
	results, errs := set.Results(), set.Errors()
	if len(results) != 3 || string(results[0].Data) != "zero" || results[1] != nil || results[2] != nil {
		t.Errorf("got %v", results)
	}
	if errs[0] != nil || errs[1] == nil || errs[2] == nil {
		t.Errorf("got %v", errs)
	}
}

func TestStatus(t *testing.T) {
	f, g := newFake(t), newFake(t)
	c := clientOf(t, f, g)
	answers := make(chan Status, 1)
	ask := func(f func(context.Context) (Status, error)) {
		go func() {
			s, err := f(context.Background())
			if err != nil {
				t.Error(err)
			}
			answers <- s
		}()
	}
	ask(func(ctx context.Context) (Status, error) { return c.Status(ctx, "H:7") })
	s1 := f.acceptClient()
	s1.expect(wire.GetStatus, "H:7")
	s1.send(wire.StatusRes, "H:7", "0", "0", "0", "0")
	s2 := g.acceptClient()
	s2.expect(wire.GetStatus, "H:7")
	s2.send(wire.StatusRes, "H:7", "1", "1", "3", "4")
	want := Status{Handle: "H:7", Server: g.Server, Known: true, Running: true, Numerator: 3, Denominator: 4}
	if got := within(t, "status", answers); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}

	long := strings.Repeat("x", 200)
	ask(func(ctx context.Context) (Status, error) { return c.StatusUnique(ctx, long) })
	s1.expect(wire.GetStatusUnique, sum([]byte(long)))
	s1.send(wire.StatusResUnique, sum([]byte(long)), "1", "0", "0", "0", "2")
	want = Status{Unique: sum([]byte(long)), Server: f.Server, Known: true, Clients: 2}
	if got := within(t, "status", answers); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}

	// A job of this client is asked for where it is.
	r := startAsync(t, c, &Task{Function: "f", Background: true})
	s1.expect(wire.SubmitJobBG, "f", "", "")
	s1.send(wire.JobCreated, "H:8")
	end(t, r)
	ask(func(ctx context.Context) (Status, error) { return c.Status(ctx, "H:8") })
	s1.expect(wire.GetStatus, "H:8")
	s1.send(wire.StatusRes, "H:8", "0", "0", "0", "0")
	if got := within(t, "status", answers); got.Known || got.Server != f.Server {
		t.Errorf("got %+v", got)
	}
}

func TestPing(t *testing.T) {
	f, other := newFake(t), newFake(t)
	c := clientOf(t, f)
	pinged := make(chan error, 1)
	ping := func(s Server) {
		go func() {
			_, err := c.Ping(context.Background(), s)
			pinged <- err
		}()
	}
	answer := func(p *peer, change string) {
		_, args := p.read()
		p.send(wire.EchoRes, args[0]+change)
	}
	ping(f.Server)
	answer(f.acceptClient(), "")
	if err := within(t, "ping", pinged); err != nil {
		t.Error(err)
	}
	ping(other.Server)
	answer(other.accept(), "!")
	var broken *ProtocolError
	if err := within(t, "ping", pinged); !errors.As(err, &broken) {
		t.Errorf("got %v, want a ProtocolError", err)
	}
	if _, err := c.Ping(context.Background(), deadAddr(t)); !errors.Is(err, ErrNoServer) {
		t.Errorf("got %v, want ErrNoServer", err)
	}
}

func TestBrokenServer(t *testing.T) {
	header := func(typ wire.Type, size int) string {
		return string(wire.AppendHeader(nil, wire.Response, typ, size))
	}
	tests := []struct{ name, send string }{
		{"another protocol", "HTTP/1.1 400 Bad Request\r\n"},
		{"request magic", "\x00REQ\x00\x00\x00\x08\x00\x00\x00\x03H:1"},
		{"unknown type", "\x00RES\x00\x00\x00\x63\x00\x00\x00\x00"},
		{"a request as response", "\x00RES\x00\x00\x00\x07\x00\x00\x00\x02\x00\x00"},
		{"size of 4 GB", "\x00RES\x00\x00\x00\x08\xff\xff\xff\xff"},
		{"size over the limit", header(wire.StatusRes, 1<<20+1<<17) + "H:1\x00"},
		{"argument missing", header(wire.WorkStatus, 3) + "H:1"},
		{"JOB_CREATED too many", header(wire.JobCreated, 3) + "H:1" + header(wire.JobCreated, 3) + "H:2"},
		{"empty handle", header(wire.JobCreated, 0)},
		{"handle of 1 MB", header(wire.JobCreated, 1<<20) + strings.Repeat("h", 1<<20)},
		{"for workers", header(wire.NoJob, 0)},
		{"unasked status", string(wire.AppendString(nil, wire.Response, wire.StatusRes, "H:1", "1", "1", "0", "0"))},
		{"unasked echo", header(wire.EchoRes, 1) + "x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			c := testClient(t, Options{Servers: []Server{f.Server}, MaxPayload: 1 << 20})
			r := startAsync(t, c, &Task{Function: "f"})
			s := f.acceptClient()
			s.expect(wire.SubmitJob, "f", "", "")
			io.WriteString(s.nc, tt.send) // the client may hang up in the middle
			_, err := end(t, r)
			var broken *ProtocolError
			if !errors.As(err, &broken) || !errors.Is(err, ErrLost) || broken.Server != f.Server {
				t.Errorf("got %v, want a ProtocolError", err)
			}
			s.nc.Close()
		})
	}
}

// A connection that ended before the task was sent costs the task nothing.
func TestSubmitOnAnEndingConnection(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	entered, release := make(chan struct{}), make(chan struct{})
	first := startAsync(t, c, &Task{Function: "f", OnCreated: func(Handle) {
		close(entered)
		<-release
	}})
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "")
	s.send(wire.JobCreated, "H:1")
	within(t, "OnCreated", entered)
	conn, err := c.servers[0].connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	conn.hangUp(errors.New("broken")) // and its reader is busy
	second := make(chan *Running, 1)
	go func() {
		r, err := c.StartAsync(context.Background(), &Task{Function: "g"})
		if err != nil {
			t.Error(err)
		}
		second <- r
	}()
	close(release)
	if _, err := end(t, first); !errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	s = f.acceptClient()
	s.expect(wire.SubmitJob, "g", "", "")
	s.send(wire.JobCreated, "H:2")
	s.send(wire.WorkComplete, "H:2", "")
	if _, err := end(t, within(t, "StartAsync", second)); err != nil {
		t.Error(err)
	}
}

// One line when a server is lost, one when it is back.
func TestLogAndTrace(t *testing.T) {
	f := newFake(t)
	var log, trace strings.Builder
	c, err := NewClient(Options{
		Servers: []Server{f.Server},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})),
		Trace: wire.NewTracer(&trace),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, s := f.startAfterLoss(c, &Task{Function: "f", Payload: []byte("x")})
		s.expect(wire.SubmitJob, "f", "", "x")
		s.close()
		end(t, r)
	}
	c.Close()
	lost := "level=WARN msg=\"server lost\" server=" + f.Addr + " error=\"closed by the server\"\n"
	back := "level=INFO msg=\"server back\" server=" + f.Addr + "\n"
	if want := lost + back + lost; log.String() != want {
		t.Errorf("got\n%swant\n%s", log.String(), want)
	}
	for _, want := range []string{
		f.Addr + ` -> REQ OPTION_REQ option="exceptions"`,
		f.Addr + ` <- RES OPTION_RES option="exceptions"`,
		f.Addr + ` -> REQ SUBMIT_JOB function="f" unique="" workload=1:"x"`,
	} {
		if strings.Count(trace.String(), want+"\n") != 2 {
			t.Errorf("%q is not twice in\n%s", want, trace.String())
		}
	}
}
