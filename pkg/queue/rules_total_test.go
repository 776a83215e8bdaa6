package queue

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"gm/pkg/wire"
)

// Config.Total limits the bytes of all jobs, running ones included, plus
// JobCost for each. A submission that joins a job is not refused.
func TestTotalBoundsRunningJobsToo(t *testing.T) {
	const total = 114_286 // seven eighths are 100,000
	q := New(Config{Host: "h", Total: total, Memory: 1 << 40, JobRetries: -1}, nothing{})
	w := q.NewPeer(nil)
	q.CanDo(1, w, []byte("f"), 0)
	submit := func(unique string, size int) error {
		_, err := q.Submit(1, &Submission{
			Function: []byte("f"), Unique: []byte(unique), Payload: bytes.Repeat([]byte{'x'}, size), Background: true, Priority: wire.PriorityNormal,
		})
		return err
	}
	var running []*Job
	for i := range 9 {
		if err := submit(fmt.Sprintf("u%d", i), 10_000); err != nil {
			t.Fatalf("job %d: %v", i, err)
		}
		running = append(running, q.Grab(1, w))
	}
	if err := submit("more", 10_000); !errors.Is(err, ErrMemory) {
		t.Errorf("beside 9 running jobs: %v, want %v", err, ErrMemory)
	}
	if err := submit("u3", 10_000); err != nil {
		t.Errorf("who joins a running job: %v", err)
	}
	q.GiveBack(1, running[0]) // waits again
	if err := submit("more", 10_000); !errors.Is(err, ErrMemory) {
		t.Errorf("when one waits again: %v, want %v", err, ErrMemory)
	}
	q.Complete(1, running[1])
	if err := submit("more", 10_000); err != nil {
		t.Errorf("when one is done: %v", err)
	}
	for j := q.Grab(1, w); j != nil; j = q.Grab(1, w) {
		running = append(running, j)
	}
	for _, j := range running {
		q.Complete(1, j)
	}
	n := 0
	for ; submit("", 1) == nil; n++ {
	}
	if want := total * 7 / 8 / (JobCost + 1); n < want-1 || n > want+1 {
		t.Errorf("%d jobs of 1 byte, want %d", n, want)
	}
}

type nothing struct{}

func (nothing) Wake(*Peer)                   {}
func (nothing) Requeued(*Job, *Peer, Reason) {}
func (nothing) Ended(*Job, Reason)           {}
