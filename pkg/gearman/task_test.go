package gearman

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/wire"
)

func TestCallbacks(t *testing.T) {
	created := []string{"created H:1"}
	tests := []struct {
		name string
		send func(s *peer)
		want []string
		err  any // pointer to the type of error
	}{
		{"complete", func(s *peer) {
			s.send(wire.WorkStatus, "H:1", "1", "2")
			s.send(wire.WorkWarning, "H:1", "careful\x00")
			s.send(wire.WorkData, "H:1", "part")
			s.send(wire.WorkComplete, "H:1", "rest")
		}, []string{"status 1/2", `warning "careful\x00"`, `data "part"`, `complete "rest"`}, nil},
		{
			"fail", func(s *peer) { s.send(wire.WorkFail, "H:1") },
			[]string{"fail job H:1 failed"},
			new(*FailError),
		},
		{
			"fail with a NUL", func(s *peer) { s.raw("\x00RES\x00\x00\x00\x0e\x00\x00\x00\x04H:1\x00") },
			[]string{"fail job H:1 failed"},
			new(*FailError),
		},
		{
			"exception", func(s *peer) { s.send(wire.WorkException, "H:1", "oh") },
			[]string{`exception "oh"`, `fail job H:1 raised an exception: "oh"`},
			new(*ExceptionError),
		},
		{"status that is no number", func(s *peer) {
			s.send(wire.WorkStatus, "H:1", "half", "")
			s.send(wire.WorkComplete, "H:1", "")
		}, []string{"status 0/0", `complete ""`}, nil},
		{"packets about others", func(s *peer) {
			s.send(wire.WorkData, "H:2", "x")
			s.send(wire.WorkFail, "H:2")
			s.send(wire.Noop)
			s.send(wire.WorkComplete, "H:1", "")
		}, []string{`complete ""`}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			c := clientOf(t, f)
			events := make(chan Event, 100)
			task, log := logTask()
			task.Events = events
			r := startAsync(t, c, task)
			s := f.acceptClient()
			s.expect(wire.SubmitJob, "f", "", "")
			s.send(wire.JobCreated, "H:1")
			tt.send(s)
			_, err := end(t, r)
			if want := append(created, tt.want...); !reflect.DeepEqual(log(), want) {
				t.Errorf("got %q, want %q", log(), want)
			}
			if len(events) != len(tt.want)+1 {
				t.Errorf("got %d events, want %d", len(events), len(tt.want)+1)
			}
			if tt.err == nil && err != nil || tt.err != nil && !errors.As(err, tt.err) {
				t.Errorf("got %v, want %T", err, tt.err)
			}
		})
	}
}

// logTask returns a task that notes its callbacks.
func logTask() (*Task, func() []string) {
	var mu sync.Mutex
	var lines []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, fmt.Sprintf(format, args...))
	}
	task := &Task{
		Function:    "f",
		OnCreated:   func(h Handle) { note("created %s", h) },
		OnData:      func(b []byte) { note("data %q", b) },
		OnWarning:   func(b []byte) { note("warning %q", b) },
		OnStatus:    func(n, d int64) { note("status %d/%d", n, d) },
		OnException: func(b []byte) { note("exception %q", b) },
		OnRetry:     func(n int, err error) { note("retry %d %v", n, err) },
		OnComplete:  func(b []byte) { note("complete %q", b) },
		OnFail:      func(err error) { note("fail %v", err) },
	}
	return task, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return lines
	}
}

func TestRetries(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	task, log := logTask()
	task.Retries, task.OnData = 3, nil
	r := startAsync(t, c, task)
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "")
	s.send(wire.JobCreated, "H:1")
	s.send(wire.WorkData, "H:1", "void")
	s.send(wire.WorkFail, "H:1")
	s.expect(wire.SubmitJob, "f", "", "")
	s.send(wire.JobCreated, "H:2")
	s.send(wire.WorkException, "H:2", "oh")
	s.send(wire.WorkFail, "H:2") // some workers send both
	s.expect(wire.SubmitJob, "f", "", "")
	s.send(wire.JobCreated, "H:3")
	s.close()
	s = f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "")
	s.send(wire.JobCreated, "H:4")
	s.send(wire.WorkComplete, "H:4", "good")
	got, err := end(t, r)
	if err != nil || string(got.Data) != "good" || got.Attempts != 4 || got.Handle != "H:4" {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := []string{
		"created H:1", "retry 1 job H:1 failed",
		"created H:2", `exception "oh"`, `retry 2 job H:2 raised an exception: "oh"`,
		"created H:3", "retry 3 connection lost: server " + f.Addr + ": closed by the server",
		"created H:4", `complete "good"`,
	}
	if !reflect.DeepEqual(log(), want) {
		t.Errorf("got %q\nwant %q", log(), want)
	}
}

