// Package queue holds the state of a job server: the jobs, the workers that can
// do them, the clients that wait for them, and the rules for each. It does no
// I/O, starts no goroutines, takes no locks and reads no clock: its owner
// passes the time in, and makes one call at a time.
//
// There are two clocks, both in milliseconds. The time now, which most calls
// take, is monotonic: it measures time limits, the waits of failed jobs and
// [Config].WakeAfter, and nobody can set it. [Queue.SetClocks] passes in the
// wall clock as well, in Unix time. Dates are the wall clock's:
// [Submission].RunAt, [Job.Accepted], [DeadLetter].Started and Died. When somebody
// sets the wall clock, dates come sooner or later; nothing else changes.
//
// Its types:
//
//   - [Queue] holds everything; the server calls it for each packet, and at the
//     times that [Queue.Next] returns;
//   - [Job] is one job, [Function] is a name that jobs ask for;
//   - [Peer] is one connection, as worker and as client;
//   - [Sink] receives the NOOPs and the ends of jobs that calls of the queue
//     cause; a [DeadLetterSink] also receives new and dropped dead letters;
//   - [Policy] limits how often a failing job is retried, [DeadLetter] is a job
//     that has used all its tries;
//   - [Submission] is the input, [Snapshot] is the state that every interface
//     shows.
//
// # The life of a job
//
//	Submit, Restore
//	   │ │ │
//	   │ │ └─ Hold ─► HELD ── Abort ──────────────────► (never was)
//	   │ │             │
//	   │ │             ├─ Release, its time to come ─┐
//	   │ └─ RunAt ─────│─────────────────────────────┴► DELAYED ─┐
//	   │               │ Release                           │     │ Cancel
//	   │               ▼                                   │     │ Purge
//	   └───────────► WAITING ◄──────── Tick, it is due ────┘     │ last client left
//	                  │  ▲ │                                     │
//	             Grab │  │ └─ Cancel, Purge, last client left ───┤
//	                  │  │                                       │
//	                  │  │ to the head: worker gone, time over,  │
//	                  ▼  │ GiveBack; DELAYED: Fail with a policy │
//	                 RUNNING ─ Complete, Fail, lost too often ───┴► ENDED
//	                                        │
//	               RetryDeadLetter ◄─ DEAD LETTER ─► DropDeadLetter
//
// The queue reports the end of a job to [Sink.Ended] exactly once, and after a
// RetryDeadLetter once again; only a job that Abort removes is not reported. A
// running job whose last client leaves, or that is cancelled, runs on, and ends
// instead of going back.
//
// # The rules
//
// Grab:
//
//   - the highest priority comes first, across all functions of the worker;
//     within a priority the function that the worker added last, or the
//     functions in turn with Config.RoundRobin; within function and priority
//     the oldest job;
//   - a job that returns to its queue goes to the head, with status 0/0, and
//     MoveToFront moves a waiting one there;
//   - a worker that still has a job that the queue thought lost gets it back
//     (GrabAgain).
//
// Unique:
//
//   - an empty unique never coalesces;
//   - "-" coalesces on the payload within the function, if there is a payload;
//   - any other coalesces on function and unique, compared in full at any
//     length, with a job in any state, except a cancelled job that is about to
//     end; the existing job keeps its payload, priority and time;
//   - each foreground submission is a wait of its own: a client that submits
//     twice is listed twice;
//   - a job that was ever submitted as background is never dropped for lack of
//     clients; a foreground one is dropped if its last client leaves while it
//     waits, and runs on if it runs.
//
// Loss of a worker:
//
//   - its jobs return to their queues at once, and each counts one attempt. The
//     time limit of an ability and GiveBack have the same effect. A spilled job
//     counts no attempt: its worker never had it;
//   - a job that was lost Config.JobRetries times ends Exhausted.
//
// Failure:
//
//   - a job that its worker reports as failed ends, or is retried as often as
//     the function's Policy allows; failures and losses are counted separately,
//     each against its own limit;
//   - it is delayed first, and then goes to the tail of its queue: at the head, a
//     job that always fails would keep its function from the others;
//   - its clients go on waiting;
//   - a background job that ends Failed or Exhausted, and was not cancelled,
//     becomes a dead letter. Config.DeadMax and DeadAge bound these.
//     RetryDeadLetter makes one a job again, with its number and handle and
//     without its attempts.
//
// Memory:
//
//   - Config.Memory limits the memory of jobs that do not run. The queue
//     refuses a new job above the limit, unless the journal can keep the
//     payload instead (Config.Spill); memory.go lists the thresholds;
//   - a spilled job is grabbed like any other, and must be Loaded before its
//     worker can have it. Wanted lists the jobs to read ahead;
//   - while dead letters that the journal does not have hold more than a quarter
//     of the memory, spilled jobs are withheld from workers, and with them the
//     background jobs behind them. Foreground jobs overtake them (withhold.go).
//
// Loading:
//
//   - while the owner reads a journal (SetLoading), new background jobs wait
//     behind all jobs of the journal; foreground ones are served at once;
//   - a submission joins only jobs that the queue has: the owner holds back
//     submissions whose unique may still be in the journal. A restored job
//     whose unique is in use runs too.
//
// Abilities:
//
//   - a second CAN_DO of a function only sets the time limit of the jobs
//     grabbed from then on;
//   - CANT_DO and RESET_ABILITIES leave running jobs alone;
//   - a function stays until it is dropped, or until nobody has used it for
//     Config.ForgetAfter. It cannot be dropped while it has workers or jobs.
//
// Limits:
//
//   - a limit is chosen by the submission's priority and compared with all jobs
//     of the function: waiting ones of each priority, delayed, held, running.
//     gearmand's maxqueue works the same way;
//   - a submission that coalesces, and a restored job, is never refused.
//
// Waking:
//
//   - PRE_SLEEP is answered with a NOOP at once if a job is ready; otherwise
//     only sleeping workers get NOOPs;
//   - a job that becomes ready, for any reason, wakes Config.Wakeups sleeping
//     workers in the next Rouse. Jobs that a worker has grabbed before wake
//     nobody, and workers that were woken before and have not asked yet count;
//   - wake.go states the rule that no job waits longer than Config.WakeAfter
//     while a worker for it sleeps.
//
// # Cost
//
// Grab and Complete allocate nothing, Submit twice: the job, and one block for
// its payload, unique and reducer. Besides that block, a waiting background job
// takes 80 bytes, 9 in the index, and some 38 more if it has a unique; a job
// with clients, a time or a lost worker takes 72 more, and each client 48. A
// spilled job has 8 bytes in place of its payload, 48 if its unique is "-". The
// text of a job's last error takes its length and some 50 bytes more.
//
// These take one step, however many functions, workers and jobs there are:
// Submit, CountCoalesced, Release, Abort, Grab, GrabAgain, Held, Complete, Fail,
// FailForGood, Note, GiveBack, SetStatus, Lookup, Cancel, CanDo, CantDo, PreSleep,
// Loaded, Totals, RetryDeadLetter, DropDeadLetter, LookupDeadLetter,
// ReleaseDeadLetter, and Restore, RestoreHead and RestoreDeadLetter in their order. In
// addition they take
//
//   - a step for each different ability list that has the function, when it
//     gets its first or loses its last ready job of a priority, and when it
//     wakes: workers that added the same functions in the same order share one;
//   - a step for each of its functions when a worker asks or sleeps for the
//     first time after its abilities changed;
//   - a step for each function that Rouse may have to wake for;
//   - a step for each list of jobs that a grab finds withheld, and for each
//     function with such lists when the withholding ends, a thousand at most;
//   - the logarithm of the number of delayed and time-limited jobs, for such
//     jobs;
//   - the hash of the unique, or of the payload if the unique is "-";
//   - a copy of the unique and reducer when a payload is dropped, and of the
//     payload when a Loaded or retried job has a unique or a reducer; a digest
//     of the payload when it is dropped and the unique is "-".
//
// These take at most as many steps as their caller allows, and must be called
// again if there is more to do, so that no call takes long: Remove (for each
// job, wait and ability of the peer), Purge, EndLoading, ByUnique (for each
// function), JobsAfter, DeadLettersAfter, FunctionsAfter and SnapshotAfter. Tick sets
// its own bound. Jobs, DeadLetters, Functions and Snapshot take a step for each item
// that they show; the comment of Wanted states its own cost.
package queue
