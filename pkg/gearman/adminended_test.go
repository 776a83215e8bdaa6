package gearman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gm/pkg/wire"
)

func TestAdminOfEndedJobs(t *testing.T) {
	s := answers(t, map[string]string{
		"retry job H:1":              "OK\r\n",
		"retry job H:2":              "ERR UNKNOWN_JOB\r\n",
		"retry function f":           "OK 3\r\n",
		"purge dead f":               "OK 0\r\n",
		"policy function f":          "OK 3,1s..5m\r\n",
		"policy function none":       "OK\r\n",
		"policy function f 3,1s..5m": "OK\r\n",
		"policy function f -":        "OK\r\n",
		"policy function f many":     "ERR INVALID_ARGUMENTS many\r\n",
		"wait H:1 H:2": `{"handle":"H:2","state":"unknown","size":0,"kept":false}` + "\n" +
			`{"handle":"H:1","function":"f","state":"dead","error":"no","attempts":4,"ended_ms":5,"size":2,"kept":false}` + "\n.\n",
		"result H:1": `{"handle":"H:1","function":"f","state":"completed","ended_ms":5,"size":9,"kept":true}` + "\n" + "a\x00\n.\nxyz\n" + ".\n",
		"result H:2": `{"handle":"H:2","state":"failed","error":"sorry","size":5,"kept":true}` + "\nsorry.\n",
		"result H:3": "ERR UNKNOWN_JOB\r\n",

		"job H:1 payload": `{"handle":"H:1","function":"f","state":"waiting","size":7}` + "\na\n.\nb\x00\xff.\n",
		"job H:2 payload": "ERR UNKNOWN_JOB\r\n",
		"job H:3 payload": `{"handle":"H:3","function":"f","state":"waiting","size":2}` + "\nabc.\n",
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
	unknown := func(err error) {
		t.Helper()
		if !errors.Is(err, ErrUnknownJob) {
			t.Errorf("got %v, want ErrUnknownJob", err)
		}
	}
	var payload bytes.Buffer
	job, err := a.JobPayload(ctx, "H:1", &payload)
	check(job, err, JobDetails{Handle: "H:1", Function: "f", State: StateWaiting, Size: 7})
	check(payload.String(), nil, "a\n.\nb\x00\xff")
	_, err = a.JobPayload(ctx, "H:2", &payload)
	unknown(err)
	if _, err := a.JobPayload(ctx, "H:3", &payload); !errors.As(err, new(*ProtocolError)) {
		t.Errorf("got %v of a payload that goes on, want a ProtocolError", err)
	}

	check(nil, a.RetryJob(ctx, "H:1"), nil)
	unknown(a.RetryJob(ctx, "H:2"))
	n, err := a.RetryAll(ctx, "f")
	check(n, err, 3)
	n, err = a.PurgeDead(ctx, "f")
	check(n, err, 0)
	policy, err := a.Policy(ctx, "f")
	check(policy, err, "3,1s..5m")
	policy, err = a.Policy(ctx, "none")
	check(policy, err, "")
	check(nil, a.SetPolicy(ctx, "f", "3,1s..5m"), nil)
	check(nil, a.SetPolicy(ctx, "f", "-"), nil)
	var said wire.ErrReply
	if err := a.SetPolicy(ctx, "f", "many"); !errors.As(err, &said) {
		t.Errorf("got %v, want what the server says", err)
	}

	var ends []Outcome
	err = a.Wait(ctx, []Handle{"H:1", "H:2"}, func(o Outcome) error {
		ends = append(ends, o)
		return nil
	})
	check(ends, err, []Outcome{
		{Handle: "H:2", State: OutcomeUnknown},
		{Handle: "H:1", Function: "f", State: OutcomeDead, Error: "no", Attempts: 4, EndedMS: 5, Size: 2},
	})
	check(nil, a.Wait(ctx, nil, nil), nil)

	var data bytes.Buffer
	o, err := a.Result(ctx, "H:1", &data)
	check(o, err, Outcome{Handle: "H:1", Function: "f", State: OutcomeCompleted, EndedMS: 5, Size: 9, Kept: true})
	check(data.String(), nil, "a\x00\n.\nxyz\n")
	data.Reset()
	o, err = a.Result(ctx, "H:2", &data)
	check(o, err, Outcome{Handle: "H:2", State: OutcomeFailed, Error: "sorry", Size: 5, Kept: true})
	check(data.String(), nil, "")
	_, err = a.Result(ctx, "H:3", &data)
	unknown(err)
	n, err = a.RetryAll(ctx, "f") // the connection is in step
	check(n, err, 3)
}

func TestAdminOfEndedJobsErrors(t *testing.T) {
	s := answers(t, map[string]string{
		"retry function f": "OK all\r\n",
		"wait H:1":         "{\n.\n",
		"wait H:2":         ".\n",
		"wait H:3":         `{"handle":"H:3","state":"completed"}` + "\n.\n",
		"wait H:4":         "ERR UNKNOWN_COMMAND Unknown+server+command\r\n",
		"result H:1":       `{"size":2,"state":"completed"}` + "\nabc\n.\n",
		"result H:2":       "[]\n",
		"result H:3":       `{"size":100000,"state":"completed"}` + "\n" + strings.Repeat("x", 100000) + ".\n",
		"result H:4":       "ERR UNKNOWN_COMMAND Unknown+server+command\r\n",
	})
	ctx := context.Background()
	a := NewAdmin(s, Options{})
	defer a.Close()
	none := func(Outcome) error { return nil }
	var errs []error
	_, err := a.RetryAll(ctx, "f")
	errs = append(errs, err, a.Wait(ctx, []Handle{"H:1"}, none), a.Wait(ctx, []Handle{"H:2"}, none))
	for _, h := range []Handle{"H:1", "H:2"} {
		_, err := a.Result(ctx, h, new(bytes.Buffer))
		errs = append(errs, err)
	}
	for i, err := range errs {
		var p *ProtocolError
		if !errors.As(err, &p) {
			t.Errorf("%d: got %v, want a ProtocolError", i, err)
		}
	}
	if err := a.Wait(ctx, []Handle{"H:4"}, none); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	if _, err := a.Result(ctx, "H:4", new(bytes.Buffer)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	enough := errors.New("enough")
	if err := a.Wait(ctx, []Handle{"H:3"}, func(Outcome) error { return enough }); err != enough {
		t.Errorf("got %v, want f's own error", err)
	}
	if _, err := a.Result(ctx, "H:3", brokenWriter{enough}); !errors.Is(err, enough) || errors.Is(err, ErrLost) {
		t.Errorf("got %v, want the writer's own error", err)
	}
	if _, err := a.Result(ctx, "a b", new(bytes.Buffer)); err == nil {
		t.Error("a handle of two words is asked for")
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// TestAdminWaitsLineByLine: more handles than a line can hold go over several.
func TestAdminWaitsLineByLine(t *testing.T) {
	const n = 2000
	handles := make([]Handle, n)
	for i := range handles {
		handles[i] = Handle(fmt.Sprintf("H:a-host-with-a-name:%08d", i))
	}
	f := newFake(t)
	lines := make(chan int, 1)
	served := make(chan struct{})
	go func() {
		defer close(served)
		nc := <-f.conns
		defer nc.Close()
		in := wire.NewReader(nc, wire.Limits{})
		count := 0
		for {
			line, err := in.NextLine()
			if err != nil {
				lines <- count
				return
			}
			count++
			var answer []byte
			for _, h := range wire.Words(line)[1:] {
				answer = fmt.Appendf(answer, "{\"handle\":%q,\"state\":\"completed\"}\n", h)
			}
			nc.Write(append(answer, wire.ReplyEnd...))
		}
	}()
	a := NewAdmin(f.Server, Options{})
	i := 0
	err := a.Wait(context.Background(), handles, func(o Outcome) error {
		if o.Handle != handles[i] {
			t.Errorf("got %s, want %s", o.Handle, handles[i])
		}
		i++
		return nil
	})
	a.Close()
	<-served
	if err != nil || i != n {
		t.Errorf("told of %d, %v, want %d", i, err, n)
	}
	if got := <-lines; got < 2 {
		t.Errorf("%d line, want several", got)
	}
}

func TestAdminFollowAndFront(t *testing.T) {
	a := NewAdmin(answers(t, map[string]string{
		"follow H:x:1": `{"event":"data","data":"AAE=","numerator":0,"denominator":0}` + "\n" +
			`{"event":"status","numerator":1,"denominator":2}` + "\n" +
			`{"handle":"H:x:1","state":"failed","error":"sorry","size":0,"kept":false}` + "\n.\n",
		"follow H:x:2":    ".\n",
		"follow H:x:3":    "ERR UNKNOWN_COMMAND Unknown+server+commandfollow\r\n",
		"front job H:x:1": "OK\r\n",
		"front job H:x:2": "ERR UNKNOWN_JOB\r\n",
	}), Options{})
	defer a.Close()
	ctx := t.Context()
	var events []string
	outcome, err := a.Follow(ctx, "H:x:1", func(e FollowEvent) error {
		events = append(events, fmt.Sprintf("%s %q %d/%d", e.Event, e.Data, e.Numerator, e.Denominator))
		return nil
	})
	if err != nil || outcome.State != OutcomeFailed || outcome.Error != "sorry" {
		t.Errorf("got %+v, %v", outcome, err)
	}
	if want := []string{`data "\x00\x01" 0/0`, `status "" 1/2`}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	var broken *ProtocolError
	if _, err := a.Follow(ctx, "H:x:2", nil); !errors.As(err, &broken) {
		t.Errorf("without an outcome: %v, want a ProtocolError", err)
	}
	if _, err := a.Follow(ctx, "H:x:3", nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	stop := errors.New("stop")
	if _, err := a.Follow(ctx, "H:x:1", func(FollowEvent) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the error of f", err)
	}
	if err := a.Front(ctx, "H:x:1"); err != nil {
		t.Error(err)
	}
	if err := a.Front(ctx, "H:x:2"); !errors.Is(err, ErrUnknownJob) {
		t.Errorf("got %v, want ErrUnknownJob", err)
	}
}
