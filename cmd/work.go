package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"gm/internal/logsink"
	"gm/internal/tune"
	"gm/pkg/gearman"
	"gm/pkg/runner"
	"gm/pkg/work"
)

func workVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "work",
			Usage:       "do jobs: run a command for each",
			ArgsUsage:   "[--] [CMD [ARG..]]",
			Description: workDescription,
			Flags:       slices.Concat(workFlags(), keepFlags(), chainFlags(), e.connFlags(), []cli.Flag{payloadFlag()}),
			Action:      e.work,
		},
		examples: []example{
			{"a worker that reverses lines", "gm work -f rev -- rev"},
			{"four jobs at a time, a minute for each", "gm work -f squeeze -j 4 -t 1m -- gzip -9"},
			{"a small script", "gm work -f count --shell 'wc -c | tr -d \" \"'"},
			{"lines of the result go out as they are written", "gm work -f clock -n --shell 'for i in 1 2 3; do date; sleep 1; done'"},
			{"a function for each program in a directory", "gm work --dir ~/jobs -j 4"},
			{"a chain: results go on to store, payloads that fail to another function", "gm work -f double --next store --on-fail double-failed -- awk '{print 2*$1}'"},
			{"one awk for many jobs", "gm work -f square --keep -- awk '{ print $1 * $1; fflush() }'"},
			{"one jq for many jobs, of any bytes", "gm work -f upper --keep=json -- jq --unbuffered -c '{payload: (.payload | @base64d | ascii_upcase | @base64)}'"},
			{"progress from within a script", "gm work -f slow --shell 'for i in 1 2 3; do gm tell status $i 3; sleep 1; done'"},
			{"from cron: do what has gathered, then end", "gm work -f squeeze --until-empty --idle 10s -j 4 -- gzip -9"},
			{"one job for a look at what is sent", "gm work -f rev -c 1"},
		},
		exits:        []int{exitIO, exitNotExecutable, exitNotFound, exitSignal},
		argsEndFlags: true,
		dataArgs:     true,
		ownSignals:   true,
	}
}

