package cmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"time"

	"gm/cmd/cli"
	"gm/internal/logsink"
	"gm/internal/serverlog"
	"gm/internal/tune"
	"gm/pkg/gearman"
	"gm/pkg/runner"
	"gm/pkg/work"
)

func workVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:        "work",
			Usage:       "do jobs: run a command for each one",
			ArgsUsage:   "[--] [CMD [ARG..]]",
			Description: workDescription,
			Flags:       slices.Concat(workFlags(), keepFlags(), chainFlags(), e.connFlags(), []cli.Flag{payloadFlag()}),
			Action:      e.work,
		},
		Examples: []cli.Example{
			{What: "a worker that reverses lines", Line: "gm work -f rev -- rev"},
			{What: "four jobs at a time, a minute for each", Line: "gm work -f squeeze -j 4 -t 1m -- gzip -9"},
			{What: "a small script", Line: "gm work -f count --shell 'wc -c | tr -d \" \"'"},
			{What: "each line of the result is sent when it is written", Line: "gm work -f clock -n --shell 'for i in 1 2 3; do date; sleep 1; done'"},
			{What: "a function for each program in a directory", Line: "gm work --dir ~/jobs -j 4"},
			{What: "a chain: results go to one function, failed payloads to another", Line: "gm work -f double --next store --on-fail double-failed -- awk '{print 2*$1}'"},
			{What: "one awk for many jobs", Line: "gm work -f square --keep -- awk '{ print $1 * $1; fflush() }'"},
			{What: "one jq for many jobs, with any bytes", Line: "gm work -f upper --keep=json -- jq --unbuffered -c '{payload: (.payload | @base64d | ascii_upcase | @base64)}'"},
			{What: "progress from within a script", Line: "gm work -f slow --shell 'for i in 1 2 3; do gm tell status $i 3; sleep 1; done'"},
			{What: "from cron: do the waiting jobs, then end", Line: "gm work -f squeeze --until-empty --idle 10s -j 4 -- gzip -9"},
			{What: "print the payload of one job", Line: "gm work -f rev -c 1"},
		},
		Exits:        []int{cli.ExitIO, cli.ExitNotExecutable, cli.ExitNotFound, cli.ExitSignal},
		ArgsEndFlags: true,
		DataArgs:     true,
		OwnSignals:   true,
	}
}

