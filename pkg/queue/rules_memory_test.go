package queue

import (
	"errors"
	"testing"

	"gm/pkg/store"
	"gm/pkg/wire"
)

func TestMemoryWithoutSpill(t *testing.T) {
	runRules(t, []rule{
		{"a fresh job over the bound is refused, one that coalesces is not", Config{Memory: 10, JobRetries: 2}, `
			C submit f payload=12345 unique=u => 1
			C submit f payload=1234 bg => 2
			totals => 2 jobs, 0 dead, 0 spilled, 10 bytes
			C submit f payload=x => job queue is full: payloads exceed the memory limit
			C submit f payload=x bg hold => job queue is full: payloads exceed the memory limit
			D submit f unique=u payload=xxxxxxxxxxxxxxxx => joins 1
			C submit f => 3
			W can f
			W grab => 1
			C submit f payload=123456 => 4
			W gone => 1 requeued from W: worker lost
			show 1 => waiting, attempts 1, 0/0, payload "12345", C D
			totals => 4 jobs, 0 dead, 0 spilled, 16 bytes
			cancel 1 => 1 cancelled C D; true
			totals => 3 jobs, 0 dead, 0 spilled, 10 bytes`},
		{"error texts count and go first", Config{Memory: 20, JobRetries: 2}, `
			C submit f payload=1234567890 => 1
			W can f
			W grab => 1
			totals => 1 jobs, 0 dead, 0 spilled, 0 bytes
			note 1 oops
			totals => 1 jobs, 0 dead, 0 spilled, 4 bytes
			giveback 1 => 1 requeued from W: given back
			trouble 1 => waiting, attempts 1, at 0, "oops"
			W grab => 1
			C submit f payload=123456 => 2
			giveback 1 => 1 retries exhausted C
			totals => 1 jobs, 0 dead, 0 spilled, 6 bytes
			C submit f payload=123456 => 3
			W grab => 2
			note 2 oops
			C submit f payload=123456 => 4
			giveback 2 => 2 requeued from W: given back
			trouble 2 => waiting, attempts 1, at 0, ""`},
		{"restored jobs are not refused", Config{Memory: 4}, `
			restore 1 f payload=12345
			restore 2 f payload=12345
			totals => 2 jobs, 0 dead, 0 spilled, 10 bytes`},
		{"the dead take a quarter, and the oldest go", Config{Memory: 40, DeadMax: 10}, `
			restoredead 1 f 900 payload=12345
			restoredead 2 g 800 payload=12345
			restoredead 3 h 950 payload=1 => 2 dropped
			totals => 0 jobs, 2 dead, 0 spilled, 6 bytes
			restoredead 4 h 960 payload=12345678901 => 1 dropped; 3 dropped; 4 dropped`},
	})
}

