package queue

import "testing"

// Two clocks: "at" is the monotonic one, "wall" sets the other.
func TestClocks(t *testing.T) {
	runRules(t, []rule{
		{"a wall clock that is set back keeps no sleeping worker from a job", Config{Wakeups: 1, WakeAfter: 50}, `
			wall 9000
			V can f
			W can f
			V sleep
			W sleep
			C submit f => wake V; 1
			wall 1000
			next => 1050 true
			at 1050 => wake W`},
		{"a wall clock that is set forward takes no job from its worker", Config{JobRetries: -1}, `
			W can f 500
			C submit f => 1
			W grab => 1
			wall 9000000
			at 1499
			at 1500 => 1 requeued from W: timed out`},
		{"a wall clock that is set back does not lengthen a time limit", Config{JobRetries: -1}, `
			wall 9000000
			W can f 500
			C submit f => 1
			W grab => 1
			wall 1000
			next => 1500 true
			at 1500 => 1 requeued from W: timed out
			trouble 1 => waiting, attempts 1, at 0, "timed out after 500ms"`},
		{"a job that failed waits as long as it should, however the wall clock is set", Config{}, `
			policy f -1 100 100
			C submit f bg => 1
			W can f
			W grab => 1
			fail 1 => 1 requeued from W: failed
			trouble 1 => delayed, attempts 1, at 1100, "failed"
			wall 5
			next => 1100 true
			at 1099
			W grab => none
			at 1100
			W grab => 1
			fail 1 => 1 requeued from W: failed
			trouble 1 => delayed, attempts 2, at 205, "failed"
			wall 9000000
			W grab => none
			next => 1200 true
			at 1200
			W grab => 1`},
		{"a delayed job is never early: the wall clock is set back", Config{}, `
			wall 5000
			C submit f bg at=5100 => 1
			W can f
			next => 1100 true
			wall 4000
			at 1100
			W grab => none
			next => 2100 true
			at 2100
			W grab => 1`},
		{"a delayed job is due when the wall clock is set past its date", Config{}, `
			wall 5000
			C submit f bg at=3605000 => 1
			C submit f bg at=7205000 => 2
			next => 3601000 true
			W can f
			wall 3605000
			next => 1000 true
			at 1000
			W grab => 1
			W grab => none`},
		{"a date that has passed by the wall clock is none", Config{}, `
			wall 5000
			C submit f bg at=5000 => 1
			show 1 => waiting, attempts 0, 0/0, background, payload "",
			C submit f bg at=5001 => 2
			show 2 => delayed, attempts 0, 0/0, background, payload "",`},
		{"dates of dead jobs are the wall clock's", Config{DeadMax: 9, DeadAge: 100}, `
			wall 5000
			C submit f bg => 1
			W can f
			at 1010
			W grab => 1
			at 1020
			fail 1 => 1 failed; 1 retained
			dead => 1 failed, attempts 1, 5010-5020, "failed" "" of 0
			next => 1120 true
			wall 5000
			next => 1140 true
			at 1139
			at 1140 => 1 dropped`},
		{"those that die after the wall clock was set back come behind", Config{DeadMax: 2}, `
			wall 9000
			W can f
			C submit f bg => 1
			W grab => 1
			fail 1 => 1 failed; 1 retained
			wall 10
			C submit f bg => 2
			W grab => 2
			fail 2 => 2 failed; 2 retained
			C submit f bg => 3
			W grab => 3
			fail 3 => 3 failed; 3 retained; 1 dropped
			deadnumbers => 2; 3`},
		{"after a restart a job waits for its retry no longer than the policy says", Config{}, `
			policy f -1 100 300
			wall 1000
			restore 1 f at=3600000 failures=2
			trouble 1 => delayed, attempts 2, at 1300, ""
			restore 2 f at=3600000
			trouble 2 => delayed, attempts 0, at 3600000, ""
			next => 1300 true`},
	})
}