const workDescription = `
Takes the jobs of the functions -f from all servers, -j at a time, and runs CMD
for each: the payload is its stdin, its stdout the result. Flags end at CMD, so
that it can have flags of its own. Without CMD the payloads are printed on
stdout and the results are empty; if stdout cannot be written, the job goes back
to its queue and gm work ends, with 74.

CMD is not run by a shell unless --shell is given, and the payload never is. In
its environment are GEARMAN_FUNCTION, GEARMAN_HANDLE, GEARMAN_UNIQUE,
GEARMAN_SERVER, GM_SLOT (1 to -j), GM_CONTROL_FD, with -t also GM_DEADLINE (Unix
seconds), and with --attempts GM_ATTEMPT (from 1; only gm serve tells it). GM_STORE
is left out, which may hold a password of gm serve.

Exit code 0 completes the job. 75 gives it back to the queue: the server counts
an attempt. So does a system that has no room for another process. Any other
code, and a signal, fails it: the last of stderr goes to
the client as a warning, or as an exception with --exception, ended by a line for
programs such as "gm-exit: 3 (exit status 3)". See gm submit --propagate.

--dir takes the executable files of a directory for functions, a file for the
function of its name, suffix and all. The files run without arguments, and share
-j. Hidden files and those that end in ~ are left out; -f leaves out all that it
does not name. The directory is looked at once a second: files that are new, have
changed or are gone, and the whole directory, are noticed without a restart. What
runs is finished by the file with which it began, if that was replaced by mv. A
job whose file has gone goes back to its queue.

--next makes chains that need no client: a result is the payload of a background
job of another function, which the server has accepted before the job itself is
completed. --on-fail submits the payload of a job that has failed, as it came,
before it is failed; to its client it has failed all the same. If the server does
not take the next job, as its queue is full or its store is ill, the job waits half
a minute and then goes back to its queue; a result that it will never take fails
the job. The next job is on the same server. Its unique is that of the job, up to
the last ~ if there is one, and ~ and a hash of the job: one that was done twice
has one that follows it, as long as that waits. A chain ends at its last function,
also if -f or --dir has it.

A job with a reducer G, as gm map -b submits it, is not for CMD. Its payload is cut
up, by default into blocks of lines of 1 MiB, which are jobs of the same function
for all workers of it; their results are folded by jobs of G, as gm map --reduce
does, and the last is the job's. Meanwhile it lends its slot, so that -j 1 does the
parts too, and beyond -c if need be. They have high priority. If one fails, so does
the job, and a warning says which. --next is given the results of parts as well.

While it runs, a command can report to the client. It writes lines to the file
descriptor GM_CONTROL_FD, or calls gm tell, which does: "status 3 10" is progress,
"warn TEXT" a warning, "data TEXT" a line of the result, sent at once.

--keep has one child a slot serve many jobs: for each payload a line on its stdin,
for each result a line on its stdout, newlines included, which it must write at
once. mawk, jq, sed, grep, perl and python are given what they need for that; other
awks need fflush(), ruby needs $stdout.sync = true, tr and the like stdbuf -oL
before them, and a script of a shell what its programs need: awk -W interactive for
mawk, jq --unbuffered, sed -u. A payload may end in a newline; one
with a newline within fails. --keep=netstring takes any payload, as 5:hello, in
both directions, --keep=json an object a line:

    in   {"handle": "H:...", "function": "...", "unique": "...", "server": "...",
         "payload": BASE64}; with -t "deadline" (Unix seconds), with --attempts
         "attempt"
    out  {"payload": BASE64} completes the job, {"fail": TEXT} fails it, also with
         "exit": N, {"exception": TEXT} does so with an exception, {"retry": TEXT}
         gives it back to the queue; before that, in lines of their own or in the
         same, "data": BASE64 (a piece of the result), "status": [3, 10] and
         "warning": TEXT. "handle" may be there, and must be the job's then; any
         other name is an error

A child that ends without an answer fails its job like any command; after one that
has never answered the next starts after a pause, from 100 ms to 10 s. One that
writes more than an answer, answers something else or does not answer within -t is
replaced and fails its job; a job that it has not been given yet goes to the new
one. What it writes unasked is found before the next payload is written: so no
answer goes to another job. Not found, but said in the log, is output before the
answer that is not written with it in one go; with --keep=json "handle" tells.
Children have GM_SLOT, GM_KEEP (line, netstring, json) and, with a single -f,
GEARMAN_FUNCTION in their environment. To end one its stdin is closed.

A job that is too late (-t), whose server is lost, or which gm cancel --running
cancels, is stopped: SIGTERM to its
process group, SIGKILL after --kill-after. What a command leaves running when it
ends is stopped likewise. If gm work itself is killed, all of that is killed on
Linux; elsewhere commands see their pipes closed.

--until-empty ends with 0 when every server has answered that it has no job for this
worker, and no job of it runs; with --idle TIME, when that was so for TIME. Jobs
that are delayed, wait to be tried again, are paused, or run elsewhere do not count.
A server that cannot be reached, or still reads its store, is waited for.

SIGTERM or SIGINT: take no more jobs, finish those that run, exit with 0. A
second time: stop the running jobs too, which gives them back to their queue, and
exit with 128+n. A third time: SIGKILL. The same signal within half a second
counts once. SIGHUP does the same on a terminal, which has closed; without one it
makes the worker finish what runs, read the configuration again and start afresh.
SIGHUP and SIGINT that were ignored at start, as under nohup, stay ignored, and
SIGQUIT with SIGINT; SIGTERM and others do not. Without a server gm work waits for
one.
`

func workFlags() []cli.Flag {
	const jobs = "Jobs"
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "function", Aliases: []string{"f"}, Usage: "`FUNC` to do; repeatable, or divided by commas: the first one goes first"},
		&cli.StringFlag{Name: "dir", Usage: "each executable file in `DIR` is a function of its name; with -f, only those"},
		&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: 1, Usage: "do `N` jobs at a time"},
		&cli.IntFlag{Name: "count", Aliases: []string{"c"}, Usage: "end after `N` jobs"},
		&cli.BoolFlag{Name: "until-empty", Usage: "end when no server has a job left"},
		durationFlag(0, cli.GenericFlag{Name: "idle", Usage: "with --until-empty, wait `TIME` for more jobs before the end"}),
		&cli.StringFlag{Name: "id", Aliases: []string{"i"}, Usage: "`ID` that the server shows for this worker"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log each job on stderr"},

		&cli.BoolFlag{Name: "shell", Category: jobs, Usage: "CMD is a script for /bin/sh -c"},
		durationFlag(0, cli.GenericFlag{Name: "timeout", Aliases: []string{"t"}, Category: jobs, Usage: "stop and fail a job after `TIME`; a bare number is in milliseconds"}),
		durationFlag(5*time.Second, cli.GenericFlag{Name: "kill-after", Category: jobs, Usage: "`TIME` from SIGTERM to SIGKILL"}),
		&cli.BoolFlag{Name: "stream", Category: jobs, Usage: "send stdout while it is written, in pieces"},
		&cli.BoolFlag{Name: "lines", Aliases: []string{"n"}, Category: jobs, Usage: "send stdout while it is written, a line at a time"},
		&cli.BoolFlag{Name: "exception", Category: jobs, Usage: "a failure is an exception, with the last of stderr as its text"},
		&cli.BoolFlag{Name: "attempts", Category: jobs, Usage: "ask the server which attempt a job is, for GM_ATTEMPT"},
	}
}

