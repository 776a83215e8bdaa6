package queue

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"gm/pkg/store"
	"gm/pkg/wire"
)

// counting counts the calls of the queue.
type counting struct{ ended, requeued, dropped, withholdings int }

func (*counting) Wake(*Peer)                     {}
func (c *counting) Requeued(*Job, *Peer, Reason) { c.requeued++ }
func (c *counting) Ended(*Job, Reason)           { c.ended++ }
func (*counting) DeadRetained(*DeadLetter, *Job) {}
func (c *counting) Withholding(bool)             { c.withholdings++ }
func (c *counting) DeadDropped(*DeadLetter)      { c.dropped++ }

func TestJobsAfterGoesOnWhenItsPlaceIsGone(t *testing.T) {
	q := New(Config{}, silent{})
	jobs := make([]*Job, 1001)
	for i := range jobs[1:] {
		jobs[i+1] = submitted(q, inBackground("f", ""))
	}
	var got []uint64
	at, more := uint64(0), true
	for more {
		steps := 0
		at, more = q.JobsAfter(at, 10, func(j *Job) bool {
			steps++
			got = append(got, j.Seq())
			return true
		})
		if steps > 10 {
			t.Fatalf("%d jobs at a time, want 10", steps)
		}
		for seq := at - min(at, 5); seq <= at+100 && seq < 990; seq++ { // with the page that at is on
			if seq > 0 {
				q.Cancel(1, jobs[seq])
			}
		}
	}
	if !slices.IsSorted(got) || got[len(got)-1] != 1000 || slices.Index(got, 11) >= 0 || slices.Index(got, 111) < 0 {
		t.Errorf("jobs are %v", got)
	}
}

func TestJobsAfterStopsAtTheLastNumber(t *testing.T) {
	q := New(Config{}, silent{})
	if _, err := q.Restore(1, &store.Record{Seq: math.MaxUint64, Function: "f"}); err != nil {
		t.Fatal(err)
	}
	n := 0
	at, more := q.JobsAfter(0, 1, func(*Job) bool { n++; return true })
	if more {
		at, more = q.JobsAfter(at, 1, func(*Job) bool { n++; return true })
	}
	if n != 1 || more || at != math.MaxUint64 {
		t.Errorf("%d jobs, to go on at %d, %v", n, at, more)
	}
}

func TestFunctionsAfterADroppedOne(t *testing.T) {
	q := New(Config{}, silent{})
	for i := range 30 {
		q.Create(fmt.Appendf(nil, "f%02d", i))
	}
	var got []string
	for at, more := (*Function)(nil), true; more; {
		at, more = q.FunctionsAfter(at, 5, func(f *Function) bool {
			got = append(got, f.Name())
			return true
		})
		for i := len(got) - 1; i < len(got)+2 && i < 29; i++ { // at, and those behind it
			_ = q.Drop(fmt.Appendf(nil, "f%02d", i))
		}
	}
	if !slices.IsSorted(got) || got[len(got)-1] != "f29" || slices.Contains(got, "f05") || !slices.Contains(got, "f07") {
		t.Errorf("functions are %v", got)
	}
}

