package cmd

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"gm/internal/exitline"
	"gm/internal/gather"
	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// commandWorker does jobs by running a command for each. It is the worker of
// gm work and of gm serve --work.
type commandWorker struct {
	functions []string
	command   *runner.Command            // of all functions; nil: commands, dir or stdout do the jobs
	commands  map[string]*runner.Command // by function; nil: none
	dir       *workDir                   // nil: none
	chain     *chain                     // nil: none
	mapper    *mapper
	keep      *keepers        // nil: a child for each job
	options   gearman.Options // for questions to servers
	maxResult int
	maxJobs   int
	stream    bool
	exception bool
	attempts  bool
	address   string // of the server, for commands; empty: the job's own
	log       *slog.Logger
	stdout    io.Writer
	stderr    io.Writer // of commands
	environ   []string  // of commands

	onTerminal bool          // SIGHUP says that it has closed
	untilEmpty bool          // end with the queue
	idle       time.Duration // after so much time without a job

	slots   chan int      // those that are free
	kill    chan struct{} // closed when children must be killed
	running atomic.Int64  // jobs
	done    atomic.Int64  // jobs
	awake   awake

	printing sync.Mutex // held while a payload is printed
	printErr error      // why no more payloads can be printed; guarded by printing
	stop     func()     // makes the worker take no more jobs; set by run
}

// newCommandWorker returns a worker that prints the payloads of its jobs, until
// its caller gives it commands.
func (e *env) newCommandWorker(o *gearman.WorkerOptions, exception bool) *commandWorker {
	w := &commandWorker{
		options:   o.Options,
		maxResult: o.MaxPayload,
		maxJobs:   o.MaxJobs,
		exception: exception,
		log:       o.Logger,
		mapper:    newMapper(o, exception),
		stdout:    e.stdout,
		stderr:    e.stderr,
		environ:   withoutVars(os.Environ(), ownSecrets),
		slots:     make(chan int, o.Concurrency),
		kill:      make(chan struct{}),
	}
	for slot := range o.Concurrency {
		w.slots <- slot + 1
	}
	return w
}

// newFlagWorker returns the worker that the flags of gm work describe.
func (e *env) newFlagWorker(c *cli.Context, o *gearman.WorkerOptions) (*commandWorker, error) {
	w := e.newCommandWorker(o, c.Bool("exception"))
	w.functions = workFunctions(c)
	w.stream = c.Bool("stream") || c.Bool("lines")
	w.attempts = c.Bool("attempts")
	w.onTerminal = hasControllingTerminal()
	w.untilEmpty = c.Bool("until-empty")
	w.idle = durationOf(c, "idle")
	var err error
	if w.chain, err = newChain(c, o); err != nil {
		return nil, err
	}
	if path := c.String("dir"); path != "" {
		switch {
		case c.NArg() > 0:
			return nil, usageErrorf("--dir and a command: the files of the directory are the commands")
		case c.Bool("shell"):
			return nil, usageErrorf("--shell is for a command, and --dir has its own")
		case *c.Generic("keep").(*keepValue) != "":
			return nil, usageErrorf("--keep is for a command, and --dir has its own")
		}
		for _, name := range []string{"max-jobs", "max-age", "max-rss"} {
			if c.IsSet(name) {
				return nil, usageErrorf("--%s is for a kept command, and --dir has none", name)
			}
		}
		w.dir, err = newWorkDir(path, w.functions, func(path string) *runner.Command { return w.newFlagCommand(c, path) }, w.log)
		return w, err
	}
	if c.NArg() == 0 {
		for _, name := range []string{"shell", "timeout", "kill-after", "stream", "lines", "exception", "attempts", "next", "on-fail", "keep", "max-jobs", "max-age", "max-rss"} {
			if c.IsSet(name) {
				return nil, usageErrorf("--%s is for a command, and there is none", name)
			}
		}
		return w, nil
	}
	w.command = w.newFlagCommand(c, c.Args().Slice()...)
	w.keep, err = newKeepers(c, w)
	return w, err
}

// newCommand returns a command with all that does not come from a flag.
func (w *commandWorker) newCommand(args ...string) *runner.Command {
	return &runner.Command{
		Args:      args,
		Env:       w.environ,
		Pdeathsig: syscall.SIGKILL, // a job that is done elsewhere is to be done there alone
		MaxLine:   w.maxResult,
		Stderr:    w.stderr,
	}
}