func chainFlags() []cli.Flag {
	const category = "Chains"
	return []cli.Flag{
		&cli.StringFlag{Name: "next", Category: category, Usage: "submit each result to `FUNC`, in the background, before its job is completed"},
		&cli.StringFlag{Name: "on-fail", Category: category, Usage: "submit the payload of each job that fails to `FUNC`, in the background, before it is failed"},
		&cli.StringFlag{Name: "next-priority", Category: category, Value: "normal", Usage: "`PRIORITY` of these jobs: high, normal, low, or same as the job's, which only gm serve tells"},
	}
}

// keepValue is the value of --keep, which may be left out.
type keepValue string

// Set takes the name of a protocol, or true for lines.
func (v *keepValue) Set(s string) error {
	switch s {
	case "true":
		s = string(work.KeepLine)
	case "false":
		s = ""
	case string(work.KeepLine), string(work.KeepNetstring), string(work.KeepJSON):
	default:
		return fmt.Errorf("%q: not line, netstring or json", s)
	}
	*v = keepValue(s)
	return nil
}

func (v *keepValue) String() string { return string(*v) }

// keepFlag is a flag that takes a value only after "=".
type keepFlag struct{ *cli.GenericFlag }

func (keepFlag) TakesValue() bool { return false }

func keepFlags() []cli.Flag {
	const category = "Kept commands"
	return []cli.Flag{
		keepFlag{&cli.GenericFlag{
			Name: "keep", Value: new(keepValue), Category: category,
			Usage: "one child serves many jobs, a line in and a line out; or --keep=netstring, or --keep=json",
		}},
		&cli.IntFlag{Name: "max-jobs", Category: category, Usage: "replace the child after `N` jobs"},
		durationFlag(0, cli.GenericFlag{Name: "max-age", Category: category, Usage: "replace the child after `TIME`, between two jobs"}),
		childSizeFlag(0, cli.GenericFlag{Name: "max-rss", Category: category, Usage: "replace the child when it occupies more than `SIZE` of memory, between two jobs; Linux only"}),
	}
}

// work is the action of gm work.
func (e *env) work(c *cli.Context) error {
	log := e.newWorkLog(c)
	cfg, err := e.workConfig(c, log)
	if err != nil {
		return err
	}
	w, err := work.New(cfg)
	if err != nil {
		return workError(err)
	}
	if cfg.Output == nil {
		guardProcesses()
	}
	tune.LeastProcs() // for tune.Awake
	surviveBrokenPipes()
	signals, stop := notifySignals(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return runWorker(c.Context, w, log, signals)
}

// workError returns an error of work.New with its exit code and hint.
func workError(err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, runner.ErrNotFound):
		return withHint(exitWith(exitNotFound, err), hintCommand)
	case errors.Is(err, runner.ErrNotExecutable):
		return withHint(exitWith(exitNotExecutable, err), hintCommand)
	case errors.As(err, &path):
		return err
	}
	return usageErrorf("%w", err)
}

const hintCommand = "CMD is a program and its arguments; --shell takes a script"

// runWorker runs w until it ends. Signals stop it or start it afresh.
func runWorker(ctx context.Context, w *work.Worker, log *slog.Logger, signals <-chan os.Signal) error {
	ended := make(chan struct{})
	aborted := make(chan syscall.Signal, 1)
	go func() { aborted <- stopBySignals(w, log, signals, ended) }()
	err := w.Run(ctx)
	close(ended)
	var out *outputError
	if s := <-aborted; s != 0 && !errors.As(err, &out) {
		return &signalError{s}
	}
	return err
}

