package queue

import "testing"

// rule is one rule of the queue with a script that shows it; script_test.go
// explains the language.
type rule struct {
	name   string
	cfg    Config
	script string
}

// runRules runs scripts in which Rouse follows each call.
func runRules(t *testing.T, rules []rule) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { runScript(t, r.cfg, r.script, (*Queue).Rouse) })
	}
}

// runTurns runs scripts that call Rouse themselves.
func runTurns(t *testing.T, rules []rule) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { runScript(t, r.cfg, r.script, func(*Queue) {}) })
	}
}

func TestGrab(t *testing.T) {
	runRules(t, []rule{
		{"priority comes first across all functions", Config{}, `
			C submit f low => 1
			C submit f => 2
			C submit g high => 3
			C submit f high => 4
			W can g
			W can f
			W grab => 4
			W grab => 3
			W grab => 2
			W grab => 1
			W grab => none`},
		{"of functions of one priority the one that the worker added last comes first", Config{}, `
			C submit f => 1
			C submit g => 2
			C submit f => 3
			V can f
			V can g
			V can f
			V grab => 2
			V grab => 1
			V grab => 3
			V cannot g
			V can h
			V can g
			C submit g => 4
			C submit h => 5
			C submit f => 6
			V grab => 4
			V grab => 5
			V grab => 6`},
		{"round robin serves the functions in turn, the one that was added last first", Config{RoundRobin: true}, `
			C submit f => 1
			C submit f => 2
			C submit g => 3
			C submit h => 4
			C submit h high => 5
			W can h
			W can g
			W can f
			W grab => 5
			W grab => 1
			W grab => 3
			W grab => 4
			W grab => 2`},
		{"first in is first out within function and priority", Config{}, `
			C submit f => 1
			C submit f => 2
			C submit f => 3
			W can f
			W grab => 1
			W grab => 2
			W grab => 3`},
		{"a worker without the function gets nothing", Config{}, `
			C submit f => 1
			W grab => none
			W can g
			W grab => none`},
		{"a worker may hold many jobs and only its own", Config{}, `
			C submit f => 1
			C submit f => 2
			W can f
			W grab => 1
			W grab => 2
			W holds 1 => 1
			W holds 2 => 2
			V holds 1 => none
			W holds 3 => none
			complete 1 => 1 completed C
			W holds 1 => none`},
	})
}

