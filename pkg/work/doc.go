// Package work turns any program into a Gearman worker. It runs the program as a
// child process for each job: the payload of the job is the stdin of the child,
// and its stdout is the result. The command gm work is a face of this package.
//
// A [Config] says which functions the worker does and how. [New] checks it and
// returns a [Worker], and [Worker.Run] does the jobs:
//
//	w, err := work.New(work.Config{
//		Options: gearman.Options{
//			Servers: []gearman.Server{{Network: "tcp", Addr: "localhost:4730"}},
//			Logger:  slog.Default(),
//		},
//		Functions: []string{"squeeze"},
//		Command:   []string{"gzip", "-9"},
//		Jobs:      4,
//		Timeout:   time.Minute,
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	if err := w.Run(ctx); err != nil { // until ctx is done and the running jobs have ended
//		log.Fatal(err)
//	}
//
// A worker prints nothing and handles no signals. It writes to Config.Logger, and
// calls the functions of the Config for each event.
//
// # Programs
//
// A worker has one of these:
//
//   - Config.Command: one program for all functions. Config.Commands has another
//     program for some of them.
//   - Config.Command with Config.Keep: a child that serves many jobs. See [Protocol].
//   - Config.Dir: the executable files of a directory. The name of each is a function.
//   - Config.Output: no program. The payloads are written to it.
//
// # The end of a job
//
// Exit code 0 completes the job. Exit code 75 gives it back to its queue, and so
// does a system without room for another process. All other codes, signals and
// timeouts fail it. The client then gets a warning, or with Config.Exception an
// exception, that has the last lines of the program's stderr and a line for
// programs, such as "gm-exit: 3 (exit status 3)". With Config.Chain the worker
// submits a next job before it ends the first one.
//
// # Environment of a program
//
//	GEARMAN_FUNCTION  name of the function
//	GEARMAN_HANDLE    handle of the job
//	GEARMAN_UNIQUE    unique of the job; empty if it has none
//	GEARMAN_SERVER    address of the server of the job
//	GM_SLOT           number from 1 to Config.Jobs; no other running job has it
//	GM_CONTROL_FD     file descriptor for control lines
//	GM_DEADLINE       end of Config.Timeout in Unix seconds, if there is one
//	GM_ATTEMPT        number of the attempt, from 1, with Config.Attempts
//
// A program reports to the client of its job by lines that it writes to the file
// descriptor GM_CONTROL_FD:
//
//	status 3 10       progress: a numerator and a denominator
//	warn TEXT         a warning
//	data TEXT         a line of the result, sent at once
//	data64 BASE64     a part of the result, sent at once
//
// # Jobs with a reducer
//
// A job with a reducer, as "gm map --background" submits it, does not go to the
// program. The worker cuts its payload into parts, submits each part as a job of
// the same function, and folds the results with jobs of the reducer. See
// [MapSpec].
//
// # One job's way through the package
//
//	doJob     perform.go    a job arrives; job.go has its type
//	ask       ask.go        ask its server for the attempt and the priority
//	runMapped mapreduce.go  it has a reducer: submit its parts, fold the results
//	runChild  command.go    or a new child does it; output.go handles its output
//	do        keep.go       or a kept child does it; keep_json.go speaks JSON
//	handOn    chain.go      submit the next job
//	conclude  outcome.go    log the end of the job, report a failure to the client
//
// # Goroutines
//
// Each call of Run has those of a [gearman.Worker]. With Config.Dir, another one
// reads the directory every second. Closing kept children takes one for each. Run
// returns after all of them have ended.
//
// # Killed workers
//
// On Linux the kernel kills the child of each job if the process of the worker is
// killed. For the descendants of children, the program that uses this package
// must call [runner.Subreap] and [runner.Guard] at its start.
package work
