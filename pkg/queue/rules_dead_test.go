package queue

import "testing"

func TestDeadLetters(t *testing.T) {
	ten := Config{DeadMax: 10, JobRetries: 2}
	runRules(t, []rule{
		{"a background job that fails is retained", ten, `
			policy f 1 0 0
			C submit f bg unique=u reduce=r payload=x => 1
			W can f
			at 1001
			W grab => 1
			fail 1 => 1 requeued from W: failed
			at 1002
			W grab => 1
			note 1 no such file
			at 1005
			fail 1 => 1 failed; 1 retained
			dead => 1 failed, attempts 2, 1002-1005, "no such file" "x" of 1
			isdead 1 => true
			functions => f 0/0/0 0 0 1 0
			totals => 0 jobs, 1 dead, 0 spilled, 15 bytes`},
		{"one that was lost too often as well", ten, `
			C submit f bg payload=x => 1
			W can f
			W grab => 1
			W gone => 1 requeued from W: worker lost
			V can f 50
			V grab => 1
			at 1050 => 1 retries exhausted; 1 retained
			dead f => 1 retries exhausted, attempts 2, 1000-1050, "timed out after 50ms" "x" of 1
			dead g`},
		{"foreground, cancelled and completed jobs are not", ten, `
			C submit f => 1
			C submit f bg => 2
			C submit f bg => 3
			C submit f bg => 4
			W can f
			W grab => 1
			W grab => 2
			W grab => 3
			cancel 2 => false
			fail 1 => 1 failed C
			fail 2 => 2 failed
			complete 3 => 3 completed
			cancel 4 => 4 cancelled; true
			dead`},
		{"nor is any without a dead list", Config{}, `
			C submit f bg => 1
			W can f
			W grab => 1
			fail 1 => 1 failed
			dead
			restoredead 5 f 900 => 5 dropped`},
		{"the oldest of a function make room", Config{DeadMax: 2}, `
			C submit f bg => 1
			C submit g bg => 2
			C submit f bg => 3
			C submit f bg => 4
			W can g
			W can f
			W grab => 1
			W grab => 3
			W grab => 4
			W grab => 2
			fail 2 => 2 failed; 2 retained
			fail 3 => 3 failed; 3 retained
			fail 1 => 1 failed; 1 retained
			fail 4 => 4 failed; 4 retained; 3 dropped
			deadnumbers f => 1; 4
			isdead 3 => false
			totals => 0 jobs, 3 dead, 0 spilled, 18 bytes`},
		{"old ones are dropped", Config{DeadMax: 10, DeadAge: 100}, `
			C submit f bg => 1
			C submit g bg => 2
			W can g
			W can f
			W grab => 1
			W grab => 2
			fail 2 => 2 failed; 2 retained
			at 1010
			fail 1 => 1 failed; 1 retained
			next => 1100 true
			at 1099
			at 1100 => 2 dropped
			next => 1110 true
			at 2000 => 1 dropped
			next => 0 false`},
		{"a function with dead jobs is not dropped", ten, `
			restoredead 5 f 900
			drop f => function has workers or jobs: "f"
			dropdead 5 => 5 dropped
			dropdead 5
			drop f`},
		{"numbers are taken once", ten, `
			restore 5 f
			restoredead 5 f 900 => restore dead job 5: number is already in use
			restoredead 6 f 900
			restore 6 f => restore job 6: number is already in use
			C submit f => 7`},
		{"restored in any order they stand in the order of their deaths", ten, `
			restoredead 5 f 900
			restoredead 6 g 700
			restoredead 7 f 800
			restoredead 8 f 900
			restoredead 9 f 700
			deadnumbers f => 9; 7; 5; 8
			deadnumbers => 6; 9; 7; 5; 8
			dropdead 7 => 7 dropped
			dropdead 9 => 9 dropped
			dropdead 8 => 8 dropped
			deadnumbers => 6; 5`},
	})
}

func TestRetryDeadLetter(t *testing.T) {
	ten := Config{DeadMax: 10}
	runRules(t, []rule{
		{"a retried dead letter is as it was, with its number and without its attempts", ten, `
			C submit f bg unique=u reduce=r payload=x high => 1
			W can f
			W grab => 1
			fail 1 => 1 failed; 1 retained
			retrydead 1 => 1 again
			trouble 1 => waiting, attempts 0, at 0, ""
			show 1 => waiting, attempts 0, 0/0, background, payload "x",
			totals => 1 jobs, 0 dead, 0 spilled, 3 bytes
			D submit f unique=u => joins 1
			C submit f => 2
			isdead 1 => false
			W grab => 1
			W holds 1 => 1
			fail 1 => 1 failed D; 1 retained
			retrydead 1 => 1 again
			cancel 1 => 1 cancelled; true`},
		{"one retried in hold waits for its release", ten, `
			restoredead 5 f 900 payload=x
			retrydead 5 hold => 5 again
			retrydead 5 => job is not in the dead list
			show 5 => held, attempts 0, 0/0, background, payload "x",
			release 5
			abort 5
			W can f
			W grab => 5
			complete 5 => 5 completed`},
		{"one whose journal fails is dead again", Config{DeadMax: 2}, `
			restoredead 5 f 900 unique=u payload=x
			restoredead 6 f 950
			retrydead 5 hold => 5 again
			D submit f unique=u => joins 5
			restoredead 7 f 850
			abort 5 => 7 dropped
			deadnumbers => 5; 6
			totals => 0 jobs, 2 dead, 0 spilled, 2 bytes
			D gone
			retrydead 5 => 5 again
			W can f
			W grab => 5`},
		{"one whose unique is in use is dropped", ten, `
			restoredead 5 f 900 unique=u
			restoredead 6 f 900 unique=- payload=x
			C submit f unique=u => 7
			D submit f unique=- payload=x bg => 8
			retrydead 5 => 5 dropped; joins 7 and makes it background
			retrydead 6 => 6 dropped; joins 8
			retrydead 6 => job is not in the dead list`},
		{"the limit of its function holds for it", ten, `
			limit f 1 1 1
			restoredead 5 f 900
			C submit f => 6
			retrydead 5 => job queue is full
			isdead 5 => true`},
		{"one held in its retry that is cancelled ends", ten, `
			restoredead 5 f 900
			retrydead 5 hold => 5 again
			cancel 5 => false
			release 5 => 5 cancelled
			dead`},
	})
}

func TestDeadIterationStops(t *testing.T) {
	q := New(Config{DeadMax: 5}, silent{})
	for seq := range uint64(3) {
		d := &DeadLetter{Died: 1}
		d.Record.Seq, d.Record.Function = seq+1, "f"
		if err := q.RestoreDeadLetter(1, d); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	q.DeadLetters("f", func(*DeadLetter) bool { n++; return false })
	q.DeadLetters("", func(*DeadLetter) bool { n++; return n < 3 })
	if n != 3 || q.functions.first.NumDeadLetters() != 3 || q.Snapshot(1)[0].Dead != 3 {
		t.Errorf("%d calls, %d dead", n, q.functions.first.NumDeadLetters())
	}
	if q.LookupDeadLetter([]byte("H::4")) != nil {
		t.Error("LookupDeadLetter finds what is not there")
	}
	q.DropDeadLetter(q.LookupDeadLetter([]byte("H::2")))
	if q.dead.n != 2 {
		t.Errorf("%d dead, want 2", q.dead.n)
	}
}
