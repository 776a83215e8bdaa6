package queue

import (
	"fmt"
	"testing"
)

// The class of a worker with very many functions is made and removed in steps,
// and finds the jobs that came meanwhile.
func TestPrivateClassesAreMadeInSteps(t *testing.T) {
	const functions, steps = 100, 30
	q := New(Config{}, silent{})
	q.sharedFunctions = functions - 1
	p := q.NewPeer(nil)
	for i := range functions {
		q.CanDo(1, p, fmt.Appendf(nil, "f%d", i), 0)
	}
	prepared := func(want int) {
		t.Helper()
		calls := 1
		for q.PrepareClass(p, steps) {
			submitted(q, Submission{Function: fmt.Appendf(nil, "f%d", calls), Background: true})
			calls++
		}
		if calls != want {
			t.Errorf("%d calls, want %d", calls, want)
		}
	}
	prepared(4)
	for i := 3; i > 0; i-- { // the function that was added last first
		j := q.Grab(1, p)
		if want := fmt.Sprintf("f%d", i); j == nil || j.Function().Name() != want {
			t.Fatalf("got %v, want a job of %s", j, want)
		}
	}
	prepared(1)

	q.CanDo(1, p, []byte("last"), 0)
	prepared(7) // the old class goes first
	q.CantDo(p, []byte("last"))
	for q.PrepareClass(p, steps) && p.classWork.old != nil {
	}
	q.PrepareClass(p, steps) // a part of it
	q.CantDo(p, []byte("f0"))
	for q.DropAbilities(p, steps) {
	}
	for _, f := range q.functions.byName {
		if len(f.classes) != 0 || f.workers != 0 {
			t.Errorf("%s has %d classes and %d workers", f.name, len(f.classes), f.workers)
		}
	}
	if p.classWork != nil || len(q.classes) != 0 {
		t.Errorf("%v and %d classes are left", p.classWork, len(q.classes))
	}
}

// A sleeper with very many functions that gets another one is woken with the
// next job of any worker, instead of a class that is made for it at once.
func TestSleeperWithManyFunctionsIsWoken(t *testing.T) {
	woken := 0
	var q *Queue
	var p *Peer
	q = New(Config{Wakeups: 1}, wakeFunc(func(who *Peer) {
		if who == p {
			woken++
		}
	}))
	q.sharedFunctions = 2
	p = q.NewPeer(nil)
	for _, f := range []string{"a", "b", "c"} {
		q.CanDo(1, p, []byte(f), 0)
	}
	q.PreSleep(1, p)
	q.CanDo(1, p, []byte("d"), 0)
	submitted(q, Submission{Function: []byte("a"), Background: true})
	q.Rouse()
	if woken != 1 {
		t.Errorf("woken %d times, want once", woken)
	}
	if p.class != nil {
		t.Error("its class was made before it asked")
	}
	if j := q.Grab(1, p); j == nil || j.Function().Name() != "a" {
		t.Errorf("got %v, want the job", j)
	}
}
