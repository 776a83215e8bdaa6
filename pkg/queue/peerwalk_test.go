package queue

import (
	"fmt"
	"slices"
	"testing"
)

// A walk reads the functions and jobs of a peer in steps of any size, also while
// functions and jobs go and come between them.
func TestPeerWalkReadsInSteps(t *testing.T) {
	const n = 20
	for _, most := range []int{1, 3, n, n + 1} {
		q := New(Config{}, silent{})
		p := q.NewPeer(nil)
		var functions, jobs []string
		for i := range n {
			f := fmt.Sprintf("f%d", i)
			q.CanDo(1, p, []byte(f), 0)
			functions = slices.Insert(functions, 0, f)
			submitted(q, inBackground(f, ""))
		}
		for range n {
			jobs = append(jobs, q.Grab(1, p).Handle())
		}
		var walk, other PeerWalk
		p.BeginWalk(&walk)
		p.BeginWalk(&other)
		var gotFunctions, gotJobs []string
		for steps := most; steps == most; {
			before := len(gotFunctions)
			gotFunctions, steps = walk.Functions(gotFunctions, most)
			if len(gotFunctions)-before != steps {
				t.Errorf("%d functions in %d steps", len(gotFunctions)-before, steps)
			}
		}
		for steps := most; steps == most; {
			before := len(gotJobs)
			steps = walk.Jobs(most, func(j *Job) { gotJobs = append(gotJobs, j.Handle()) })
			if len(gotJobs)-before != steps {
				t.Errorf("%d jobs in %d steps", len(gotJobs)-before, steps)
			}
		}
		walk.End()
		other.End()
		if !slices.Equal(gotFunctions, functions) || !slices.Equal(gotJobs, jobs) || p.walks != nil {
			t.Errorf("in steps of %d: got %v %v, want %v %v", most, gotFunctions, gotJobs, functions, jobs)
		}
	}
}

// A walk does not read a function or job that has gone, whichever it was at, and reads
// those that stay.
func TestPeerWalkGoesOnAfterChanges(t *testing.T) {
	const n = 6
	for at := range n {
		for gone := range n {
			for last := gone; last < n; last++ {
				q := New(Config{}, silent{})
				p := q.NewPeer(nil)
				var held []*Job
				for i := range n {
					q.CanDo(1, p, fmt.Appendf(nil, "f%d", n-1-i), 0)
				}
				for i := range n {
					submitted(q, inBackground(fmt.Sprintf("f%d", i), ""))
					held = append(held, q.Grab(1, p))
				}
				var walk PeerWalk
				p.BeginWalk(&walk)
				names, _ := walk.Functions(nil, at)
				var jobs []*Job
				walk.Jobs(at, func(j *Job) { jobs = append(jobs, j) })
				for i := gone; i <= last; i++ {
					q.CantDo(p, fmt.Appendf(nil, "f%d", i))
					q.Complete(1, held[i])
				}
				q.CanDo(1, p, []byte("new"), 0)
				submitted(q, inBackground("new", ""))
				q.Grab(1, p)
				names, _ = walk.Functions(names, 100)
				walk.Jobs(100, func(j *Job) { jobs = append(jobs, j) })
				walk.End()
				var wantNames []string
				var wantJobs []*Job
				for i := range n {
					if i < at || i < gone || i > last {
						wantNames = append(wantNames, fmt.Sprintf("f%d", i))
						wantJobs = append(wantJobs, held[i])
					}
				}
				if len(jobs) == len(wantJobs)+1 { // it had come meanwhile
					jobs = jobs[:len(wantJobs)]
				}
				if !slices.Equal(names, wantNames) || !slices.Equal(jobs, wantJobs) {
					t.Errorf("at %d, %d to %d go: got %v and %d jobs, want %v and %d", at, gone, last, names, len(jobs), wantNames, len(wantJobs))
				}
			}
		}
	}
}

// A walk ends, also if all functions are dropped between its steps, or the worker gets
// another job after each.
func TestPeerWalkEnds(t *testing.T) {
	q := New(Config{}, silent{})
	p := q.NewPeer(nil)
	for i := range 5 {
		q.CanDo(1, p, fmt.Appendf(nil, "f%d", i), 0)
	}
	submitted(q, inBackground("f0", ""))
	q.Grab(1, p)
	var walk PeerWalk
	p.BeginWalk(&walk)
	names, _ := walk.Functions(nil, 2)
	q.ResetAbilities(p)
	if names, _ = walk.Functions(names, 10); len(names) != 2 {
		t.Errorf("got %v", names)
	}
	q.CanDo(1, p, []byte("f0"), 0)
	n := 0
	for walk.Jobs(1, func(*Job) { n++ }) == 1 {
		submitted(q, inBackground("f0", ""))
		q.Grab(1, p)
	}
	walk.End()
	if n != 1 {
		t.Errorf("read %d jobs", n)
	}
}