// stopBySignals stops w at the first signal, its jobs at the second, and kills them
// at the third, until ended is closed. SIGHUP without a terminal starts w afresh. It
// returns the last signal if that stopped jobs, and 0 otherwise.
func stopBySignals(w *work.Worker, log *slog.Logger, signals <-chan os.Signal, ended <-chan struct{}) (aborted syscall.Signal) {
	onTerminal := hasControllingTerminal()
	stops := 0
	for {
		var s syscall.Signal
		select {
		case <-ended:
			return aborted
		case next := <-signals:
			s = next.(syscall.Signal)
		}
		jobs := w.Running()
		if s == syscall.SIGHUP && !onTerminal {
			if stops == 0 {
				log.Info("finishing, then starting afresh", "signal", s.String(), "jobs", jobs)
				w.Restart()
			}
			continue
		}
		switch stops++; stops {
		case 1:
			text := "finishing"
			if jobs > 0 {
				text = "finishing the running jobs; the next signal stops them"
			}
			log.Info(text, "signal", s.String(), "jobs", jobs)
			w.Stop()
			continue
		case 2:
			log.Warn("stopping the running jobs; the next signal kills them", "signal", s.String(), "jobs", jobs)
			w.Abort()
		case 3:
			log.Warn("killing the running jobs", "signal", s.String(), "jobs", jobs)
			w.Kill()
		}
		aborted = s
	}
}

// workConfig returns the worker that the flags of gm work describe.
func (e *env) workConfig(c *cli.Context, log *slog.Logger) (work.Config, error) {
	cfg := work.Config{
		ID:         c.String("id"),
		Jobs:       c.Int("jobs"),
		MaxJobs:    c.Int("count"),
		UntilEmpty: c.Bool("until-empty"),
		Idle:       durationOf(c, "idle"),
		Functions:  workFunctions(c),
		Command:    c.Args().Slice(),
		Shell:      c.Bool("shell"),
		Dir:        c.String("dir"),
		Timeout:    durationOf(c, "timeout"),
		KillAfter:  durationOf(c, "kill-after"),
		Stream:     c.Bool("stream"),
		Lines:      c.Bool("lines"),
		Exception:  c.Bool("exception"),
		Attempts:   c.Bool("attempts"),
		Stderr:     e.stderr,
		Keep: work.Keep{
			Protocol: work.Protocol(*c.Generic("keep").(*keepValue)),
			MaxJobs:  c.Int("max-jobs"),
			MaxAge:   durationOf(c, "max-age"),
			MaxRSS:   sizeOf(c, "max-rss"),
		},
		Reload: func() ([]gearman.Server, error) { return e.servers(c) },
	}
	var busy tune.Awake
	cfg.OnStart = func(*gearman.Job) { busy.Note() }
	conn, err := e.optionsWithTracer(c, e.tracerWithoutWaiting)
	if err != nil {
		return cfg, err
	}
	if conn.MaxPayload, err = payloadLimit(c); err != nil {
		return cfg, err
	}
	conn.Logger = log
	cfg.Options = conn
	if err := checkWorkFlags(c, &cfg); err != nil {
		return cfg, err
	}
	if cfg.Chain, err = chainOfFlags(c, cfg.Functions); err != nil {
		return cfg, err
	}
	switch {
	case cfg.Dir != "":
		return cfg, refuseWithDir(c)
	case c.NArg() == 0:
		cfg.Output = e.stdout
		return cfg, refuseWithoutCommand(c)
	}
	return cfg, checkKeepFlags(c, &cfg)
}

// checkWorkFlags returns the first mistake in the flags of the worker itself.
func checkWorkFlags(c *cli.Context, cfg *work.Config) error {
	if err := refuseBareSeconds(c, "timeout", "kill-after", "max-age", "idle"); err != nil {
		return err
	}
	switch {
	case len(cfg.Functions) == 0 && cfg.Dir == "":
		return withHint(usageErrorf("work: no function"), "name it with -f FUNC")
	case cfg.Jobs < 1:
		return usageErrorf("--jobs %d: not a positive number", cfg.Jobs)
	case c.IsSet("count") && cfg.MaxJobs < 1:
		return usageErrorf("--count %d: not a positive number", cfg.MaxJobs)
	case c.IsSet("idle") && !cfg.UntilEmpty:
		return usageErrorf("--idle is for --until-empty")
	case strings.ContainsAny(cfg.ID, " \t\r\n"):
		return usageErrorf("--id %q: servers take no blanks in it", cfg.ID)
	}
	return nil
}

