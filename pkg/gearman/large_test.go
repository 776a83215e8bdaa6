package gearman

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gm/pkg/wire"
)

// A packet over the limit fails the job that it is about, at once and without
// another attempt. The other jobs of the connection go on.
func TestLargeResultFailsItsJob(t *testing.T) {
	const limit = 1 << 20
	large := strings.Repeat("x", limit+1<<17)
	for _, tt := range []struct {
		typ  wire.Type
		size int
	}{
		{wire.WorkComplete, limit + 1}, // the whole packet is not over the limit of packets
		{wire.WorkComplete, len(large)},
		{wire.WorkData, len(large)},
		{wire.WorkWarning, len(large)},
		{wire.WorkException, len(large)},
	} {
		t.Run(fmt.Sprint(tt.typ, " ", tt.size), func(t *testing.T) {
			f := newFake(t)
			c := testClient(t, Options{Servers: []Server{f.Server}, MaxPayload: limit})
			failing := startAsync(t, c, &Task{Function: "f", Retries: 3})
			other := startAsync(t, c, &Task{Function: "g"})
			s := f.acceptClient()
			s.expect(wire.SubmitJob, "f", "", "")
			s.expect(wire.SubmitJob, "g", "", "")
			s.send(wire.JobCreated, "H:1")
			s.send(wire.JobCreated, "H:2")
			s.send(wire.WorkData, "H:2", "a")
			s.send(tt.typ, "H:1", large[:tt.size])
			if tt.typ == wire.WorkData || tt.typ == wire.WorkWarning {
				s.send(wire.WorkComplete, "H:1", "late")
			}
			s.send(wire.WorkComplete, "H:2", "b")
			_, err := end(t, failing)
			if !errors.Is(err, ErrTooLarge) || errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "H:1") {
				t.Errorf("got %v, want ErrTooLarge of job H:1", err)
			}
			if got, err := end(t, other); err != nil || string(got.Data) != "ab" {
				t.Errorf("got %+v, %v, want the other job's result", got, err)
			}
		})
	}
}

// A payload over the limit is refused before it is sent.
func TestLargePayloadIsRefused(t *testing.T) {
	c := testClient(t, Options{Servers: []Server{deadAddr(t)}, MaxPayload: 10})
	_, err := c.Do(context.Background(), &Task{Function: "f", Payload: make([]byte, 11)})
	if !errors.Is(err, ErrTooLarge) || errors.Is(err, ErrNoServer) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// A server that refuses a packet for its size reads no more: the tasks behind it
// were not taken, and go over the next connection as the same attempt.
func TestTasksBehindALargeOneAreNotLost(t *testing.T) {
	f := newFake(t)
	c := testClient(t, Options{Servers: []Server{f.Server}, MinBackoff: time.Hour, MaxBackoff: time.Hour})
	before := startAsync(t, c, &Task{Function: "f", Payload: []byte("1")})
	large := startAsync(t, c, &Task{Function: "f", Payload: []byte("large"), Retries: 3})
	behind := startAsync(t, c, &Task{Function: "f", Payload: []byte("3")})
	s := f.acceptClient()
	for _, payload := range []string{"1", "large", "3"} {
		s.expect(wire.SubmitJob, "f", "", payload)
	}
	s.send(wire.JobCreated, "H:1")
	s.send(wire.Error, wire.CodeDataTooLarge, "too large")
	s.close()
	var refused *ServerError
	if _, err := end(t, large); !errors.As(err, &refused) || !refused.TooLarge() || errors.Is(err, ErrLost) {
		t.Errorf("got %v, want the server's refusal", err)
	}
	if _, err := end(t, before); !errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrLost of the job that had been taken", err)
	}
	s = f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "3")
	s.send(wire.JobCreated, "H:2")
	s.send(wire.WorkComplete, "H:2", "three")
	if got, err := end(t, behind); err != nil || string(got.Data) != "three" || got.Attempts != 1 {
		t.Errorf("got %+v, %v, want the result at the first attempt", got, err)
	}
}