const workDescription = `
Gets jobs of the functions -f from all servers, at most -j at a time, and runs CMD
for each: stdin is the payload, stdout the result. Flags end at CMD, which can have
flags of its own. Without CMD the payloads are printed on stdout and the results are
empty; if stdout cannot be written, the job goes back to its queue and gm work exits
with 74.

A shell runs CMD only with --shell, and never the payload. The environment of CMD has
GEARMAN_FUNCTION, GEARMAN_HANDLE, GEARMAN_UNIQUE, GEARMAN_SERVER, GM_SLOT (1 to -j),
GM_CONTROL_FD, with -t also GM_DEADLINE (Unix seconds), and with --attempts
GM_ATTEMPT (from 1; only from gm serve). It does not have GM_STORE, which may contain
a password of gm serve.

Exit code 0 completes the job. 75 returns it to the queue, and the server counts an
attempt; so does a system without room for another process. Any other code, and a
signal, fails the job. The end of stderr goes to the client as a warning, with
--exception as an exception. Its last line is for programs, for example
"gm-exit: 3 (exit status 3)"; see gm submit --propagate.

--dir serves the executable files of a directory: each file is the function of its
name, including the suffix. The files run without arguments, and share -j. Hidden
files and files ending in ~ are left out, with -f also files that it does not name.
gm work reads the directory once a second, so that new, changed and removed files take
effect without a restart. A running job continues with its old file if mv replaced it.
A job whose file was removed goes back to its queue.

--next makes chains without a client: the result is the payload of a background job of
another function, which the server accepts before the job itself is completed.
--on-fail submits the unchanged payload of a failed job, before the job fails for its
client. If the server does not accept the next job because its queue is full or its
store fails, the job waits half a minute and then goes back to its queue. A result that
the server can never accept fails the job. The next job is on the same server. Its
unique is that of the job up to the last ~, then ~ and a hash of the job: a job that
ran twice has one follower, as long as that waits. A chain ends at its last function,
even if -f or --dir serves that as well.

CMD does not run for a job with a reducer G, which gm map -b submits. Its payload is cut
up, by default into blocks of lines of 1 MiB, which become jobs of the same function for
all its workers. Jobs of G combine their results as in gm map --reduce, and the last
result is that of the job. Meanwhile the job lends its slot, so that -j 1 works on the
parts too, if necessary beyond -c. The parts have high priority. If a part fails, the job
fails, and a warning names the part. --next also gets the results of parts.

While it runs, a command can report to the client. It writes lines to the file
descriptor GM_CONTROL_FD, or calls gm tell: "status 3 10" is progress, "warn TEXT" a
warning, "data TEXT" a line of the result, sent at once.

With --keep one child for each slot serves many jobs. For each payload it gets a line on
stdin; for each result it writes a line on stdout, with its newline and without
buffering. gm work sets the necessary options of mawk, jq, sed, grep, perl and python.
Other awks need fflush(), ruby needs $stdout.sync = true, tr and similar tools need
stdbuf -oL, and a shell script needs the options of its programs: awk -W interactive for
mawk, jq --unbuffered, sed -u. A payload may end in a newline; a newline elsewhere fails
the job. --keep=netstring accepts any payload, as 5:hello in both directions, and
--keep=json one object in each line:

    in   {"handle": "H:...", "function": "...", "unique": "...", "server": "...",
         "payload": BASE64}; with -t "deadline" (Unix seconds), with --attempts
         "attempt"
    out  {"payload": BASE64} completes the job, {"fail": TEXT} fails it, also with
         "exit": N, {"exception": TEXT} fails it with an exception, {"retry": TEXT}
         returns it to the queue; before that, in lines of their own or in the
         same, "data": BASE64 (a piece of the result), "status": [3, 10] and
         "warning": TEXT. "handle" is optional, and must then be that of the job;
         any other name is an error

A child that ends without an answer fails its job, like any command. If it has never
answered, the next child starts after a pause of 100 ms to 10 s. A child that writes
too much, answers in another form or does not answer within -t is replaced and fails
its job; a job that it has not received yet goes to the new child. gm work detects
unexpected output before it writes the next payload, so that no job gets the answer to
another. It cannot detect output before an answer that is written separately, and logs
it; with --keep=json "handle" shows it. The environment of a child has GM_SLOT, GM_KEEP
(line, netstring, json) and, with a single -f, GEARMAN_FUNCTION. gm work ends a child by
closing its stdin.

A job is stopped if it exceeds -t, if its server is lost, or if gm cancel --running
cancels it: its process group gets SIGTERM, and SIGKILL after --kill-after. Processes
that a command leaves behind are stopped in the same way. If gm work itself is killed,
all of these are killed on Linux; elsewhere commands see closed pipes.

--until-empty exits with 0 when every server has reported that it has no job for this
worker, and no job of it runs; with --idle TIME, when this was so for TIME. Jobs that
are delayed, wait for a retry, are paused or run elsewhere do not count. gm work waits
for a server that cannot be reached or still reads its store.

At SIGTERM or SIGINT gm work takes no more jobs, finishes the running ones and exits
with 0. A second signal also stops the running jobs, which go back to their queues, and
gm work exits with 128+n. A third one sends SIGKILL. The same signal within half a
second counts once. SIGHUP does the same on a terminal, which has closed; without a
terminal it makes the worker finish its running jobs, read the configuration again and
start over. SIGHUP and SIGINT that were ignored at start, as under nohup, stay ignored,
and SIGQUIT together with SIGINT; SIGTERM and others do not. Without a server gm work
waits for one.
`