func TestUnique(t *testing.T) {
	runRules(t, []rule{
		{"an empty unique never coalesces", Config{}, `
			C submit f payload=x => 1
			C submit f payload=x => 2`},
		{"a unique coalesces within its function while the job is queued or runs", Config{}, `
			C submit f unique=u => 1
			D submit f unique=u => joins 1
			D submit g unique=u => 2
			W can f
			W grab => 1
			C submit f unique=u => joins 1
			complete 1 => 1 completed C D C
			C submit f unique=u => 3`},
		{"the first payload stays", Config{}, `
			C submit f unique=u payload=x => 1
			D submit f unique=u payload=y high => joins 1
			show 1 => waiting, attempts 0, 0/0, payload "x", C D`},
		{"- coalesces on the payload within the function", Config{}, `
			C submit f unique=- payload=x => 1
			C submit f unique=- payload=y => 2
			C submit g unique=- payload=x => 3
			C submit f unique=x => 4
			D submit f unique=- payload=x => joins 1`},
		{"- with an empty payload does not coalesce", Config{}, `
			C submit f unique=- => 1
			C submit f unique=- => 2`},
		{"one client twice is listed twice", Config{}, `
			C submit f unique=u => 1
			C submit f unique=u => joins 1
			W can f
			W grab => 1
			complete 1 => 1 completed C C`},
		{"a delayed job is joined as well", Config{}, `
			C submit f bg unique=u at=2000 => 1
			D submit f unique=u => joins 1
			show 1 => delayed, attempts 0, 0/0, background, payload "", D`},
		{"a unique finds the oldest job of any function", Config{}, `
			C submit g unique=u => 1
			C submit f unique=u => 2
			C submit f unique=- payload=x => 3
			unique u => 1
			cancel 1 => 1 cancelled C; true
			unique u => 2
			unique x => none
			unique - => none`},
		{"a running job that was cancelled is not joined, in foreground or background", Config{JobRetries: -1}, `
			C submit f bg unique=u payload=x => 1
			W can f
			W grab => 1
			cancel 1 => false
			C submit f bg unique=u payload=y => 2
			D submit f unique=u => joins 2
			unique u => 2
			W gone => 1 cancelled
			show 2 => waiting, attempts 0, 0/0, background, payload "y", D`},
		{"a running foreground job that was cancelled is not joined", Config{}, `
			C submit f unique=u => 1
			W can f
			W grab => 1
			cancel 1 => false
			D submit f unique=u => 2
			complete 1 => 1 completed C
			W grab => 2
			complete 2 => 2 completed D`},
		{"nor is one by its payload", Config{}, `
			C submit f bg unique=- payload=x => 1
			W can f
			W grab => 1
			cancel 1 => false
			C submit f bg unique=- payload=x => 2
			C submit f bg unique=- payload=x => joins 2`},
		{"a held job that was cancelled is not joined", Config{}, `
			C submit f bg hold unique=u => 1
			cancel 1 => false
			C submit f bg hold unique=u => 2
			D submit f unique=u => joins 2
			release 1 => 1 cancelled
			release 2
			W can f
			W grab => 2`},
		{"a held job with a time that was cancelled is not joined", Config{}, `
			C submit f bg hold unique=u at=5000 => 1
			cancel 1 => false
			C submit f bg unique=u at=5000 => 2
			release 1 => 1 cancelled
			C submit f bg unique=u => joins 2`},
		{"a spilled job that was cancelled is not joined", Config{Memory: 8, Spill: true}, `
			restore 1 f unique=u size=100
			W can f
			W grab => 1
			cancel 1 => false
			C submit f bg unique=u => 2
			W gone => 1 cancelled
			show 2 => waiting, attempts 0, 0/0, background, payload "",`},
		{"a dead job does not become one that was cancelled", Config{DeadMax: 9}, `
			restoredead 5 f 900 unique=u
			C submit f bg unique=u => 6
			W can f
			W grab => 6
			cancel 6 => false
			retrydead 5 => 5 again
			C submit f unique=u => joins 5`},
		{"one that is cancelled during its retry is not joined", Config{DeadMax: 9}, `
			restoredead 5 f 900 unique=u
			retrydead 5 hold => 5 again
			cancel 5 => false
			C submit f bg unique=u => 6
			release 5 => 5 cancelled
			show 6 => waiting, attempts 0, 0/0, background, payload "",`},
	})
}

func TestClients(t *testing.T) {
	runRules(t, []rule{
		{"a queued foreground job is dropped with its last client", Config{}, `
			C submit f unique=u => 1
			D submit f unique=u => joins 1
			C gone
			show 1 => waiting, attempts 0, 0/0, payload "", D
			D gone => 1 abandoned
			functions => f 0/0/0 0 0 0 0`},
		{"a delayed foreground job as well", Config{}, `
			C submit f at=2000 => 1
			C gone => 1 abandoned
			next => 0 false`},
		{"a running one runs on and its result is ignored", Config{}, `
			C submit f => 1
			W can f
			W grab => 1
			C gone
			show 1 => running, attempts 0, 0/0, ignored, payload "",
			complete 1 => 1 completed`},
		{"an ignored job ends when its worker loses it", Config{JobRetries: -1}, `
			C submit f => 1
			W can f
			W grab => 1
			C gone
			W gone => 1 abandoned`},
		{"a new client makes it wanted again", Config{JobRetries: -1}, `
			C submit f unique=u => 1
			W can f
			W grab => 1
			C gone
			D submit f unique=u => joins 1
			W gone => 1 requeued from W: worker lost`},
		{"a job that any submission made background is never dropped", Config{}, `
			C submit f unique=u => 1
			D submit f unique=u bg => joins 1 and makes it background
			D submit f unique=u bg => joins 1
			C gone
			show 1 => waiting, attempts 0, 0/0, background, payload "",`},
		{"a background job that foreground clients join is not dropped with them", Config{}, `
			C submit f unique=u bg => 1
			D submit f unique=u => joins 1
			D gone
			show 1 => waiting, attempts 0, 0/0, background, payload "",`},
		{"a connection that is both worker and client abandons its own job", Config{JobRetries: -1}, `
			W submit f => 1
			W can f
			W grab => 1
			W gone => 1 abandoned`},
	})
}