func TestDeadLettersAfterADroppedOne(t *testing.T) {
	for _, function := range []string{"", "f"} {
		sink := new(counting)
		q := New(Config{DeadMax: 100}, sink)
		for seq := range uint64(30) {
			if err := q.RestoreDeadLetter(1, &DeadLetter{Died: int64(seq), Record: store.Record{Seq: seq + 1, Function: "f"}}); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for at, more := (*DeadLetter)(nil), true; more; {
			var page []*DeadLetter
			at, more = q.DeadLettersAfter(function, at, 7, func(d *DeadLetter) bool {
				page = append(page, d)
				return true
			})
			n += len(page)
			for _, d := range page {
				q.DropDeadLetter(d)
			}
		}
		if n != 30 || sink.dropped != 30 || q.Totals().Dead != 0 {
			t.Errorf("function %q: %d shown, %d dropped, %d left", function, n, sink.dropped, q.Totals().Dead)
		}
	}
}

// Jobs that are due together are handled in parts, so that other calls can run
// in between.
func TestACrowdIsLookedAfterInPieces(t *testing.T) {
	const crowd = 2*maxDue + 500
	sink := new(counting)
	q := New(Config{DeadMax: crowd, DeadAge: 50, JobRetries: -1, WakeAfter: 50}, sink)
	ticks := func(at int64, what string, left func() int) {
		t.Helper()
		for ticks, want := 0, crowd; ; ticks++ {
			due, ok := q.Next()
			if now := left(); now == 0 {
				if ticks != 3 {
					t.Errorf("%s: %d ticks, want 3", what, ticks)
				}
				return
			} else if now < want-maxDue || !ok || due > at {
				t.Fatalf("%s: %d are left after %d ticks, the next is due at %d, %v", what, now, ticks, due, ok)
			} else {
				want = now
			}
			q.Tick(at)
		}
	}
	for range crowd {
		s := inBackground("f", "")
		s.RunAt = 100
		submitted(q, s)
	}
	f := q.functions.first
	ticks(100, "delayed jobs", func() int { return f.delayed.n })

	w := q.NewPeer(nil)
	q.CanDo(200, w, []byte("f"), 100)
	for q.Grab(200, w) != nil {
	}
	ticks(300, "time limits", func() int { return f.running })

	q.CanDo(400, w, []byte("f"), 0)
	for j := q.Grab(400, w); j != nil; j = q.Grab(400, w) {
		q.FailForGood(400, j)
	}
	ticks(450, "dead jobs", func() int { return f.dead.n })

	for range crowd {
		p := q.NewPeer(nil)
		q.CanDo(500, p, []byte("g"), 0)
		q.PreSleep(500, p)
	}
	for range crowd {
		submitted(q, inBackground("g", ""))
	}
	q.Rouse()
	q.now = 500
	for p := q.woken.head; p != nil; p = p.next {
		p.wokenAt = 500
	}
	ticks(550, "wake-ups", func() int { return q.woken.n })
}

func TestAPeerLeavesInPieces(t *testing.T) {
	sink := new(counting)
	q := New(Config{JobRetries: -1}, sink)
	p := q.NewPeer(nil)
	for i := range 100 {
		name := fmt.Appendf(nil, "f%d", i)
		q.CanDo(1, p, name, 0)
		submitted(q, Submission{Function: name, Background: true})
	}
	for q.Grab(1, p) != nil {
	}
	for range 100 {
		submitted(q, Submission{Function: []byte("g"), Client: p})
	}
	for calls := 1; ; calls++ {
		steps := sink.ended + sink.requeued
		more := q.Remove(1, p, 30)
		if steps = sink.ended + sink.requeued - steps; steps > 30 {
			t.Fatalf("%d jobs in one step, want 30 at most", steps)
		}
		if q.Grab(1, p) != nil {
			t.Fatal("a worker that is gone gets a job")
		}
		if !more {
			if calls != 10 {
				t.Errorf("%d calls, want 10", calls)
			}
			break
		}
	}
	if sink.ended != 100 || sink.requeued != 100 || p.NumFunctions()+p.NumJobs()+p.NumWaits() != 0 {
		t.Errorf("%d ended, %d requeued", sink.ended, sink.requeued)
	}
}

// A purge in pieces ends the jobs that were there when it began.
func TestPurgeLeavesWhatComesMeanwhile(t *testing.T) {
	q := New(Config{}, silent{})
	later := func() {
		for p := wire.PriorityHigh; p.Valid(); p++ {
			s := inBackground("f", "")
			s.Priority = p
			submitted(q, s)
			s.RunAt = 1000
			submitted(q, s)
		}
	}
	for range 10 {
		later()
	}
	n, last := 0, q.LastSeq()
	for {
		got, err := q.Purge(1, []byte("f"), last, 7)
		if err != nil {
			t.Fatal(err)
		}
		later()
		if n += got; got < 7 {
			break
		}
	}
	if n != 60 || q.Len() != 9*6 {
		t.Errorf("%d purged, %d left", n, q.Len())
	}
}

// A job that comes while older ones are released waits behind them, and is not
// lost.
func TestEndLoadingInPieces(t *testing.T) {
	q := New(Config{}, silent{})
	w := q.NewPeer(nil)
	for _, f := range []string{"c", "b", "a"} {
		q.CanDo(1, w, []byte(f), 0)
	}
	q.SetLoading(1)
	var want []uint64
	submitAll := func() {
		for _, f := range []string{"a", "b", "c"} {
			submitted(q, inBackground(f, ""))
		}
	}
	submitAll()
	submitAll()
	for q.EndLoading(1, 4) {
		submitAll()
	}
	for f := range uint64(3) {
		for seq := f + 1; seq <= q.LastSeq(); seq += 3 {
			want = append(want, seq)
		}
	}
	var got []uint64
	for j := q.Grab(1, w); j != nil; j = q.Grab(1, w) {
		got = append(got, j.Seq())
	}
	if !slices.Equal(got, want) {
		t.Errorf("jobs are %v, want %v", got, want)
	}
}