func TestSpill(t *testing.T) {
	cfg := Config{Memory: 40, Spill: true, JobRetries: 9, DeadMax: 10}
	runRules(t, []rule{
		{"a job that the journal has does without its payload from three quarters on", cfg, `
			C submit f bg hold unique=u reduce=r payload=1234567890123456789012345678 => 1
			C submit f bg hold unique=v reduce=r payload=1234567890 => 2
			totals => 2 jobs, 0 dead, 0 spilled, 42 bytes
			D submit f payload=x => job queue is full: payloads exceed the memory limit
			release 2
			payload 2 => "" of 10, spilled true
			release 1
			payload 1 => "1234567890123456789012345678" of 28, spilled false
			totals => 2 jobs, 0 dead, 1 spilled, 30 bytes
			D submit f payload=1234567890 => 3
			D submit f unique=v => joins 2
			W can f
			W grab => 2
			payload 2 => "" of 10, spilled true
			load 2 1234567890
			load 2 again
			show 2 => running, attempts 0, 0/0, background, payload "1234567890", D
			totals => 3 jobs, 0 dead, 0 spilled, 40 bytes
			complete 2 => 2 completed D
			totals => 2 jobs, 0 dead, 0 spilled, 40 bytes`},
		{"a delayed one from an eighth on", cfg, `
			C submit f bg hold payload=123456 at=2000 => 1
			release 1
			payload 1 => "" of 6, spilled true
			C submit f bg hold payload=12345 at=2000 => 2
			release 2
			payload 2 => "12345" of 5, spilled false
			cancel 2 => 2 cancelled; true
			C submit f bg hold payload=123456789012345678901 => 3
			release 3
			payload 3 => "123456789012345678901" of 21, spilled false
			at 2000
			W can f
			W grab => 3
			W grab => 1
			complete 1 => 1 completed
			totals => 1 jobs, 0 dead, 0 spilled, 0 bytes`},
		{"one without a payload has nothing to lose, a foreground one keeps it", cfg, `
			C submit f payload=1234567890123456789012345678901234567890 => 1
			C submit f bg hold unique=u => 2
			release 2
			totals => 2 jobs, 0 dead, 0 spilled, 41 bytes
			D submit f bg payload=x => job queue is full: payloads exceed the memory limit`},
		{"a foreground job that became background is spilled once the journal has it", cfg, `
			C submit f unique=u payload=123456789012345678901234567890 => 1
			D submit f unique=u bg hold => joins 1 and makes it background
			payload 1 => "123456789012345678901234567890" of 30, spilled false
			release 1
			payload 1 => "" of 30, spilled true`},
		{"not if it runs, but when it goes back", cfg, `
			C submit f unique=u payload=123456789012345678901234567890 => 1
			W can f
			W grab => 1
			D submit f unique=u bg hold => joins 1 and makes it background
			release 1
			payload 1 => "123456789012345678901234567890" of 30, spilled false
			W gone => 1 requeued from W: worker lost
			payload 1 => "" of 30, spilled true
			V can f
			V grab => 1
			V gone => 1 requeued from V: worker lost
			payload 1 => "" of 30, spilled true
			trouble 1 => waiting, attempts 1, at 0, ""`},
		{"a job whose payload never reached its worker was not tried", Config{Memory: 40, Spill: true, DeadMax: 10}, `
			C submit f bg hold payload=1234567890123456789012345678901 => 1
			release 1
			W can f
			W grab => 1
			W gone => 1 requeued from W: worker lost
			V can f
			V grab => 1
			giveback 1 => 1 requeued from V: given back
			trouble 1 => waiting, attempts 0, at 0, ""
			V grab => 1
			load 1 1234567890123456789012345678901
			giveback 1 => 1 retries exhausted; withholding true; 1 retained`},
		{"a job that fails is spilled as a delayed one", cfg, `
			policy f 5 100 100
			C submit f bg hold payload=123456789012345678901 => 1
			release 1
			W can f
			W grab => 1
			fail 1 => 1 requeued from W: failed
			payload 1 => "" of 21, spilled true`},
		{"- finds a spilled job by its payload", cfg, `
			C submit f bg hold unique=- payload=1234567890123456789012345678901 => 1
			release 1
			payload 1 => "" of 31, spilled true
			D submit f unique=- payload=1234567890123456789012345678901 => joins 1
			D submit f unique=- payload=x => 2
			W can f
			W grab => 1
			load 1 1234567890123456789012345678901
			D submit f unique=- payload=1234567890123456789012345678901 => joins 1
			complete 1 => 1 completed D D`},
		{"a head is spilled from the start, and - finds it once it is loaded", cfg, `
			restore 1 f unique=u size=5
			restore 2 f unique=- size=5
			payload 2 => "" of 5, spilled true
			totals => 2 jobs, 0 dead, 2 spilled, 0 bytes
			D submit f unique=u => joins 1
			D submit f unique=- payload=12345 => 3
			load 2 12345
			D submit f unique=- payload=12345 => joins 3
			cancel 3 => 3 cancelled D D; true
			D submit f unique=- payload=12345 => joins 2
			cancel 1 => 1 cancelled D; true
			cancel 2 => 2 cancelled D; true
			totals => 0 jobs, 0 dead, 0 spilled, 0 bytes`},
		{"another payload than the one that was spilled is another one", cfg, `
			C submit f bg hold unique=- payload=1234567890123456789012345678901 => 1
			release 1
			W can f
			W grab => 1
			load 1 other
			D submit f unique=- payload=1234567890123456789012345678901 => 2
			D submit f unique=- payload=other => joins 1
			complete 1 => 1 completed D`},
		{"a restored payload is dropped if memory is short", cfg, `
			restore 1 f payload=123456789012345678901234567890
			restore 2 f payload=1
			payload 2 => "" of 1, spilled true
			totals => 2 jobs, 0 dead, 1 spilled, 30 bytes`},
	})
}

