package queue

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"gm/pkg/store"
	"gm/pkg/wire"
)

func functionNames(n int) [][]byte {
	names := make([][]byte, n)
	for i := range names {
		names[i] = fmt.Appendf(nil, "function-%d", i)
	}
	return names
}

func newWorker(q *Queue, functions [][]byte) *Peer {
	p := q.NewPeer(nil)
	for _, f := range slices.Backward(functions) {
		q.CanDo(0, p, f, 0)
	}
	return p
}

// fill submits n jobs of 100 bytes, over the functions in turn.
func fill(q *Queue, functions [][]byte, n int, unique bool) {
	payload := make([]byte, 100)
	var id []byte
	for i := range n {
		if unique {
			id = fmt.Appendf(id[:0], "%032x", i)
		}
		s := Submission{Function: functions[i%len(functions)], Unique: id, Payload: payload, Priority: wire.PriorityNormal, Background: true}
		if _, err := q.Submit(0, &s); err != nil {
			panic(err)
		}
	}
}

// A cycle must allocate no more than doc.go states: it takes everything else
// from the cycle before.
func TestAllocations(t *testing.T) {
	functions := functionNames(100)
	setup := func() (q *Queue, worker, client *Peer) {
		q = New(Config{JobRetries: -1}, silent{})
		fill(q, functions, 5000, true)
		return q, newWorker(q, functions), q.NewPeer(nil)
	}
	check := func(what string, want float64, cycle func()) {
		t.Helper()
		if got := testing.AllocsPerRun(1000, cycle); got > want {
			t.Errorf("%s: %v allocations, want %v", what, got, want)
		}
	}

	q, w, c := setup()
	check("Grab and Complete", 0, func() { q.Complete(0, q.Grab(0, w)) })
	check("Grab and GiveBack", 0, func() { q.GiveBack(0, q.Grab(0, w)) })
	check("Grab, SetStatus and Fail", 0, func() {
		j := q.Grab(0, w)
		q.SetStatus(j, 1, 2)
		q.Fail(0, j)
	})
	check("Snapshot", 1, func() { q.Snapshot(0) })

	q.SetPolicy(functions[99], &Policy{Retries: -1, Min: 5, Max: 5})
	one := newWorker(q, functions[99:])
	now := int64(0)
	check("Grab, Fail and Tick", 0, func() {
		q.Fail(now, q.Grab(now, one))
		now += 5
		q.Tick(now)
	})
	q.SetPolicy(functions[99], nil)

	background := Submission{Function: functions[0], Payload: make([]byte, 100), Background: true}
	foreground := Submission{Function: functions[0], Unique: []byte("-"), Payload: make([]byte, 100), Client: c}
	// A page of the index is 1 in 64 jobs.
	check("Submit in background", 2, func() { _, _ = q.Submit(0, &background) })
	check("Submit, join and Complete", 2, func() {
		_, _ = q.Submit(0, &foreground)
		got, _ := q.Submit(0, &foreground)
		q.Cancel(0, got.Job)
	})
	q, w, _ = setup()
	for q.Grab(0, w) != nil {
	}
	check("PreSleep, Submit and Grab", 2, func() {
		q.PreSleep(0, w)
		_, _ = q.Submit(0, &background)
		q.Rouse()
		q.Complete(0, q.Grab(0, w))
	})
	held := q.jobs.pages[0].jobs[:]
	handle := []byte(held[len(held)-1].Handle())
	check("Lookup and Held", 0, func() { q.Held(w, handle) })
}

// BenchmarkMemory reports the bytes of a waiting job of 100 bytes, in total and
// without its payload.
func BenchmarkMemory(b *testing.B) {
	for _, unique := range []bool{false, true} {
		b.Run(fmt.Sprintf("unique=%v", unique), func(b *testing.B) {
			const jobs = 1_000_000
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				q := New(Config{}, silent{})
				fill(q, functionNames(10), jobs, unique)
				runtime.GC()
				runtime.ReadMemStats(&after)
				each := float64(after.HeapAlloc-before.HeapAlloc) / jobs
				own := 100.0
				if unique {
					own += 32
				}
				b.ReportMetric(each, "B/job")
				b.ReportMetric(each-own, "B/job-beside-data")
				runtime.KeepAlive(q)
			}
		})
	}
	b.Run("spilled", func(b *testing.B) {
		const jobs = 1_000_000
		for b.Loop() {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			q := New(Config{Memory: 1 << 20, Spill: true}, silent{})
			s := Submission{Function: []byte("f"), Payload: make([]byte, 1000), Background: true, Hold: true}
			for range jobs {
				got, err := q.Submit(0, &s)
				if err != nil {
					b.Fatal(err)
				}
				q.Release(0, got.Job)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			held := q.Totals().Bytes
			b.ReportMetric(float64(int64(after.HeapAlloc-before.HeapAlloc)-held)/jobs, "B/job-beside-data")
			runtime.KeepAlive(q)
		}
	})
}

