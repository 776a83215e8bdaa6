package queue

import "testing"

func TestWaking(t *testing.T) {
	one := Config{Wakeups: 1}
	runRules(t, []rule{
		{"PRE_SLEEP with a ready job is answered at once, and again", one, `
			C submit f => 1
			W can f
			W sleep => wake W
			W sleep => wake W
			W grab => 1`},
		{"a job wakes one sleeping worker, the longest asleep", one, `
			V can f
			W can f
			W sleep
			V sleep
			C submit f => wake W; 1
			C submit f => wake V; 2
			C submit f => 3`},
		{"a worker that does not sleep gets no NOOP", one, `
			W can f
			C submit f => 1
			W grab => 1
			C submit f => 2`},
		{"a woken worker gets one NOOP until it asks", one, `
			W can f
			W sleep
			C submit f => wake W; 1
			C submit f => 2
			W grab => 1
			W grab => 2
			W grab => none
			W sleep
			C submit f => wake W; 3`},
		{"two at a time", Config{Wakeups: 2}, `
			U can f
			V can f
			W can f
			U sleep
			V sleep
			W sleep
			C submit f => wake U; wake V; 1`},
		{"0 wakes all", Config{}, `
			U can f
			V can f
			W can g
			U sleep
			V sleep
			W sleep
			C submit f => wake U; wake V; 1`},
		{"a worker that does not ask within WakeAfter is passed over", Config{Wakeups: 1, WakeAfter: 50}, `
			V can f
			W can f
			V sleep
			W sleep
			C submit f => wake V; 1
			next => 1050 true
			at 1049
			at 1050 => wake W
			at 1100
			next => 0 false
			V grab => 1`},
		{"a woken worker that grabs something else passes the token on", one, `
			V can f
			V can g
			W can f
			V sleep
			W sleep
			C submit f => wake V; 1
			C submit g => 2
			V grab => wake W; 2
			W grab => 1`},
		{"a woken worker that sleeps again has the token again", one, `
			V can f
			W can f
			V sleep
			W sleep
			C submit f => wake V; 1
			V sleep => wake V`},
		{"a woken worker that loses the ability passes the token on", one, `
			V can f
			W can f
			V sleep
			W sleep
			C submit f => wake V; 1
			V cannot f => wake W`},
		{"a woken worker that resets passes the token on", one, `
			V can f
			W can f
			V sleep
			W sleep
			C submit f => wake V; 1
			V reset => wake W`},
		{"a woken worker that leaves passes the token on", one, `
			V can f
			W can f
			V sleep
			W sleep
			C submit f => wake V; 1
			V gone => wake W`},
		{"a sleeping worker that learns a function with ready jobs is woken", one, `
			C submit f => 1
			W can g
			W sleep
			W can f => wake W
			W grab => 1`},
		{"a sleeping worker that learns a function is woken for it later", one, `
			W can g
			W sleep
			W can f
			functions => g 0/0/0 0 0 1 1; f 0/0/0 0 0 1 1
			C submit f => wake W; 1`},
		{"a sleeping worker that unlearns a function is not woken for it", one, `
			W can f
			W can g
			W sleep
			W cannot f
			C submit f => 1
			C submit g => wake W; 2`},
		{"workers with different functions are woken in turn", one, `
			U can f
			V can f
			V can g
			U sleep
			V sleep
			C submit f => wake U; 1
			U grab => 1
			U sleep
			C submit f => wake V; 2`},
	})
}

func TestGather(t *testing.T) {
	gather := Config{Wakeups: 1, WakeAfter: 50}
	runTurns(t, []rule{
		{"nobody is woken before Rouse, and then for each job", gather, `
			V can f
			W can f
			V sleep
			W sleep
			C submit f => 1
			C submit f => 2
			rouse => wake V; wake W
			rouse`},
		{"a job that is gone wakes nobody", gather, `
			V can f
			W can f
			W sleep
			C submit f => 1
			C submit f => 2
			V grab => 1
			rouse => wake W
			C submit f => 3
			V grab => 2
			V grab => 3
			rouse`},
		{"PRE_SLEEP with a ready job is answered at once", gather, `
			W can f
			C submit f => 1
			W sleep => wake W
			rouse`},
		{"a job for which somebody was woken wakes nobody else", gather, `
			V can f
			W can f
			V sleep
			C submit f => 1
			W sleep => wake W
			rouse
			C submit f => 2
			rouse => wake V`},
		{"who was woken and has not asked is there for a later job", gather, `
			U can f
			V can f
			W can f
			V sleep
			U sleep
			C submit f => 1
			rouse => wake V
			W grab => 1
			C submit f => 2
			rouse
			at 1050
			rouse => wake U
			U grab => 2`},
		{"a token is passed on by Rouse", gather, `
			V can f
			W can f
			V sleep
			W sleep
			C submit f => 1
			rouse => wake V
			V cannot f
			rouse => wake W
			at 1050
			rouse`},
		{"a paused function wakes nobody", gather, `
			W can f
			W sleep
			C submit f => 1
			pause f
			rouse
			resume f
			rouse => wake W`},
		{"two at a time", Config{Wakeups: 2}, `
			U can f
			V can f
			W can f
			U sleep
			V sleep
			W sleep
			C submit f => 1
			rouse => wake U; wake V`},
		{"who was woken already is one of the two", Config{Wakeups: 2}, `
			U can f
			V can f
			W can f
			U sleep
			V sleep
			C submit f => 1
			W sleep => wake W
			rouse => wake U`},
		{"all, whoever was woken already", Config{}, `
			U can f
			V can f
			W can f
			U sleep
			V sleep
			C submit f => 1
			W sleep => wake W
			rouse => wake U; wake V`},
	})
}

func TestDelay(t *testing.T) {
	runRules(t, []rule{
		{"a job becomes ready when it is due, without traffic", Config{Wakeups: 1}, `
			W can f
			C submit f bg at=2000 => 1
			functions => f 0/0/0 1 0 1 0
			W grab => none
			W sleep
			next => 2000 true
			at 1999
			at 2000 => wake W
			W grab => 1`},
		{"jobs of one time keep their order", Config{}, `
			C submit f bg at=3000 => 1
			C submit f bg at=2000 => 2
			C submit f bg at=2000 => 3
			C submit f bg at=2000 => 4
			W can f
			at 3000
			W grab => 2
			W grab => 3
			W grab => 4
			W grab => 1`},
		{"a time that is past is now", Config{}, `
			C submit f bg at=1000 => 1
			C submit f bg at=1 => 2
			functions => f 0/2/0 0 0 0 0`},
		{"a delayed job that is cancelled is due no more", Config{}, `
			C submit f bg at=2000 => 1
			cancel 1 => 1 cancelled; true
			next => 0 false`},
	})
}