func TestWanted(t *testing.T) {
	cfg := Config{Memory: 80, Spill: true}
	runRules(t, []rule{
		{"the first jobs of what workers can do, by priority, while there is room", cfg, `
			restore 1 f size=10
			restore 2 f high size=20
			restore 3 f payload=x
			restore 4 f size=60
			restore 5 f size=30
			restore 6 g size=1
			restore 7 f at=2000 size=1
			wanted 9
			W can f
			wanted 9 => 2; 1; 5
			wanted 4 => 2; 1; 5
			wanted 2 => 2; 1
			wanted 1 => 2
			wanted 0
			load 2 12345678901234567890
			load 1 1234567890
			wanted 9 => 5
			load 5 123456789012345678901234567890
			load 4 123456789012345678901234567890
			payload 4 => "" of 60, spilled true
			wanted 9
			totals => 7 jobs, 0 dead, 3 spilled, 61 bytes
			pause f
			W grab => none`},
		{"one function after the other", cfg, `
			restore 1 f size=1
			restore 2 f size=1
			restore 3 g size=1
			restore 4 h size=1
			W can f
			W can g
			W can h
			wanted 2 => 1; 2
			wanted 2 => 3; 4
			wanted 2 => 1; 2
			load 3 x
			wanted 1 => 4
			pause f
			wanted 2 => 4
			resume f
			wanted 9 => 1; 2; 4`},
		{"a function that is dropped is passed", cfg, `
			restore 1 f size=1
			restore 2 g size=1
			create h
			V can f
			V can g
			wanted 2 => 1; 2
			drop h
			wanted 1 => 1
			wanted 1 => 2
			wanted 1 => 1
			cancel 2 => 2 cancelled; true
			V cannot g
			drop g
			wanted 1 => 1`},
		{"there is no bound without Memory", Config{}, `
			restore 1 f size=1000
			W can f
			wanted 1 => 1
			load 1 x
			payload 1 => "x" of 1, spilled false`},
	})
}

func TestSpilledDeadLetters(t *testing.T) {
	cfg := Config{Memory: 40, Spill: true, DeadMax: 10}
	runRules(t, []rule{
		{"a dead job does without its payload once the journal has it", cfg, `
			C submit f bg payload=12345678901 => 1
			W can f
			W grab => 1
			fail 1 => 1 failed; withholding true; 1 retained
			totals => 0 jobs, 1 dead, 0 spilled, 17 bytes
			releasedead 1 => withholding false
			releasedead 1
			dead => 1 failed, attempts 1, 1000-1000, "failed" "" of 11
			totals => 0 jobs, 1 dead, 0 spilled, 0 bytes
			retrydead 1 hold => 1 again
			payload 1 => "" of 11, spilled true
			load 1 12345678901
			totals => 1 jobs, 0 dead, 0 spilled, 11 bytes
			abort 1
			dead => 1 failed, attempts 1, 1000-1000, "failed" "" of 11
			dropdead 1 => 1 dropped
			releasedead 1
			totals => 0 jobs, 0 dead, 0 spilled, 0 bytes`},
		{"not while there is room", cfg, `
			restoredead 1 f 900 payload=1234567890
			dead => 1 failed, attempts 0, 0-900, "" "1234567890" of 10
			restoredead 2 f 900 size=99
			totals => 0 jobs, 2 dead, 0 spilled, 10 bytes
			restoredead 3 f 900 payload=1
			dropdead 1 => 1 dropped
			dead f => 2 failed, attempts 0, 0-900, "" "" of 99; 3 failed, attempts 0, 0-900, "" "" of 1`},
		{"a job that lost its payload is retained without it", cfg, `
			restore 1 f size=5
			W can f
			W grab => 1
			note 1 payload is lost
			failforgood 1 => 1 failed; 1 retained
			dead => 1 failed, attempts 1, 1000-1000, "payload is lost" "" of 5
			totals => 0 jobs, 1 dead, 0 spilled, 0 bytes`},
	})
}

