package queue

import "testing"

func TestLimits(t *testing.T) {
	runRules(t, []rule{
		{"a limit counts jobs of all priorities and running, delayed and held ones", Config{}, `
			limit f 5 4 0
			C submit f low => 1
			W can f
			W grab => 1
			C submit f bg at=2000 => 2
			C submit f bg hold => 3
			C submit f high => 4
			C submit f => job queue is full
			C submit f high => 5
			C submit f high => job queue is full
			C submit f low => 6
			C submit g => 7`},
		{"a submission that coalesces is not refused", Config{}, `
			limit f 1 1 1
			C submit f unique=u => 1
			C submit f => job queue is full
			C submit f unique=u => joins 1
			C submit f unique=v => job queue is full`},
		{"a restored job is not refused", Config{}, `
			limit f 1 1 1
			restore 1 f
			restore 2 f
			functions => f 0/2/0 0 0 0 0`},
		{"room is there again when a job ends", Config{}, `
			limit f 0 1 0
			C submit f => 1
			W can f
			W grab => 1
			C submit f => job queue is full
			fail 1 => 1 failed C
			C submit f => 2`},
	})
}

func TestHold(t *testing.T) {
	runRules(t, []rule{
		{"a held job waits for its release", Config{Wakeups: 1}, `
			W can f
			W sleep
			C submit f bg hold => 1
			functions => f 0/0/0 0 0 1 1
			W grab => none
			W sleep
			release 1 => wake W
			W grab => 1`},
		{"a held job with a time is delayed by its release", Config{}, `
			C submit f bg hold at=2000 => 1
			show 1 => held, attempts 0, 0/0, background, payload "",
			release 1
			show 1 => delayed, attempts 0, 0/0, background, payload "",`},
		{"a held job whose time passed meanwhile waits after its release", Config{}, `
			C submit f bg hold at=2000 => 1
			at 2500
			release 1
			show 1 => waiting, attempts 0, 0/0, background, payload "",`},
		{"an aborted job never was", Config{}, `
			C submit f bg hold unique=u => 1
			D submit f unique=u => joins 1
			abort 1
			D gone
			functions => f 0/0/0 0 0 0 0
			C submit f unique=u => 2
			release 1
			show 1 => ended, attempts 0, 0/0, background, payload "",`},
		{"a held job that is cancelled ends with its release", Config{}, `
			C submit f bg hold => 1
			cancel 1 => false
			release 1 => 1 cancelled`},
		{"a held foreground job whose client left ends with its release", Config{}, `
			C submit f hold => 1
			C gone
			release 1 => 1 abandoned`},
		{"a promoted job goes on while the journal is written", Config{}, `
			C submit f unique=u => 1
			D submit f unique=u bg hold => joins 1 and makes it background
			W can f
			W grab => 1
			release 1
			C gone
			show 1 => running, attempts 0, 0/0, background, payload "",`},
		{"a promoted job that is aborted is a foreground job again", Config{}, `
			C submit f unique=u => 1
			D submit f unique=u bg hold => joins 1 and makes it background
			abort 1
			show 1 => waiting, attempts 0, 0/0, payload "", C
			C gone => 1 abandoned`},
		{"a promoted job that is aborted after its clients left ends", Config{}, `
			C submit f unique=u => 1
			D submit f unique=u bg hold => joins 1 and makes it background
			C gone
			abort 1 => 1 abandoned
			abort 1
			release 1`},
		{"a promoted job that ended meanwhile stays ended", Config{}, `
			C submit f unique=u => 1
			D submit f unique=u bg hold => joins 1 and makes it background
			W can f
			W grab => 1
			complete 1 => 1 completed C
			release 1
			abort 1
			functions => f 0/0/0 0 0 1 0`},
	})
}

func TestAdmin(t *testing.T) {
	runRules(t, []rule{
		{"cancel ends a queued job at once", Config{}, `
			C submit f unique=u => 1
			D submit f unique=u => joins 1
			cancel 1 => 1 cancelled C D; true
			cancel 1 => false`},
		{"cancel marks a running job, whose result is still delivered", Config{}, `
			C submit f => 1
			W can f
			W grab => 1
			cancel 1 => false
			show 1 => running, attempts 0, 0/0, ignored, payload "", C
			complete 1 => 1 completed C`},
		{"a cancelled job does not run again", Config{JobRetries: -1}, `
			C submit f bg => 1
			W can f
			W grab => 1
			cancel 1 => false
			W gone => 1 cancelled`},
		{"a paused function hands out nothing and wakes nobody", Config{Wakeups: 1}, `
			W can f
			pause f
			W sleep
			C submit f => 1
			W grab => none
			W sleep
			functions => f 0/1/0 0 0 1 1
			resume f => wake W
			W grab => 1
			pause g => function not found: "g"`},
		{"resume wakes a worker for each job", Config{Wakeups: 1}, `
			U can f
			V can f
			W can f
			pause f
			C submit f => 1
			C submit f => 2
			U sleep
			V sleep
			W sleep
			resume f => wake U; wake V`},
		{"purge ends what waits and what is delayed", Config{}, `
			C submit f => 1
			C submit f bg low => 2
			C submit f bg at=2000 => 3
			C submit f bg hold => 4
			C submit g => 5
			W can f
			W grab => 1
			purge f => 2 purged; 3 purged; 2
			functions => f 0/0/0 0 1 1 0; g 0/1/0 0 0 0 0
			purge h => 0; function not found: "h"`},
		{"status is not kept after the end", Config{}, `
			C submit f => 1
			status 1 1 2
			show 1 => waiting, attempts 0, 0/0, payload "", C
			W can f
			W grab => 1
			status 1 1 2
			complete 1 => 1 completed C
			status 1 2 2
			show 1 => ended, attempts 0, 0/0, payload "",
			complete 1
			fail 1
			giveback 1`},
	})
}

func TestRestore(t *testing.T) {
	runRules(t, []rule{
		{"restored jobs keep their order and numbers go on behind them", Config{}, `
			restore 7 f
			restore 9 f
			C submit f => 10
			W can f
			W grab => 7
			W grab => 9
			W grab => 10`},
		{"a restored job is background, delayed if need be, and is joined", Config{}, `
			restore 7 f unique=u at=2000 payload=x
			show 7 => delayed, attempts 0, 0/0, background, payload "x",
			D submit f unique=u => joins 7
			D gone
			next => 2000 true`},
		{"a number that is taken is refused", Config{}, `
			restore 7 f
			restore 7 f => restore job 7: number is already in use`},
		{"two with one unique both stay, and the older is joined", Config{}, `
			restore 7 f unique=u
			restore 8 f unique=u
			D submit f unique=u => joins 7
			cancel 7 => 7 cancelled D; true
			D submit f unique=u => joins 8`},
		{"so do three, whichever ends first", Config{}, `
			restore 7 f unique=u
			restore 8 f unique=u
			restore 9 f unique=u
			restore 10 f unique=u
			cancel 10 => 10 cancelled; true
			cancel 8 => 8 cancelled; true
			D submit f unique=u => joins 7
			cancel 7 => 7 cancelled D; true
			D submit f unique=u => joins 9`},
	})
}
