// Package runner runs a command as a child process, one per job: the payload
// goes to its stdin, its stdout comes back in chunks, and when Run returns
// nothing of the job is left. Or, with a [Keeper], one child serves many jobs, a
// line in and a line out.
//
// A [Command] is what all jobs have in common and may run any number of them at
// once; a [Job] is what differs; a [Result] is how it ended. [Subreap], which a
// program calls at its start if it wants that, widens "nothing is left" from the
// child's process group to all of its descendants.
//
// # The life of a child
//
//	Run ── start ──> running ──────────────── exits by itself ───┐
//	                   │ time is up, context done, Stdout failed │
//	                   v                                         │
//	               SIGTERM to the group ───── exits ─────────────┤
//	                   │ KillAfter                               │
//	                   v                                         v
//	               SIGKILL to the group ───── exits ────────> reaped
//	                   ^                                         │
//	               Job.Kill closed                    anything left in the group,
//	                                                  any stray found by Subreap?
//	                                                     │ no          │ yes
//	                                                     v             v
//	            Result <── pipes drained, closed <───── gone <── SIGTERM (once),
//	                                                             SIGKILL
//
// The child leads a process group of its own. The group is signalled as one, and
// SIGTERM goes to it once in its life, be it for a time-out or for members that
// the child has left behind. The exit status is the child's, whatever became of
// the rest. A pipe that an escaped process still holds open ends the job no
// later: what is in it is taken, then it is closed.
//
// stdin, stdout and stderr are separate pipes, pumped side by side, so that
// neither end can block the other. A payload that fits into the pipe is in it
// before the child starts.
//
// # If this process is killed
//
// By SIGKILL, it can end nothing any more. [Command.Pdeathsig] has the Linux
// kernel signal the child, and [Guard] starts a process that then kills all that
// the jobs have started. On other systems a child sees its pipes closed and no
// more.
//
// # Goroutines
//
// On Linux a child that is over within 50 ms, or 1 ms after its first output, needs
// none: Run waits for it in one system call, and looks at its context and at
// Job.Kill only then. Otherwise each belongs to one Run, which does not return
// before they have:
//
//	await    until the child has ended; in a system call, so it takes a thread
//	stdin    if the payload is larger than the pipe; until it is written, nobody
//	         reads any more, or the job's processes are gone
//	stdout   if Job.Stdout is set; until the pipe's end, an error of Stdout, or the
//	         job's processes are gone and the pipe is drained
//	stderr   if it is kept or copied; as stdout
//	control  if Job.Control is set; as stdout
//
// Run itself supervises, on the caller's goroutine: it alone sends signals, and
// reaps the child and the orphans of its job. An orphan that escapes, and so
// outlives its job, is reaped by the next Run or, in an idle process, at the
// SIGCHLD that its end brings:
//
//	reapLeftovers  started by a Run that leaves orphans behind, or by Subreap in
//	               process 1; until there are no orphans, in process 1 for good
//
// The child of a Keeper has one that supervises it, with await and stderr as
// above, from its start until it is gone, which Close waits for. A payload that
// the pipe has no room for has one for the time of its job. Answers are read on
// the caller's.
package runner