func TestLoading(t *testing.T) {
	one := Config{Wakeups: 1, JobRetries: 9}
	runRules(t, []rule{
		{"background jobs wait behind those that are restored, foreground ones do not", one, `
			restore 1 f
			loading
			loading
			W can f
			C submit f bg hold => 2
			release 2
			C submit f => 3
			C submit f bg low => 4
			show 2 => waiting, attempts 0, 0/0, background, payload "",
			functions => f 0/3/1 0 0 1 0
			W grab => 1
			W grab => 3
			W grab => none
			W sleep
			restore 5 f low => wake W
			W grab => 5
			W sleep
			loaded => wake W
			loaded
			W grab => 2
			W grab => 4
			W grab => none`},
		{"a job that is due or retried is old, if it was there before", Config{DeadMax: 9}, `
			restoredead 1 f 900
			loading
			restore 2 f at=2000
			C submit f bg at=2000 => 3
			C submit f at=2000 => 4
			retrydead 1 => 1 again
			at 2000
			functions => f 0/4/0 0 0 0 0
			W can f
			W grab => 1
			W grab => 2
			W grab => 4
			W grab => none
			loaded
			W grab => 3`},
		{"a job that waits for the loading can be joined, cancelled and purged", one, `
			loading
			C submit f bg unique=u => 1
			C submit f bg => 2
			C submit g bg high => 3
			D submit f unique=u => joins 1
			cancel 2 => 2 cancelled; true
			purge f => 1 purged D; 1
			functions => f 0/0/0 0 0 0 0; g 1/0/0 0 0 0 0
			pause g
			loaded
			W can g
			W grab => none
			resume g
			W grab => 3`},
		{"jobs that go back do not wait behind", one, `
			C submit f bg => 1
			W can f
			W grab => 1
			loading
			W gone => 1 requeued from W: worker lost
			V can f
			V grab => 1`},
		{"a restored job whose unique is taken runs all the same", Config{FirstSeq: 9}, `
			loading
			C submit f bg unique=u payload=new => 10
			restore 5 f unique=u payload=old
			D submit f unique=u => joins 10
			unique u => 10
			W can f
			W grab => 5
			show 5 => running, attempts 0, 0/0, background, payload "old",
			complete 5 => 5 completed
			loaded
			W grab => 10`},
	})
}

func TestErrMemoryIsErrFull(t *testing.T) {
	if !errors.Is(ErrMemory, ErrFull) || errors.Is(ErrFull, ErrMemory) {
		t.Error("ErrMemory must be an ErrFull")
	}
}

// TestSpillFar has jobs that wait behind many do without their payloads from
// an eighth of the memory on, and those before them not.
func TestSpillFar(t *testing.T) {
	const room = 20 // payloads in an eighth
	payload := make([]byte, 100)
	q := New(Config{Memory: 8 * room * int64(len(payload)), Spill: true}, silent{})
	spilled := func(p wire.Priority) bool {
		s, err := q.Submit(1, &Submission{Function: []byte("f"), Payload: payload, Priority: p, Background: true, Hold: true})
		if err != nil {
			t.Fatal(err)
		}
		q.Release(1, s.Job)
		return s.Job.Spilled()
	}
	for range farBehind {
		r := store.Record{Seq: 1 + uint64(q.Len()), Function: "f", Priority: uint8(rankLow)}
		if _, err := q.Restore(1, &r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * room {
		if got, want := spilled(wire.PriorityLow), i >= room; got != want {
			t.Errorf("job %d behind many: spilled is %v", i+1, got)
		}
	}
	if spilled(wire.PriorityHigh) {
		t.Error("a job with nothing before it is spilled")
	}
}