// refuseWithDir returns an error for a flag that does not go with --dir.
func refuseWithDir(c *cli.Context) error {
	switch {
	case c.NArg() > 0:
		return usageErrorf("--dir and a command: the files of the directory are the commands")
	case c.Bool("shell"):
		return usageErrorf("--shell is for a command, and --dir has its own")
	case *c.Generic("keep").(*keepValue) != "":
		return usageErrorf("--keep is for a command, and --dir has its own")
	}
	return refuse(c, "is for a kept command, and --dir has none", "max-jobs", "max-age", "max-rss")
}

// refuseWithoutCommand returns an error for a flag that needs a command.
func refuseWithoutCommand(c *cli.Context) error {
	return refuse(c, "is for a command, and there is none",
		"shell", "timeout", "kill-after", "stream", "lines", "exception", "attempts", "next", "on-fail", "keep", "max-jobs", "max-age", "max-rss")
}

// checkKeepFlags returns the first mistake in the flags of kept commands.
func checkKeepFlags(c *cli.Context, cfg *work.Config) error {
	if cfg.Keep.Protocol == work.NotKept {
		return refuse(c, "is for a kept command: --keep", "max-jobs", "max-age", "max-rss")
	}
	for _, name := range []string{"stream", "lines"} {
		if c.Bool(name) {
			return withHint(usageErrorf("--%s does not go with --keep", name), `with --keep=json the command sends {"data": ...}`)
		}
	}
	switch {
	case cfg.Attempts && cfg.Keep.Protocol != work.KeepJSON:
		return usageErrorf("--attempts goes with --keep=json only: a kept command has one environment for all jobs")
	case c.IsSet("max-jobs") && cfg.Keep.MaxJobs < 1:
		return usageErrorf("--max-jobs %d: not a positive number", cfg.Keep.MaxJobs)
	case c.IsSet("max-rss") && !runner.MaxRSSSupported():
		return usageErrorf("--max-rss is not supported on this system: it takes Linux")
	}
	return nil
}

// chainOfFlags returns the chain that the flags describe.
func chainOfFlags(c *cli.Context, functions []string) (work.Chain, error) {
	h := work.Chain{Next: c.String("next"), OnFail: c.String("on-fail"), InheritPriority: c.String("next-priority") == "same"}
	for _, name := range []string{"next", "on-fail"} {
		switch {
		case !c.IsSet(name):
		case c.String(name) == "":
			return h, usageErrorf("--%s: the function has no name", name)
		case len(functions) == 1 && c.String(name) == functions[0] && c.String("dir") == "":
			return h, usageErrorf("--%s %s: its jobs would go round for ever", name, functions[0])
		}
	}
	if !h.InheritPriority {
		var err error
		if h.Priority, err = gearman.ParsePriority(c.String("next-priority")); err != nil {
			return h, usageErrorf("--next-priority: %w, or same", err)
		}
	}
	if h.Next == "" && h.OnFail == "" && c.IsSet("next-priority") {
		return h, usageErrorf("--next-priority is for --next and --on-fail")
	}
	return h, nil
}

// workFunctions returns the functions of -f, each once.
func workFunctions(c *cli.Context) []string {
	var functions []string
	for _, f := range c.StringSlice("function") {
		if f != "" && !slices.Contains(functions, f) {
			functions = append(functions, f)
		}
	}
	return functions
}

// newWorkLog returns the log of gm work. Writing to e.stderr does not block for
// ever from then on.
func (e *env) newWorkLog(c *cli.Context) *slog.Logger {
	level := slog.LevelInfo
	if c.Bool("verbose") {
		level = slog.LevelDebug
	}
	handler := func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
	}
	sink := logsink.New(e.stderr, lostLine(handler))
	e.stderr = &logsink.PatientWriter{Sink: sink}
	e.closers = append(e.closers, sink)
	return slog.New(handler(sink))
}

// hasControllingTerminal reports whether the process belongs to a terminal that
// can hang up.
func hasControllingTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}

// guardJobs is the argument with which gm runs itself as the guard of its jobs.
const guardJobs = "--guard-jobs"

// guardProcesses makes sure that no process of a job outlives it, not even if gm is
// killed. Where the system has no means for that, a process group has to do.
func guardProcesses() {
	_ = runner.Subreap()
	_ = runner.Guard("gm", guardJobs)
}