// newFlagCommand returns a command with what the flags of gm work say of it.
func (w *commandWorker) newFlagCommand(c *cli.Context, args ...string) *runner.Command {
	command := w.newCommand(args...)
	command.Shell = c.Bool("shell")
	command.Timeout = durationOf(c, "timeout")
	command.KillAfter = durationOf(c, "kill-after")
	command.Lines = c.Bool("lines")
	return command
}

// commandOf returns the command that does the jobs of a function; nil if there
// is none.
func (w *commandWorker) commandOf(function string) *runner.Command {
	switch {
	case w.dir != nil:
		return w.dir.command(function)
	case w.commands != nil:
		return w.commands[function]
	}
	return w.command
}

// prints reports whether the worker has no commands and prints payloads.
func (w *commandWorker) prints() bool { return w.dir == nil && w.commands == nil && w.command == nil }

// handle does one job.
func (w *commandWorker) handle(ctx context.Context, j *gearman.Job) ([]byte, error) {
	w.running.Add(1)
	defer func() {
		w.running.Add(-1)
		w.done.Add(1)
	}()
	w.awake.note()
	if w.prints() {
		return nil, w.print(j)
	}
	command := w.commandOf(j.Function())
	if command == nil {
		return nil, gearman.ErrRetry // its file has just been removed
	}
	if j.Reducer() != "" {
		return w.mapper.do(ctx, j)
	}
	slot := <-w.slots
	defer func() { w.slots <- slot }()
	if w.keep != nil {
		return w.handleKept(ctx, j, slot)
	}

	var result gather.Buffer
	res := runWithRoom(ctx, func() runner.Result {
		return command.Run(ctx, runner.Job{
			Env:     w.jobEnviron(ctx, j, slot, command.Timeout),
			Stdin:   j.Payload(),
			Control: func(line string) { w.control(j, line) },
			Kill:    w.kill,
			Stdout: func(chunk []byte) error {
				if w.stream {
					return w.chain.sendData(j, chunk)
				}
				if result.Size()+len(chunk) > w.maxResult {
					return fmt.Errorf("the result is over the limit of %d bytes", w.maxResult)
				}
				result.Add(chunk)
				return nil
			},
		})
	})
	if err := w.conclude(ctx, j, command, res); err != nil {
		return nil, err
	}
	return result.Join(), nil
}

const (
	// roomPatience is how long a job waits for room to start its command before it
	// goes back to its queue. Each return counts as a lost attempt, and with many
	// slots a job would come back at once and use up its attempts in a second.
	roomPatience  = 2 * time.Second
	firstRoomWait = 50 * time.Millisecond
)

// runWithRoom runs a command, and tries again for a while if the system has no room
// to start it.
func runWithRoom(ctx context.Context, run func() runner.Result) runner.Result {
	for wait, waited := firstRoomWait, time.Duration(0); ; wait *= 2 {
		res := run()
		if res.StartErr == nil || !res.Temporary() || waited >= roomPatience || !sleepFor(ctx, wait) {
			return res
		}
		waited += wait
	}
}

// conclude reports how a command has ended a job. Its error is what the job is
// to end with.
func (w *commandWorker) conclude(ctx context.Context, j *gearman.Job, command *runner.Command, res runner.Result) error {
	if res.OK() && !w.log.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	err := keptError(res.Err())
	log := w.jobLog(j).With("ms", res.Duration.Milliseconds())
	switch {
	case res.OK():
		log.Debug("job completed")
		return nil
	case res.Cancelled && errors.Is(context.Cause(ctx), gearman.ErrLost):
		log.Warn("job stopped", "error", context.Cause(ctx))
		return context.Cause(ctx)
	case res.Cancelled && errors.Is(context.Cause(ctx), gearman.ErrCancelled):
		log.Info("job cancelled")
		return w.fail(j, log, res.Stderr, res.Code(), gearman.ErrCancelled)
	case res.Cancelled, res.Temporary(), res.StartErr != nil && w.dir != nil && w.dir.gone(command):
		log.Info("job goes back to its queue", "reason", err)
		return gearman.ErrRetry
	}
	log.Warn("job failed", "reason", err)
	return w.fail(j, log, res.Stderr, res.Code(), err)
}

