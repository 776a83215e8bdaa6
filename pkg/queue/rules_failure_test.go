package queue

import (
	"strings"
	"testing"
)

func TestFailures(t *testing.T) {
	runRules(t, []rule{
		{"without a policy a job that fails ends", Config{JobRetries: -1}, `
			C submit f => 1
			W can f
			W grab => 1
			fail 1 => 1 failed C
			fail 1`},
		{"a job that fails waits, twice as long each time, and its clients go on waiting", Config{}, `
			policy f 3 100 300
			C submit f => 1
			W can f
			W grab => 1
			status 1 3 7
			fail 1 => 1 requeued from W: failed
			show 1 => delayed, attempts 1, 0/0, payload "", C
			trouble 1 => delayed, attempts 1, at 1100, "failed"
			W grab => none
			next => 1100 true
			at 1100
			W grab => 1
			fail 1 => 1 requeued from W: failed
			next => 1300 true
			at 1300
			W grab => 1
			fail 1 => 1 requeued from W: failed
			next => 1600 true
			at 1600
			W grab => 1
			fail 1 => 1 failed C`},
		{"the wait is spread between the half and the whole", Config{Rand: func() uint64 { return 51 + 20 }}, `
			policy f 3 100 300
			C submit f => 1
			W can f
			W grab => 1
			fail 1 => 1 requeued from W: failed
			next => 1070 true`},
		{"a job that failed is due behind those that wait, and wakes", Config{Wakeups: 1}, `
			policy f 1 100 100
			W can f
			C submit f => 1
			W grab => 1
			fail 1 => 1 requeued from W: failed
			W sleep
			at 1100 => wake W
			C submit f => 2
			W grab => 1
			complete 1 => 1 completed C
			W grab => 2
			C submit f => 3
			fail 2 => 2 requeued from W: failed
			C submit f => 4
			at 1200
			W grab => 3
			W grab => 4
			W grab => 2`},
		{"without a wait it goes to the tail at once", Config{}, `
			policy f 1 0 0
			C submit f => 1
			C submit f => 2
			W can f
			W grab => 1
			fail 1 => 1 requeued from W: failed
			trouble 1 => waiting, attempts 1, at 1000, "failed"
			W grab => 2
			W grab => 1
			fail 1 => 1 failed C`},
		{"losses and failures count apart, each against its own bound", Config{JobRetries: 2}, `
			policy f 2 0 0
			C submit f => 1
			W can f
			W grab => 1
			fail 1 => 1 requeued from W: failed
			W grab => 1
			giveback 1 => 1 requeued from W: given back
			W grab => 1
			fail 1 => 1 requeued from W: failed
			show 1 => waiting, attempts 3, 0/0, payload "", C
			W grab => 1
			fail 1 => 1 failed C
			C submit f => 2
			W grab => 2
			fail 2 => 2 requeued from W: failed
			W grab => 2
			fail 2 => 2 requeued from W: failed
			W grab => 2
			giveback 2 => 2 requeued from W: given back
			W grab => 2
			giveback 2 => 2 retries exhausted C`},
		{"failures without end leave a job all its losses", Config{JobRetries: 2}, `
			policy f -1 0 0
			C submit f => 1
			W can f
			W grab => 1
			fail 1 => 1 requeued from W: failed
			W grab => 1
			fail 1 => 1 requeued from W: failed
			W grab => 1
			fail 1 => 1 requeued from W: failed
			W grab => 1
			W gone => 1 requeued from W: worker lost
			V can f
			V grab => 1
			V gone => 1 retries exhausted C`},
		{"losses without end leave a job all its retries, and its waits are short", Config{JobRetries: -1}, `
			policy f 1 100 1000
			C submit f => 1
			W can f
			W grab => 1
			giveback 1 => 1 requeued from W: given back
			W grab => 1
			giveback 1 => 1 requeued from W: given back
			W grab => 1
			fail 1 => 1 requeued from W: failed
			next => 1100 true
			at 1100
			W grab => 1
			fail 1 => 1 failed C`},
		{"both counts are restored", Config{JobRetries: 2}, `
			policy f 2 0 0
			restore 1 f failures=1 losses=1
			restore 2 f failures=1 losses=1
			W can f
			W grab => 1
			fail 1 => 1 requeued from W: failed
			W grab => 2
			W gone => 2 retries exhausted
			W can f
			W grab => 1
			fail 1 => 1 failed`},
		{"without end", Config{}, `
			policy f -1 0 0
			C submit f bg => 1
			W can f
			W grab => 1
			fail 1 => 1 requeued from W: failed
			W grab => 1
			fail 1 => 1 requeued from W: failed`},
		{"a policy that is gone retries no more", Config{}, `
			policy f 5 0 0
			functions => f 0/0/0 0 0 0 0
			policy f
			C submit f => 1
			W can f
			W grab => 1
			fail 1 => 1 failed C`},
		{"a job that nobody wants is not tried again", Config{}, `
			policy f 5 0 0
			C submit f => 1
			D submit f bg => 2
			W can f
			W grab => 1
			W grab => 2
			C gone
			cancel 2 => false
			fail 1 => 1 failed
			fail 2 => 2 failed`},
		{"a delayed foreground job that failed goes with its client", Config{}, `
			policy f 5 100 100
			C submit f => 1
			W can f
			W grab => 1
			fail 1 => 1 requeued from W: failed
			C gone => 1 abandoned
			next => 0 false`},
		{"a job fails for good whatever the policy", Config{}, `
			policy f 5 0 0
			C submit f => 1
			failforgood 1
			W can f
			W grab => 1
			failforgood 1 => 1 failed C
			failforgood 1`},
	})
}

