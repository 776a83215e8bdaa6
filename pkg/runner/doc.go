// Package runner runs a command as a child process, one child for each job. The
// payload goes to the stdin of the child, and its stdout comes back in chunks.
// When [Command.Run] returns, no process of the job is left. With a [Keeper], one
// child serves many jobs, with a line in and a line out for each.
//
// A [Command] has the settings that all jobs share, and can run any number of jobs
// at the same time. A [Job] has the settings of one job, and a [Result] is its end.
// By default no process of the child's process group is left. A program that calls
// [Subreap] at its start extends this to all descendants of the child.
//
// # The life of a child
//
//	Run ── start ──> running ──────────────── exits ─────────────┐
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
// The child leads its own process group. Signals go to the whole group. SIGTERM is
// sent to it once, either after a timeout or to members that the child has left
// behind. The exit status is that of the child, independent of the other processes.
// If an escaped process keeps a pipe open, the job does not wait for it: the runner
// reads the bytes in the pipe and closes it.
//
// stdin, stdout and stderr are separate pipes with separate goroutines, so that no
// end can block another. A payload that fits into the pipe is written before the
// child starts.
//
// # If this process is killed
//
// After SIGKILL this process cannot end its children. With Command.Pdeathsig the
// Linux kernel signals the child, and [Guard] starts a process that then kills all
// processes of all jobs. On other systems the pipes of a child are closed, and
// nothing else happens.
//
// # Goroutines
//
// On Linux a child that ends within 50 ms, or within 1 ms of its first output, needs
// no goroutine: Run waits for it in one system call, and checks its context and
// Job.Kill only after that. Otherwise each goroutine belongs to one Run, which
// returns after the end of all of them:
//
//	await    until the child has ended; in a system call, so it takes a thread
//	stdin    if the payload is larger than the pipe; until it is written, the pipe
//	         has no reader, or the job's processes have ended
//	stdout   if Job.Stdout is set; until the end of the pipe, an error of Stdout, or
//	         the job's processes have ended and the pipe is drained
//	stderr   if it is kept or copied; as stdout
//	control  if Job.Control is set; as stdout
//
// Run itself supervises on the caller's goroutine. Only it sends signals, and reaps
// the child and the orphans of its job. An orphan that outlives its job is reaped by
// the next Run or, in an idle process, on the SIGCHLD of its end:
//
//	reapLeftovers  started by a Run that leaves orphans behind, or by Subreap in
//	               process 1; until there are no orphans, in process 1 for good
//
// The child of a Keeper has a goroutine that supervises it, with await and stderr as
// above, from its start to its end, for which Close waits. A payload that does not
// fit into the pipe has a goroutine until the end of its job. The caller's goroutine
// reads the answers.
package runner