// fail tells the client why a job has failed, and returns what it is to end with.
func (w *commandWorker) fail(j *gearman.Job, log *slog.Logger, stderr []byte, code int, reason error) error {
	text := exitline.Append(stderr, code, reason.Error())
	if w.exception {
		return &gearman.Exception{Data: text}
	}
	if err := j.SendWarning(text); err != nil {
		log.Warn("warning not sent", "error", err)
	}
	return reason
}

// jobLog returns a logger for what concerns a job.
func (w *commandWorker) jobLog(j *gearman.Job) *slog.Logger {
	return w.log.With("handle", string(j.Handle()), "function", j.Function(), "server", j.Server().String())
}

// print writes the payload of a job to stdout, when there is no command. A job
// whose payload cannot be written goes back to its queue, and so does each one
// after it, because the worker ends.
func (w *commandWorker) print(j *gearman.Job) error {
	w.printing.Lock()
	defer w.printing.Unlock()
	if w.printErr == nil {
		if _, w.printErr = w.stdout.Write(j.Payload()); w.printErr == nil {
			return nil
		}
		w.stop()
	}
	w.jobLog(j).Info("job goes back to its queue", "reason", w.printErr)
	return fmt.Errorf("%w: %w", gearman.ErrRetry, w.printErr)
}

// printError returns the error that ended the printing of payloads, or nil.
func (w *commandWorker) printError() error {
	w.printing.Lock()
	defer w.printing.Unlock()
	return w.printErr
}

// jobEnviron returns the variables that describe a job to its command.
func (w *commandWorker) jobEnviron(ctx context.Context, j *gearman.Job, slot int, timeout time.Duration) []string {
	env := []string{
		"GEARMAN_FUNCTION=" + j.Function(),
		"GEARMAN_HANDLE=" + string(j.Handle()),
		"GEARMAN_UNIQUE=" + j.Unique(),
		"GEARMAN_SERVER=" + w.serverOf(j),
		"GM_SLOT=" + strconv.Itoa(slot),
	}
	if timeout > 0 {
		deadline := time.Now().Add(timeout + time.Second - 1)
		env = append(env, "GM_DEADLINE="+strconv.FormatInt(deadline.Unix(), 10))
	}
	if w.attempts {
		n, err := w.attempt(ctx, j)
		if err != nil {
			w.log.Debug("attempt not known", "handle", string(j.Handle()), "error", err)
		} else {
			env = append(env, "GM_ATTEMPT="+strconv.Itoa(n))
		}
	}
	return env
}

// serverOf returns the address of a job's server for its command.
func (w *commandWorker) serverOf(j *gearman.Job) string {
	if w.address != "" {
		return w.address
	}
	return j.Server().String()
}

// attempt asks the server how many workers have had the job, with this one.
func (w *commandWorker) attempt(ctx context.Context, j *gearman.Job) (int, error) {
	admin := gearman.NewAdmin(j.Server(), w.options)
	defer admin.Close()
	info, err := admin.Job(ctx, j.Handle())
	return info.Attempts + 1, err
}

// control does what a line says that a command has written to GM_CONTROL_FD.
func (w *commandWorker) control(j *gearman.Job, line string) {
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word {
	case "status":
		var num, den int64
		if num, den, err = parseProgress(strings.Fields(rest)); err == nil {
			err = j.SendStatus(num, den)
		}
	case "warn":
		err = j.SendWarning([]byte(rest))
	case "data":
		err = w.chain.sendData(j, []byte(rest+"\n"))
	case "data64":
		var data []byte
		if data, err = base64.StdEncoding.DecodeString(rest); err == nil {
			err = w.chain.sendData(j, data)
		}
	default:
		err = errors.New("not status, warn, data or data64")
	}
	if err != nil {
		w.log.Warn("control line not heeded", "handle", string(j.Handle()), "line", fmt.Sprintf("%.80s", line), "error", err)
	}
}

// parseProgress reads a numerator and a denominator.
func parseProgress(words []string) (num, den int64, err error) {
	if len(words) == 2 {
		if num, err = strconv.ParseInt(words[0], 10, 64); err == nil {
			den, err = strconv.ParseInt(words[1], 10, 64)
		}
	}
	if len(words) != 2 || err != nil || num < 0 || den < 0 {
		return 0, 0, fmt.Errorf("progress %q: not two numbers such as 3 10", strings.Join(words, " "))
	}
	return num, den, nil
}
