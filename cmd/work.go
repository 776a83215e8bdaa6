package cmd

import (
	_ "embed" // for the description
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
			Action:      e.runWorker,
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

// workDescription is the description of gm work.
//
//go:embed help/work.txt
var workDescription string

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
		&cli.StringFlag{Name: "next-priority", Category: category, Value: "normal", Usage: "submit these jobs with `PRIORITY` high, normal, low, or same: that of the job, which only gm serve reports"},
	}
}

// keepValue is the value of --keep, which is optional.
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
		return fmt.Errorf("%q: must be line, netstring or json", s)
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
			Usage: "run one child for many jobs, with a line for each payload and each result; or --keep=netstring, or --keep=json",
		}},
		&cli.IntFlag{Name: "max-jobs", Category: category, Usage: "replace the child after `N` jobs"},
		cli.DurationFlag(0, cli.GenericFlag{Name: "max-age", Category: category, Usage: "replace the child after `TIME`, between two jobs"}),
		cli.ChildSizeFlag(0, cli.GenericFlag{Name: "max-rss", Category: category, Usage: "replace the child when it occupies more than `SIZE` of memory, between two jobs; Linux only"}),
	}
}

// runWorker is the action of gm work.
func (e *env) runWorker(c *cli.Context) error {
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
	stop := cli.OnSignals(signals.handleSignal, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
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

// handleSignal stops the worker at the first signal, its jobs at the second, and kills
// them at the third. SIGHUP without a terminal starts the worker over.
func (h *workSignals) handleSignal(s syscall.Signal) {
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
		return cli.UsageErrorf("--jobs %d: must be greater than 0", cfg.Jobs)
	case c.IsSet("count") && cfg.MaxJobs < 1:
		return cli.UsageErrorf("--count %d: must be greater than 0", cfg.MaxJobs)
	case c.IsSet("idle") && !cfg.UntilEmpty:
		return cli.UsageErrorf("--idle needs --until-empty")
	case strings.ContainsAny(cfg.ID, " \t\r\n"):
		return cli.UsageErrorf("--id %q: must not contain white space", cfg.ID)
	}
	return nil
}

// refuseWithDir returns an error for a flag that cannot be used with --dir.
func refuseWithDir(c *cli.Context) error {
	switch {
	case c.NArg() > 0:
		return cli.UsageErrorf("--dir cannot be used with a command: the files of the directory are the commands")
	case c.Bool("shell"):
		return cli.UsageErrorf("--shell cannot be used with --dir")
	case *c.Generic("keep").(*keepValue) != "":
		return cli.UsageErrorf("--keep cannot be used with --dir")
	}
	return cli.RefuseFlags(c, "cannot be used with --dir, whose commands are not kept", "max-jobs", "max-age", "max-rss")
}

// refuseWithoutCommand returns an error for a flag that needs a command.
func refuseWithoutCommand(c *cli.Context) error {
	return cli.RefuseFlags(c, "needs a command",
		"shell", "timeout", "kill-after", "stream", "lines", "exception", "attempts", "next", "on-fail", "keep", "max-jobs", "max-age", "max-rss")
}

// checkKeepFlags returns the first mistake in the flags of kept commands.
func checkKeepFlags(c *cli.Context, cfg *work.Config) error {
	if cfg.Keep.Protocol == work.NotKept {
		return cli.RefuseFlags(c, "needs --keep", "max-jobs", "max-age", "max-rss")
	}
	for _, name := range []string{"stream", "lines"} {
		if c.Bool(name) {
			return cli.WithHint(cli.UsageErrorf("--%s cannot be used with --keep", name), `with --keep=json the command sends {"data": ...}`)
		}
	}
	switch {
	case cfg.Attempts && cfg.Keep.Protocol != work.KeepJSON:
		return cli.UsageErrorf("--attempts needs --keep=json: a kept command has one environment for all jobs")
	case c.IsSet("max-jobs") && cfg.Keep.MaxJobs < 1:
		return cli.UsageErrorf("--max-jobs %d: must be greater than 0", cfg.Keep.MaxJobs)
	case c.IsSet("max-rss") && !runner.MaxRSSSupported():
		return cli.UsageErrorf("--max-rss needs Linux")
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
			return h, cli.UsageErrorf("--%s needs a function", name)
		case len(functions) == 1 && c.String(name) == functions[0] && c.String("dir") == "":
			return h, cli.UsageErrorf("--%s %s: the chain would never end", name, functions[0])
		}
	}
	if !h.InheritPriority {
		var err error
		if h.Priority, err = gearman.ParsePriority(c.String("next-priority")); err != nil {
			return h, cli.UsageErrorf("--next-priority: %w, or same", err)
		}
	}
	if h.Next == "" && h.OnFail == "" && c.IsSet("next-priority") {
		return h, cli.UsageErrorf("--next-priority needs --next or --on-fail")
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

// newWorkLog returns the log of gm work and gm outbox run. From then on a write to e.Stderr never waits
// for long.
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
// killed. Where the system has no means for that, only the process group is killed.
func guardProcesses() {
	_ = runner.Subreap()
	_ = runner.Guard("gm", guardJobs)
}