func TestLostWorkers(t *testing.T) {
	runRules(t, []rule{
		{"the jobs go back to the head of their queue in their order", Config{JobRetries: 2}, `
			C submit f => 1
			C submit f => 2
			C submit f => 3
			W can f
			W grab => 1
			W grab => 2
			W gone => 2 requeued from W: worker lost; 1 requeued from W: worker lost
			V can f
			V grab => 1
			V grab => 2
			V grab => 3`},
		{"status is 0/0 again and the attempt counts", Config{JobRetries: 2}, `
			C submit f => 1
			W can f
			W grab => 1
			status 1 3 7
			show 1 => running, attempts 0, 3/7, payload "", C
			W gone => 1 requeued from W: worker lost
			show 1 => waiting, attempts 1, 0/0, payload "", C`},
		{"0 is one attempt: the first loss ends the job", Config{JobRetries: 0}, `
			C submit f => 1
			W can f
			W grab => 1
			W gone => 1 retries exhausted C`},
		{"three attempts in all: the third loss ends the job", Config{JobRetries: 3}, `
			C submit f bg => 1
			W can f
			W grab => 1
			giveback 1 => 1 requeued from W: given back
			W grab => 1
			giveback 1 => 1 requeued from W: given back
			W grab => 1
			giveback 1 => 1 retries exhausted`},
		{"retries for ever", Config{JobRetries: -1}, `
			C submit f => 1
			W can f 10
			W grab => 1
			at 1010 => 1 requeued from W: timed out
			W grab => 1
			at 1020 => 1 requeued from W: timed out`},
		{"a time limit takes the job from the worker", Config{JobRetries: 2}, `
			C submit f => 1
			W can f 50
			W grab => 1
			next => 1050 true
			at 1049
			at 1050 => 1 requeued from W: timed out
			W holds 1 => none
			next => 0 false`},
		{"a job that is done in time has no limit left", Config{}, `
			C submit f => 1
			W can f 50
			W grab => 1
			complete 1 => 1 completed C
			next => 0 false`},
		{"a job that goes back wakes", Config{JobRetries: 2, Wakeups: 1}, `
			C submit f => 1
			W can f
			V can f
			W grab => 1
			V sleep
			W gone => 1 requeued from W: worker lost; wake V`},
	})
}

func TestAbilities(t *testing.T) {
	runRules(t, []rule{
		{"CAN_DO twice counts once and the later limit holds", Config{JobRetries: 2}, `
			C submit f => 1
			C submit f => 2
			W can f 50
			W can f 20
			functions => f 0/2/0 0 0 1 0
			W grab => 1
			next => 1020 true
			W can f
			W grab => 2
			next => 1020 true
			W cannot f
			functions => f 0/0/0 0 2 0 0`},
		{"CANT_DO leaves a running job alone", Config{}, `
			C submit f => 1
			C submit f => 2
			W can f
			W grab => 1
			W cannot f
			W grab => none
			W holds 1 => 1
			complete 1 => 1 completed C`},
		{"RESET_ABILITIES leaves a running job alone", Config{}, `
			C submit f => 1
			W can f
			W can g
			W grab => 1
			W reset
			functions => f 0/0/0 0 1 0 0; g 0/0/0 0 0 0 0
			complete 1 => 1 completed C`},
		{"a function stays until it is dropped", Config{}, `
			W can f
			create g
			create g
			W gone
			functions => f 0/0/0 0 0 0 0; g 0/0/0 0 0 0 0
			drop f
			functions => g 0/0/0 0 0 0 0
			drop f => function not found: "f"`},
		{"a function with workers or jobs is not dropped", Config{}, `
			W can f
			drop f => function has workers or jobs: "f"
			W gone
			C submit f => 1
			drop f => function has workers or jobs: "f"
			cancel 1 => 1 cancelled C; true
			C submit f bg hold => 2
			drop f => function has workers or jobs: "f"
			abort 2
			drop f`},
	})
}