// BenchmarkLoading restores jobs behind which new ones wait.
func BenchmarkLoading(b *testing.B) {
	const jobs = 200_000
	for b.Loop() {
		q := New(Config{FirstSeq: 1 << 40}, silent{})
		q.SetLoading(0)
		fill(q, functionNames(10), jobs, false)
		for i := range uint64(jobs) {
			if _, err := q.RestoreHead(0, &store.Record{Seq: i + 1, Function: "function-1"}, 100); err != nil {
				b.Fatal(err)
			}
		}
		for q.EndLoading(0, math.MaxInt) {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/jobs/2, "ns/job")
}

func BenchmarkSubmit(b *testing.B) {
	for _, unique := range []bool{false, true} {
		b.Run(fmt.Sprintf("unique=%v", unique), func(b *testing.B) {
			b.ReportAllocs()
			functions := functionNames(10)
			for b.Loop() {
				b.StopTimer()
				q := New(Config{}, silent{})
				b.StartTimer()
				fill(q, functions, 1000, unique)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/job")
		})
	}
}

// BenchmarkCycle submits, grabs and completes one job while others wait.
func BenchmarkCycle(b *testing.B) {
	cycle := func(b *testing.B, functions, workers, waiting int) {
		q := New(Config{Wakeups: 1}, silent{})
		names := functionNames(functions)
		var peers []*Peer
		for range workers {
			peers = append(peers, newWorker(q, names))
		}
		fill(q, names, waiting, false)
		s := Submission{Payload: make([]byte, 100), Priority: wire.PriorityNormal, Background: true}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			s.Function = names[i%functions]
			_, _ = q.Submit(0, &s)
			q.Complete(0, q.Grab(0, peers[i%workers]))
			q.Rouse()
			i++
		}
	}
	for _, waiting := range []int{0, 1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) { cycle(b, 1, 1, waiting) })
	}
	b.Run("functions=20000", func(b *testing.B) { cycle(b, 20_000, 1, 0) })
	b.Run("functions=20000/waiting=100000", func(b *testing.B) { cycle(b, 20_000, 1, 100_000) })
	b.Run("workers=800/functions=100", func(b *testing.B) { cycle(b, 100, 800, 0) })
}

// BenchmarkSleepers is the idle server: all workers sleep, a job comes, one is
// woken, does it, and sleeps again.
func BenchmarkSleepers(b *testing.B) {
	for _, c := range []struct {
		name               string
		workers, functions int
		shuffled           bool // every worker adds its functions in another order
	}{
		{"workers=1000/functions=1", 1000, 1, false},
		{"workers=800/functions=100", 800, 100, false},
		{"workers=800/functions=100/shuffled", 800, 100, true},
		{"workers=1/functions=20000", 1, 20_000, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			var last *Peer
			q := New(Config{Wakeups: 1}, wakeFunc(func(p *Peer) { last = p }))
			names := functionNames(c.functions)
			for i := range c.workers {
				order := names
				if c.shuffled {
					at := i % len(names)
					order = append(append([][]byte{}, names[at:]...), names[:at]...)
					order[i%7], order[i%11+20] = order[i%11+20], order[i%7]
				}
				q.PreSleep(0, newWorker(q, order))
			}
			s := Submission{Payload: make([]byte, 100), Priority: wire.PriorityNormal, Background: true}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.Function = names[i%len(names)]
				_, _ = q.Submit(0, &s)
				q.Rouse()
				q.Complete(0, q.Grab(0, last))
				q.PreSleep(0, last)
				i++
			}
		})
	}
}

type wakeFunc func(*Peer)

func (w wakeFunc) Wake(p *Peer)               { w(p) }
func (wakeFunc) Requeued(*Job, *Peer, Reason) {}
func (wakeFunc) Ended(*Job, Reason)           {}