func TestNotes(t *testing.T) {
	long := strings.Repeat("x", maxNote)
	runRules(t, []rule{
		{"what a worker says of an attempt stays over what the queue knows", Config{JobRetries: -1}, `
			C submit f => 1
			note 1 nobody runs it
			trouble 1 => waiting, attempts 0, at 0, ""
			W can f
			W grab => 1
			note 1 no space
			note 1
			note 1 no space left
			giveback 1 => 1 requeued from W: given back
			trouble 1 => waiting, attempts 1, at 0, "no space left"
			W grab => 1
			trouble 1 => running, attempts 1, at 0, "no space left"
			giveback 1 => 1 requeued from W: given back
			trouble 1 => waiting, attempts 2, at 0, "given back"
			cancel 1 => 1 cancelled C; true
			trouble 1 => ended, attempts 0, at 0, ""`},
		{"losses leave their own text", Config{JobRetries: -1}, `
			C submit f => 1
			C submit g => 2
			W can f 5000
			W grab => 1
			W can f 1
			W cannot f
			W can g 90000
			W grab => 2
			at 91000 => 1 requeued from W: timed out; 2 requeued from W: timed out
			trouble 1 => waiting, attempts 1, at 0, "timed out after 5s"
			trouble 2 => waiting, attempts 1, at 0, "timed out after 1m30s"
			V can f
			V grab => 1
			V gone => 1 requeued from V: worker lost
			trouble 1 => waiting, attempts 2, at 0, "worker lost"`},
		{"long ones are cut, between characters", Config{}, `
			C submit f => 1
			W can f
			W grab => 1
			note 1 ` + long + `y
			trouble 1 => running, attempts 0, at 0, "` + long + `"
			note 1 ` + long[2:] + `éé
			trouble 1 => running, attempts 0, at 0, "` + long[2:] + `é"
			note 1 ` + long[1:] + `é
			trouble 1 => running, attempts 0, at 0, "` + long[1:] + `"
			note 1 ` + long[3:] + `👍
			trouble 1 => running, attempts 0, at 0, "` + long[3:] + `"`},
	})
}

func TestPolicy(t *testing.T) {
	q := New(Config{}, silent{})
	for _, c := range []struct {
		set, want Policy
		text      string
	}{
		{Policy{}, Policy{}, "0"},
		{Policy{Retries: 3, Min: 1000, Max: 300_000}, Policy{Retries: 3, Min: 1000, Max: 300_000}, "3,1s..5m"},
		{Policy{Retries: -1, Min: 1500, Max: 10}, Policy{Retries: -1, Min: 1500, Max: 1500}, "-1,1.5s..1.5s"},
		{Policy{Retries: 1, Min: -5, Max: 3_600_000}, Policy{Retries: 1, Max: 3_600_000}, "1,0s..1h"},
		{Policy{Retries: 1, Min: 20, Max: 36_610_000}, Policy{Retries: 1, Min: 20, Max: 36_610_000}, "1,20ms..10h10m10s"},
		{Policy{Min: 1 << 60, Max: 1 << 61}, Policy{Min: maxWait, Max: maxWait}, "0,305419h53m47.776s..305419h53m47.776s"},
	} {
		q.SetPolicy([]byte("f"), &c.set)
		got := q.functions.first.Policy()
		if *got != c.want || got.String() != c.text || q.Snapshot(1)[0].Policy != c.text {
			t.Errorf("SetPolicy(%+v) sets %+v, written %v; want %+v, %s", c.set, *got, got, c.want, c.text)
		}
	}
	q.SetPolicy([]byte("f"), nil)
	if p := q.functions.first.Policy(); p != nil || q.Snapshot(1)[0].Policy != "" {
		t.Errorf("policy is %v, want none", p)
	}
}

func TestWaits(t *testing.T) {
	p := Policy{Min: 3, Max: 1000}
	for attempts, want := range []int64{3, 6, 12, 24, 48, 96, 192, 384, 768, 1000, 1000} {
		if got := p.backOff(attempts, nil); got != want {
			t.Errorf("wait after %d attempts is %d, want %d", attempts, got, want)
		}
		for random := range uint64(2000) {
			if got := p.backOff(attempts, func() uint64 { return random }); got < want/2 || got > want {
				t.Fatalf("wait after %d attempts is %d, want %d to %d", attempts, got, want/2, want)
			}
		}
	}
	for _, c := range []struct{ p Policy }{{Policy{}}, {Policy{Max: 50}}} {
		if got := c.p.backOff(1<<30, func() uint64 { panic("no need") }); got != 0 {
			t.Errorf("wait of %v is %d, want 0", c.p, got)
		}
	}
	if got := (&Policy{Min: maxWait - 1, Max: maxWait}).backOff(1<<30, nil); got != maxWait {
		t.Errorf("wait is %d, want %d", got, int64(maxWait))
	}
}