func workFlags() []cli.Flag {
	const jobs = "Jobs"
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "function", Aliases: []string{"f"}, Usage: "serve the function `FUNC`; repeatable, or separated by commas, the first one first"},
		&cli.StringFlag{Name: "dir", Usage: "serve each executable file in `DIR` as the function of its name; with -f only those"},
		&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: 1, Usage: "do at most `N` jobs at a time"},
		&cli.IntFlag{Name: "count", Aliases: []string{"c"}, Usage: "end after `N` jobs"},
		&cli.BoolFlag{Name: "until-empty", Usage: "end when no server has a job for this worker"},
		cli.DurationFlag(0, cli.GenericFlag{Name: "idle", Usage: "with --until-empty: first wait `TIME` for more jobs"}),
		&cli.StringFlag{Name: "id", Aliases: []string{"i"}, Usage: "set the `ID` that the server shows for this worker"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log each job on stderr"},

		&cli.BoolFlag{Name: "shell", Category: jobs, Usage: "run CMD as a script with /bin/sh -c"},
		cli.DurationFlag(0, cli.GenericFlag{Name: "timeout", Aliases: []string{"t"}, Category: jobs, Usage: "stop and fail a job after `TIME`; a bare number is in milliseconds"}),
		cli.DurationFlag(5*time.Second, cli.GenericFlag{Name: "kill-after", Category: jobs, Usage: "wait `TIME` from SIGTERM to SIGKILL"}),
		&cli.BoolFlag{Name: "stream", Category: jobs, Usage: "send stdout while it is written, in pieces"},
		&cli.BoolFlag{Name: "lines", Aliases: []string{"n"}, Category: jobs, Usage: "send stdout while it is written, a line at a time"},
		&cli.BoolFlag{Name: "exception", Category: jobs, Usage: "report a failure as an exception, with the end of stderr as its text"},
		&cli.BoolFlag{Name: "attempts", Category: jobs, Usage: "get the number of the attempt from the server, for GM_ATTEMPT"},
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
		cli.DurationFlag(0, cli.GenericFlag{Name: "max-age", Category: category, Usage: "replace the child after `TIME`, between two jobs"}),
		cli.ChildSizeFlag(0, cli.GenericFlag{Name: "max-rss", Category: category, Usage: "replace the child when it occupies more than `SIZE` of memory, between two jobs; Linux only"}),
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
	cli.SurviveBrokenPipes()
	signals := &workSignals{worker: w, log: log, onTerminal: cli.HasControllingTerminal()}
	stop := cli.OnSignals(signals.heed, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err = w.Run(c.Context)
	stop()
	var out *cli.OutputError
	if signals.aborted != 0 && !errors.As(err, &out) {
		return &cli.SignalError{Sig: signals.aborted}
	}
	return err
}

// workError returns an error of work.New with its exit code and hint.
func workError(err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, runner.ErrNotFound):
		return cli.WithHint(cli.ExitWith(cli.ExitNotFound, err), hintCommand)
	case errors.Is(err, runner.ErrNotExecutable):
		return cli.WithHint(cli.ExitWith(cli.ExitNotExecutable, err), hintCommand)
	case errors.As(err, &path):
		return err
	}
	return cli.UsageErrorf("%w", err)
}

const hintCommand = "CMD is a program and its arguments; --shell runs a script"

// workSignals stops a worker at signals.
type workSignals struct {
	worker     *work.Worker
	log        *slog.Logger
	onTerminal bool // the process belongs to a terminal, whose end is SIGHUP

	stops   int            // signals that stop the worker
	aborted syscall.Signal // the last one that stopped jobs
}

// heed stops the worker at the first signal, its jobs at the second, and kills them at
// the third. SIGHUP without a terminal starts the worker over.
func (h *workSignals) heed(s syscall.Signal) {
	jobs := h.worker.Running()
	if s == syscall.SIGHUP && !h.onTerminal {
		if h.stops == 0 {
			h.log.Info("finishing, then starting afresh", "signal", s.String(), "jobs", jobs)
			h.worker.Restart()
		}
		return
	}
	switch h.stops++; h.stops {
	case 1:
		text := "finishing"
		if jobs > 0 {
			text = "finishing the running jobs; the next signal stops them"
		}
		h.log.Info(text, "signal", s.String(), "jobs", jobs)
		h.worker.Stop()
		return
	case 2:
		h.log.Warn("stopping the running jobs; the next signal kills them", "signal", s.String(), "jobs", jobs)
		h.worker.Abort()
	case 3:
		h.log.Warn("killing the running jobs", "signal", s.String(), "jobs", jobs)
		h.worker.Kill()
	}
	h.aborted = s
}

