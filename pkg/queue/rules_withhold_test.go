package queue

import (
	"fmt"
	"testing"

	"gm/pkg/store"
)

func TestWithholding(t *testing.T) {
	cfg := Config{Memory: 40, Spill: true, JobRetries: 9, DeadMax: 10}
	runRules(t, []rule{
		{"spilled jobs wait while dead letters that the journal lacks take a quarter", cfg, `
			restore 1 f size=5
			W can f
			W can g
			C submit g bg payload=1234567 => 2
			C submit g bg payload=x => 3
			W grab => 2
			wanted 9 => 1
			fail 2 => 2 failed; withholding true; 2 retained
			W grab => 3
			W grab => none
			W sleep
			wanted 9
			load 1 12345
			payload 1 => "" of 5, spilled true
			functions => f 0/1/0 0 0 1 1; g 0/0/0 0 1 1 1
			releasedead 2 => withholding false; wake W
			wanted 9 => 1
			W grab => 1
			load 1 12345
			show 1 => running, attempts 0, 0/0, background, payload "12345",`},
		{"a dead letter that is dropped or retried ends it as well", cfg, `
			restore 1 f size=5
			W can g
			C submit g bg payload=12345 => 2
			W grab => 2
			fail 2 => 2 failed; withholding true; 2 retained
			W can f
			W grab => none
			W sleep
			dropdead 2 => withholding false; 2 dropped; wake W
			C submit g bg payload=12345 => 3
			V can g
			V grab => 3
			fail 3 => 3 failed; withholding true; 3 retained
			W grab => none
			W sleep
			retrydead 3 hold => withholding false; wake W; 3 again
			W grab => 1
			abort 3 => withholding true
			releasedead 3 => withholding false`},
		{"it begins above a quarter, and without Spill not at all", Config{Memory: 40, JobRetries: 9, DeadMax: 10}, `
			restore 1 f size=5
			W can f
			W can g
			C submit g bg payload=12345 => 2
			W grab => 2
			fail 2 => 2 failed; 2 retained; 2 dropped
			W grab => 1`},
		{"exactly a quarter is not above it", cfg, `
			restore 1 f size=5
			W can f
			W can g
			C submit g bg payload=1234 => 2
			W grab => 2
			fail 2 => 2 failed; 2 retained
			W grab => 1`},
		{"a letter without a payload in memory does not count", cfg, `
			restore 1 f size=50
			restore 2 f size=50
			W can f
			W grab => 1
			failforgood 1 => 1 failed; 1 retained
			W grab => 2`},
		{"foreground jobs overtake withheld ones", cfg, `
			restore 1 f size=5
			W can f
			W can g
			C submit g bg payload=12345 => 2
			W grab => 2
			fail 2 => 2 failed; withholding true; 2 retained
			W grab => none
			W sleep
			C submit f bg => 3
			C submit f => wake W; 4
			W grab => 4
			W grab => none
			C submit f => 5
			W sleep => wake W
			W grab => 5
			W grab => none
			W sleep
			C submit f low => wake W; 6
			W grab => 6
			releasedead 2 => withholding false
			W grab => 1
			W grab => 3`},
		{"a job in memory that comes to the head is not withheld", cfg, `
			restore 1 f size=5
			restore 2 f high size=5
			V can f
			V grab => 2
			load 2 1
			W can f
			W can g
			C submit g bg payload=12345 => 3
			C submit f bg => 4
			W grab => 3
			fail 3 => 3 failed; withholding true; 3 retained
			W grab => none
			W sleep
			V gone => 2 requeued from V: worker lost; wake W
			W grab => 2
			W grab => none
			W sleep
			cancel 1 => 1 cancelled; wake W; true
			W grab => 4`},
		{"an aborted promotion makes a job a foreground job again", cfg, `
			restore 1 f size=5
			W can f
			W can g
			C submit f unique=u => 2
			C submit g bg payload=12345 => 3
			W grab => 3
			D submit f unique=u bg hold => joins 2 and makes it background
			fail 3 => 3 failed; withholding true; 3 retained
			W grab => none
			W sleep
			abort 2 => wake W
			W grab => 2`},
		{"a paused function stays paused", cfg, `
			restore 1 f size=5
			W can f
			W can g
			C submit g bg payload=12345 => 2
			W grab => 2
			fail 2 => 2 failed; withholding true; 2 retained
			W grab => none
			W sleep
			pause f
			resume f
			pause f
			releasedead 2 => withholding false
			W sleep
			resume f => wake W
			W grab => 1`},
	})
}

// TestWithheldFunctionsAreReleasedInPieces withholds jobs of more functions than
// one call marks or releases.
func TestWithheldFunctionsAreReleasedInPieces(t *testing.T) {
	const functions = 2*maxDue + 500
	sink := &counting{}
	q := New(Config{Memory: 100, Spill: true, DeadMax: 1, Wakeups: 1}, sink)
	w := q.NewPeer(nil)
	seq := uint64(0)
	for i := range functions {
		name := fmt.Sprint("f", i)
		seq++
		if _, err := q.RestoreHead(1, &store.Record{Seq: seq, Function: name}, 10); err != nil {
			t.Fatal(err)
		}
		q.CanDo(1, w, []byte(name), 0)
	}
	other := newWorker(q, [][]byte{[]byte("g")})
	got, err := q.Submit(1, &Submission{Function: []byte("g"), Payload: make([]byte, 30), Background: true})
	if err != nil {
		t.Fatal(err)
	}
	q.FailForGood(1, q.Grab(1, other))
	d := q.DeadLetterBySeq(got.Job.Seq())
	grabs := 0
	for {
		grabs++
		if j := q.Grab(1, w); j != nil {
			t.Fatalf("job %d is not withheld", j.Seq())
		}
		q.PreSleep(1, w)
		if w.Sleeping() {
			break
		}
	}
	if want := functions/maxDue + 1; grabs != want {
		t.Errorf("%d grabs until the worker sleeps, want %d", grabs, want)
	}
	if n := len(q.withheld); n != functions {
		t.Fatalf("%d functions are withheld, want %d", n, functions)
	}
	q.ReleaseDeadLetter(d)
	for left := functions - maxDue; ; left -= maxDue {
		q.Rouse()
		if n := len(q.withheld); n != max(left, 0) {
			t.Fatalf("%d functions are withheld, want %d", n, max(left, 0))
		}
		at, ok := q.Next()
		if due := ok && at <= 1; due != (left > 0) {
			t.Fatalf("Next: %d, %v with %d functions left", at, ok, left)
		}
		if left <= 0 {
			break
		}
		q.Tick(1)
	}
	if w.Sleeping() {
		t.Error("the worker still sleeps")
	}
	for range functions {
		if q.Grab(1, w) == nil {
			t.Fatal("a job is missing")
		}
	}
	if q.Withholding() || sink.withholdings != 2 {
		t.Errorf("withholding is %v after %d changes", q.Withholding(), sink.withholdings)
	}
}
