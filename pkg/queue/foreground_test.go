package queue

import (
	"fmt"
	"testing"

	"gm/pkg/wire"
)

// foregroundRig is a queue with n functions, f0 to f<n-1>.
type foregroundRig struct {
	t *testing.T
	q *Queue
	n int
}

func newForegroundRig(t *testing.T, n int) *foregroundRig {
	r := &foregroundRig{t: t, q: New(Config{}, silent{}), n: n}
	for i := range n {
		r.q.Create(r.name(i))
	}
	return r
}

func (r *foregroundRig) name(i int) []byte { return fmt.Append(nil, "f", i) }

// worker returns a worker for the functions from first on, up to last.
func (r *foregroundRig) worker(first, last int) *Peer {
	p := r.q.NewPeer(nil)
	for i := first; i <= last; i++ {
		r.q.CanDo(0, p, r.name(i), 0)
	}
	return p
}

func (r *foregroundRig) submit(function int, priority wire.Priority, background bool) *Job {
	r.t.Helper()
	got, err := r.q.Submit(0, &Submission{
		Function: r.name(function), Priority: priority, Background: background, Client: r.q.NewPeer(nil),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return got.Job
}

// grab grabs until it gets want, and fails after more than the given calls.
func (r *foregroundRig) grab(p *Peer, want *Job, calls int) {
	r.t.Helper()
	for range calls {
		switch j := r.q.GrabForeground(0, p); j {
		case want:
			return
		case nil:
		default:
			r.t.Fatalf("GrabForeground: job %d, want %d", j.Seq(), want.Seq())
		}
	}
	r.t.Fatalf("GrabForeground: nothing after %d calls, want job %d", calls, want.Seq())
}

func (r *foregroundRig) ready(want bool) {
	r.t.Helper()
	if got := r.q.ReadyForeground(); got != want {
		r.t.Errorf("ReadyForeground: %v, want %v", got, want)
	}
}

func TestGrabForeground(t *testing.T) {
	r := newForegroundRig(t, 4)
	r.submit(0, wire.PriorityHigh, true)
	w := r.worker(0, 2)
	r.ready(false)
	if j := r.q.GrabForeground(0, w); j != nil {
		t.Fatalf("GrabForeground: job %d in background", j.Seq())
	}
	r.submit(3, wire.PriorityHigh, false)
	r.ready(false) // no worker can do it
	low := r.submit(2, wire.PriorityLow, false)
	behind := r.submit(0, wire.PriorityHigh, false)
	normal := r.submit(1, wire.PriorityNormal, false)
	r.ready(true)
	if err := r.q.Pause(0, r.name(0), true); err != nil {
		t.Fatal(err)
	}
	r.grab(w, normal, 1)
	r.ready(true)
	r.grab(w, low, 1)
	r.ready(false) // it is paused
	if err := r.q.Pause(0, r.name(0), false); err != nil {
		t.Fatal(err)
	}
	r.ready(true)
	r.grab(w, behind, 1)
	r.ready(false)
}

func TestGrabForegroundByAbility(t *testing.T) {
	r := newForegroundRig(t, 2)
	w := r.worker(0, 1)
	second := r.submit(0, wire.PriorityNormal, false)
	first := r.submit(1, wire.PriorityNormal, false) // of the function that was added last
	r.grab(w, first, 1)
	r.grab(w, second, 1)
}

// A search visits only functions that have foreground jobs and workers, and only
// some of them at once.
func TestForegroundSearchIsBounded(t *testing.T) {
	const functions = 20 * maxForegroundFunctions
	r := newForegroundRig(t, functions)
	many := r.worker(0, functions/2-1)
	others := r.worker(functions/2, functions-1)
	for i := functions / 2; i < functions; i++ {
		r.submit(i, wire.PriorityNormal, false)
	}
	wanted := r.submit(7, wire.PriorityLow, false)
	visits := 0
	r.q.foreground.visit(func(*Function) bool { visits++; return true })
	if visits != maxForegroundFunctions {
		t.Errorf("a search visits %d functions, want %d", visits, maxForegroundFunctions)
	}
	r.grab(many, wanted, functions/2/maxForegroundFunctions+1)
	r.ready(true)
	for range functions / 2 {
		if r.q.GrabForeground(0, others) == nil {
			t.Fatal("a foreground job is missing")
		}
	}
	r.ready(false)
	visits = 0
	r.q.foreground.visit(func(*Function) bool { visits++; return true })
	if visits != 0 {
		t.Errorf("a search visits %d functions, but no foreground job waits", visits)
	}
}

// A worker with many functions gets jobs of high priority first.
func TestForegroundPriorityOfManyFunctions(t *testing.T) {
	r := newForegroundRig(t, 2*maxForegroundFunctions)
	w := r.worker(0, 2*maxForegroundFunctions-1)
	low := r.submit(1, wire.PriorityLow, false)
	normal := r.submit(2, wire.PriorityNormal, false)
	high := r.submit(3, wire.PriorityHigh, false)
	r.grab(w, high, 1)
	r.grab(w, normal, 1)
	r.grab(w, low, 1)
}

// A promoted job waits for the next start, and is a foreground job again if its
// promotion fails.
func TestGrabForegroundOfAPromotedJob(t *testing.T) {
	r := newForegroundRig(t, 1)
	w := r.worker(0, 0)
	s := Submission{Function: r.name(0), Unique: []byte("u"), Client: r.q.NewPeer(nil)}
	first, err := r.q.Submit(0, &s)
	if err != nil {
		t.Fatal(err)
	}
	r.ready(true)
	s.Background, s.Hold = true, true
	if got, err := r.q.Submit(0, &s); err != nil || !got.Promoted {
		t.Fatalf("Submit: %+v, %v", got, err)
	}
	r.ready(false)
	r.q.Abort(0, first.Job)
	r.ready(true)
	r.grab(w, first.Job, 1)
}