func TestRetriesUsedUp(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	r := startAsync(t, c, &Task{Function: "f", Retries: 1})
	s := f.acceptClient()
	for _, h := range []string{"H:1", "H:2"} {
		s.expect(wire.SubmitJob, "f", "", "")
		s.send(wire.JobCreated, h)
		s.send(wire.WorkFail, h)
	}
	_, err := end(t, r)
	var fail *FailError
	if !errors.As(err, &fail) || fail.Handle != "H:2" || r.Attempts() != 2 {
		t.Errorf("got %v after %d attempts", err, r.Attempts())
	}
}

func TestRefusalIsNotRetried(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	r := startAsync(t, c, &Task{Function: "f", Retries: 5})
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "")
	s.send(wire.Error, "ARGUMENT_TOO_LARGE", "Unique value too large")
	var refused *ServerError
	if _, err := end(t, r); !errors.As(err, &refused) || r.Attempts() != 1 {
		t.Errorf("got %v after %d attempts", err, r.Attempts())
	}
}

func TestTaskIsChecked(t *testing.T) {
	c := testClient(t, Options{Servers: []Server{deadAddr(t)}, MaxPayload: 10})
	later := time.Now().Add(time.Hour)
	tests := []struct {
		task Task
		want string
	}{
		{Task{}, "no function"},
		{Task{Function: "a\x00b"}, "NUL"},
		{Task{Function: "f", Unique: "\x00"}, "NUL"},
		{Task{Function: "f", Reducer: "\x00"}, "NUL"},
		{Task{Function: strings.Repeat("f", 1<<20)}, "over the limit"},
		{Task{Function: "f", Payload: make([]byte, 11)}, "over the limit"},
		{Task{Function: "f", Priority: 7}, "priority(7)"},
		{Task{Function: "f", Reducer: "r", Priority: High}, "normal priority"},
		{Task{Function: "f", At: later}, "background"},
		{Task{Function: "f", At: later, Background: true, Priority: Low}, "normal priority"},
		{Task{Function: "f", Timeout: -1}, "negative"},
		{Task{Function: "f", Retries: -1}, "negative"},
	}
	for _, tt := range tests {
		tt.task.OnFail = func(error) { t.Error("callback of a task that was refused") }
		if _, err := c.Do(context.Background(), &tt.task); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

func TestSubmissionPackets(t *testing.T) {
	at := time.Unix(1_800_000_000, 1)
	long := strings.Repeat("u", 64)
	tests := []struct {
		task Task
		typ  wire.Type
		args []string
	}{
		{Task{}, wire.SubmitJob, []string{"f", "", "x"}},
		{Task{Priority: High}, wire.SubmitJobHigh, []string{"f", "", "x"}},
		{Task{Priority: Low}, wire.SubmitJobLow, []string{"f", "", "x"}},
		{Task{Background: true}, wire.SubmitJobBG, []string{"f", "", "x"}},
		{Task{Background: true, Priority: High}, wire.SubmitJobHighBG, []string{"f", "", "x"}},
		{Task{Background: true, Priority: Low}, wire.SubmitJobLowBG, []string{"f", "", "x"}},
		{Task{Background: true, At: at}, wire.SubmitJobEpoch, []string{"f", "", "1800000001", "x"}},
		{Task{Reducer: "r"}, wire.SubmitReduceJob, []string{"f", "", "r", "", "x"}},
		{Task{Reducer: "r", Background: true}, wire.SubmitReduceJobBG, []string{"f", "", "r", "", "x"}},
		{Task{Unique: "-"}, wire.SubmitJob, []string{"f", "-", "x"}},
		{Task{Unique: "#"}, wire.SubmitJob, []string{"f", sum([]byte("x")), "x"}},
		{Task{Unique: long[1:]}, wire.SubmitJob, []string{"f", long[1:], "x"}},
		{Task{Unique: long}, wire.SubmitJob, []string{"f", sum([]byte(long)), "x"}},
	}
	f := newFake(t)
	c := clientOf(t, f)
	var s *peer
	for _, tt := range tests {
		tt.task.Function, tt.task.Payload = "f", []byte("x")
		startAsync(t, c, &tt.task)
		if s == nil {
			s = f.acceptClient()
		}
		s.expect(tt.typ, tt.args...)
	}
}
