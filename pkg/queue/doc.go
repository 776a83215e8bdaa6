// Package queue is the state of a job server: which jobs there are, who can do
// them, who waits for them, and what happens next. It does no I/O, starts no
// goroutines, takes no locks and reads no clock: its owner passes time in, and
// lets one call in at a time.
//
// There are two clocks, both in milliseconds. The time now, which most calls
// take, is monotonic: it measures time limits, the waits of failed jobs and
// [Config].WakeAfter, and nobody can set it. [Queue.SetClocks] says what the
// wall clock shows meanwhile, in Unix time. Dates are the wall clock's:
// [Submission].RunAt, [Job.Accepted], [Dead].Started and Died. When somebody
// sets the wall clock, dates come sooner or later, and nothing else changes.
//
// Its types:
//
//   - [Queue] holds everything; the server calls it for each packet and when
//     [Queue.Next] says that a time has come;
//   - [Job] is one job, [Function] a name that jobs ask for;
//   - [Peer] is one connection, as worker and as client;
//   - [Sink] is told what the queue's calls owe to others: NOOPs, ends; as an
//     [Undertaker] also what comes into and leaves the dead list;
//   - [Policy] says how often a job that fails is tried, [Dead] is one that was
//     tried often enough;
//   - [Submission] is what goes in, [Snapshot] what all faces show.
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
//	                  ▼  │ Retry; DELAYED: Fail with a policy    │
//	                 RUNNING ─ Complete, Fail, lost too often ───┴► ENDED
//	                                        │
//	                            Revive ◄─ DEAD ─► forgotten
//
// A job that ends is told to [Sink.Ended] exactly once, and after a Revive once
// again; only one that Abort takes away is not. A running job whose last client
// leaves, or that is cancelled, runs on, and ends instead of going back.
//
// # The rules
//
// Grab:
//
//   - the highest priority first, across all functions of the worker; within
//     a priority the function that the worker added last, or from there in turn
//     with Config.RoundRobin; within function and priority the oldest
//     job;
//   - a job that goes back goes to the head, with status 0/0, and MoveToFront takes
//     a waiting one there;
//   - a worker that turns out to have a waiting job all the time gets it back
//     (GrabAgain).
//
// Unique:
//
//   - the empty one never coalesces;
//   - "-" coalesces on the payload within the function, if there is a payload;
//   - any other coalesces on function and unique, whole and at any length that a
//     job can have, with a job in any state, unless that was cancelled and is about
//     to end; that job keeps its payload, priority and time;
//   - each foreground submission waits by itself: a client that submits twice
//     is listed twice;
//   - a job that was ever submitted as background is never dropped for want of
//     clients; a foreground one is dropped if its last client leaves while it
//     waits, and runs on unwanted if it runs.
//
// Loss of a worker:
//
//   - its jobs go back at once, one attempt counted for each; so they do when
//     the time limit of the ability passes, and by Retry. A spilled job counts
//     none: its worker never had it;
//   - a job that was lost Config.JobRetries times ends Exhausted.
//
// Failure:
//
//   - a job that its worker says failed ends, or is tried again as often as the
//     function's Policy allows; failures and losses are counted apart, each
//     against its own limit;
//   - it is delayed first, and then goes to the tail of its queue: at the head, a
//     job that always fails would keep its function from the others;
//   - who waits for it goes on waiting;
//   - a background job that ends Failed or Exhausted, and was not cancelled, goes
//     to the dead list, which Config.DeadMax and DeadAge bound. Revive makes it a
//     job again, with its number and handle and without its attempts.
//
// Memory:
//
//   - Config.Memory bounds what jobs hold that do not run. A fresh job over it is
//     refused, unless the journal can keep the payload instead (Config.Spill);
//     memory.go has the marks at which it does;
//   - a spilled job is grabbed as any other, and has to be Loaded before its
//     worker can have it. Wanted says which to read ahead.
//
// Loading:
//
//   - while a journal is read (SetLoading), background jobs that come in wait
//     behind all that it brings; foreground ones are served at once;
//   - a submission joins only jobs that are there: the owner keeps those back
//     whose unique may still come. A restored job whose unique is taken runs too.
//
// Abilities:
//
//   - CAN_DO twice counts once, and the later time limit holds for the jobs
//     grabbed from then on;
//   - CANT_DO and RESET_ABILITIES leave running jobs alone;
//   - a function stays until it is dropped, which workers and jobs forbid, or
//     nobody has used it for Config.ForgetAfter.
//
// Limits:
//
//   - a limit is chosen by the submission's priority and compared with all jobs
//     of the function: waiting ones of each priority, delayed, held, running.
//     So does gearmand's maxqueue;
//   - a submission that coalesces, and a restored job, is never refused.
//
// Waking:
//
//   - PRE_SLEEP is answered with a NOOP at once if a job is ready; otherwise
//     only sleeping workers get NOOPs;
//   - a job that becomes ready, for whatever reason, wakes Config.Wakeups
//     sleeping workers;
//   - with Config.Gather that waits for Rouse. Jobs that a worker has got by then
//     wake nobody, and who was woken already and has not asked counts;
//   - wake.go states what keeps a job from waiting beside a sleeping worker for
//     longer than Config.WakeAfter.
//
// # Cost
//
// Grab and Complete allocate nothing, Submit twice: the job, and one block for
// its payload, unique and reducer. A background job that waits takes 80 bytes
// and 9 in the index beside that block, and some 38 more if it has a unique;
// one with clients, a time or a lost worker takes 72 more, and each client 48.
// A spilled job has 8 bytes in place of its payload, 48 if its unique is "-".
// The text of a job's last trouble comes with some 50 more.
//
// These take one step, whatever the number of functions, workers and jobs:
// Submit, Release, Abort, Grab, GrabAgain, Held, Complete, Fail, Bury, Note, Retry,
// SetStatus, Lookup, Cancel, CanDo, CantDo, PreSleep, Loaded, Totals, Revive,
// Forget, LookupDead, ReleaseDead, and Restore, RestoreHead and RestoreDead in
// their order. To that add
//
//   - a step for each different ability list that has the function, when it
//     gets its first or loses its last ready job of a priority, and when it
//     wakes: workers that added the same functions in the same order share one;
//   - a step for each of its functions when a worker asks or sleeps for the
//     first time after its abilities changed;
//   - a step for each function that Rouse may have to wake for;
//   - the logarithm of the delayed and time-limited jobs for those;
//   - the hash of the unique, or of the payload if the unique is "-";
//   - a copy of the unique and reducer when a payload is dropped, and of the
//     payload when a Loaded or revived job has those; a digest of the payload when
//     it is dropped and the unique is "-".
//
// These take as many steps as their caller allows, and have to be called again
// if there is more to do, so that no call takes long: Remove (for each job, wait
// and ability of the peer), Purge, EndLoading, ByUnique (for each function),
// JobsAfter, DeadAfter, FunctionsAfter and SnapshotAfter. Tick sets its own
// bound. Jobs, Dead, Functions and Snapshot take a step for all that they show;
// Wanted says it itself.
package queue