// workConfig returns the worker that the flags of gm work describe.
func (e *env) workConfig(c *cli.Context, log *slog.Logger) (work.Config, error) {
	cfg := work.Config{
		ID:         c.String("id"),
		Jobs:       c.Int("jobs"),
		MaxJobs:    c.Int("count"),
		UntilEmpty: c.Bool("until-empty"),
		Idle:       cli.DurationOf(c, "idle"),
		Functions:  workFunctions(c),
		Command:    c.Args().Slice(),
		Shell:      c.Bool("shell"),
		Dir:        c.String("dir"),
		Timeout:    cli.DurationOf(c, "timeout"),
		KillAfter:  cli.DurationOf(c, "kill-after"),
		Stream:     c.Bool("stream"),
		Lines:      c.Bool("lines"),
		Exception:  c.Bool("exception"),
		Attempts:   c.Bool("attempts"),
		Stderr:     e.Stderr,
		Keep: work.Keep{
			Protocol: work.Protocol(*c.Generic("keep").(*keepValue)),
			MaxJobs:  c.Int("max-jobs"),
			MaxAge:   cli.DurationOf(c, "max-age"),
			MaxRSS:   cli.SizeOf(c, "max-rss"),
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
		cfg.Output = e.Stdout
		return cfg, refuseWithoutCommand(c)
	}
	return cfg, checkKeepFlags(c, &cfg)
}

// checkWorkFlags returns the first mistake in the flags of the worker itself.
func checkWorkFlags(c *cli.Context, cfg *work.Config) error {
	if err := cli.RefuseBareSeconds(c, "timeout", "kill-after", "max-age", "idle"); err != nil {
		return err
	}
	switch {
	case len(cfg.Functions) == 0 && cfg.Dir == "":
		return cli.WithHint(cli.UsageErrorf("work: no function"), "-f FUNC names it")
	case cfg.Jobs < 1:
		return cli.UsageErrorf("--jobs %d: not a positive number", cfg.Jobs)
	case c.IsSet("count") && cfg.MaxJobs < 1:
		return cli.UsageErrorf("--count %d: not a positive number", cfg.MaxJobs)
	case c.IsSet("idle") && !cfg.UntilEmpty:
		return cli.UsageErrorf("--idle needs --until-empty")
	case strings.ContainsAny(cfg.ID, " \t\r\n"):
		return cli.UsageErrorf("--id %q: servers take no blanks in it", cfg.ID)
	}
	return nil
}

// refuseWithDir returns an error for a flag that does not go with --dir.
func refuseWithDir(c *cli.Context) error {
	switch {
	case c.NArg() > 0:
		return cli.UsageErrorf("--dir and a command: the files of the directory are the commands")
	case c.Bool("shell"):
		return cli.UsageErrorf("--shell is for a command, and --dir has its own")
	case *c.Generic("keep").(*keepValue) != "":
		return cli.UsageErrorf("--keep is for a command, and --dir has its own")
	}
	return cli.RefuseFlags(c, "is for a kept command, and --dir has none", "max-jobs", "max-age", "max-rss")
}

// refuseWithoutCommand returns an error for a flag that needs a command.
func refuseWithoutCommand(c *cli.Context) error {
	return cli.RefuseFlags(c, "is for a command, and there is none",
		"shell", "timeout", "kill-after", "stream", "lines", "exception", "attempts", "next", "on-fail", "keep", "max-jobs", "max-age", "max-rss")
}

// checkKeepFlags returns the first mistake in the flags of kept commands.
func checkKeepFlags(c *cli.Context, cfg *work.Config) error {
	if cfg.Keep.Protocol == work.NotKept {
		return cli.RefuseFlags(c, "is for a kept command: --keep", "max-jobs", "max-age", "max-rss")
	}
	for _, name := range []string{"stream", "lines"} {
		if c.Bool(name) {
			return cli.WithHint(cli.UsageErrorf("--%s does not go with --keep", name), `with --keep=json the command sends {"data": ...}`)
		}
	}
	switch {
	case cfg.Attempts && cfg.Keep.Protocol != work.KeepJSON:
		return cli.UsageErrorf("--attempts goes with --keep=json only: a kept command has one environment for all jobs")
	case c.IsSet("max-jobs") && cfg.Keep.MaxJobs < 1:
		return cli.UsageErrorf("--max-jobs %d: not a positive number", cfg.Keep.MaxJobs)
	case c.IsSet("max-rss") && !runner.MaxRSSSupported():
		return cli.UsageErrorf("--max-rss is not supported on this system: it takes Linux")
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
			return h, cli.UsageErrorf("--%s: the function has no name", name)
		case len(functions) == 1 && c.String(name) == functions[0] && c.String("dir") == "":
			return h, cli.UsageErrorf("--%s %s: its jobs would go round for ever", name, functions[0])
		}
	}
	if !h.InheritPriority {
		var err error
		if h.Priority, err = gearman.ParsePriority(c.String("next-priority")); err != nil {
			return h, cli.UsageErrorf("--next-priority: %w, or same", err)
		}
	}
	if h.Next == "" && h.OnFail == "" && c.IsSet("next-priority") {
		return h, cli.UsageErrorf("--next-priority is for --next and --on-fail")
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
	sink := logsink.New(e.Stderr, serverlog.LostLine(handler))
	e.Stderr = &logsink.PatientWriter{Sink: sink}
	e.Closers = append(e.Closers, sink)
	return slog.New(handler(sink))
}

// guardJobs is the argument with which gm runs itself as the guard of its jobs.
const guardJobs = "--guard-jobs"

// guardProcesses makes sure that no process of a job outlives it, not even if gm is
// killed. Where the system has no means for that, a process group has to do.
func guardProcesses() {
	_ = runner.Subreap()
	_ = runner.Guard("gm", guardJobs)
}
