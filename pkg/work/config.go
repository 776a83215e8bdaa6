package work

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// Config describes a worker. The zero value of a field is the default of the
// flag of gm work.
type Config struct {
	// Options are the servers, limits and logger of the connections. MaxPayload
	// is also the maximum size of a result, in bytes.
	gearman.Options

	// JobLogger gets a line for each job that does not complete, and at level
	// debug for each that does; nil is Options.Logger.
	JobLogger *slog.Logger
	// ID is the name that servers show for this worker; empty sends none.
	ID string
	// Jobs is the maximum number of jobs at the same time; 0 means 1.
	Jobs int
	// MaxJobs ends Run after that many jobs; 0 means no limit.
	MaxJobs int
	// UntilEmpty ends Run when all servers have answered that they have no job
	// for this worker, and no job runs. Run waits for a server that cannot be
	// reached or still reads its store.
	UntilEmpty bool
	// Idle is how long UntilEmpty waits for more jobs.
	Idle time.Duration

	// Functions are the names of the functions to do. The first one goes first.
	// With Dir, only the files with these names are functions; empty means all files.
	Functions []string
	// Command is the program of all functions, and its arguments. The program
	// is looked for in $PATH if it has no slash.
	Command []string
	// Commands has the programs of functions that do not use Command, by function.
	// Functions must have the names of these functions too.
	Commands map[string][]string
	// Shell joins the words of a command by blanks and runs them as a script for
	// /bin/sh.
	Shell bool
	// Dir is a directory. Each executable file in it is a function of its name.
	// Files that appear, change or disappear are noticed within a second or so.
	Dir string
	// Output gets the payloads of the jobs if there is no program. A payload
	// that cannot be written goes back to its queue and ends Run with the error.
	Output io.Writer

	// Timeout stops and fails a job that takes longer; 0 means no limit.
	Timeout time.Duration
	// KillAfter is the time between SIGTERM and SIGKILL; 0 means 5 s.
	KillAfter time.Duration
	// Stream sends stdout while the program writes it, instead of at its end.
	Stream bool
	// Lines sends stdout while the program writes it, one line at a time.
	Lines bool
	// Exception ends failed jobs with an exception instead of a warning and a
	// failure.
	Exception bool
	// Attempts asks the server for the number of the attempt before each job,
	// for GM_ATTEMPT. Only gm's server answers.
	Attempts bool
	// Env is the environment of programs, KEY=value each; nil means that of this
	// process without GM_STORE and GM_OUTBOX, which may hold a password.
	Env []string
	// Secrets are names of variables that programs do not get if Env is nil.
	Secrets []string
	// Address is the GEARMAN_SERVER of programs; empty means the server of the job.
	Address string
	// Stderr gets a copy of the stderr of programs; nil discards it. A
	// Write that blocks delays the job.
	Stderr io.Writer

	// Keep makes one child serve many jobs.
	Keep Keep
	// Chain submits a next job for each job.
	Chain Chain

	// OnStart and OnEnd are called at the beginning and the end of each job, by
	// several goroutines at the same time. err is nil if the job completed,
	// wraps [gearman.ErrRetry] if it went back to its queue, and is the reason of
	// its failure otherwise.
	OnStart func(j *gearman.Job)
	OnEnd   func(j *gearman.Job, err error)
	// OnLost and OnBack are called when a server is lost, or cannot be reached
	// at first, and when it is back. They must not block.
	OnLost func(s gearman.Server, err error)
	OnBack func(s gearman.Server)
	// Reload returns the servers after a [Worker.Restart]. The worker keeps its
	// servers if Reload is nil, returns none, or returns an error, which is logged.
	Reload func() ([]gearman.Server, error)
}

// Keep says how one child for each slot serves many jobs. The zero value starts
// a child for each job. See [runner.Keeper] for the rules.
type Keep struct {
	Protocol Protocol
	// MaxJobs, MaxAge and MaxRSS are limits after which a child is replaced,
	// between two jobs: the number of its jobs, the time since its start, and
	// its resident memory in bytes (only on Linux). 0 means no limit.
	MaxJobs int
	MaxAge  time.Duration
	MaxRSS  int64
}

// Protocol is how a kept child reads payloads from its stdin and writes results
// to its stdout.
type Protocol string

// The protocols of kept children.
const (
	// NotKept starts a child for each job.
	NotKept Protocol = ""
	// KeepLine has a line for each payload and for each result.
	KeepLine Protocol = "line"
	// KeepNetstring has a netstring such as 5:hello, for each of them.
	KeepNetstring Protocol = "netstring"
	// KeepJSON has a JSON object in a line for each payload, and one or more
	// for each result:
	//
	//	in   {"handle": "H:...", "function": "...", "unique": "...", "server": "...",
	//	     "attempt": 1, "deadline": UNIX SECONDS, "payload": BASE64}
	//	out  {"payload": BASE64}            completes the job
	//	     {"fail": TEXT, "exit": N}      fails it; "exit" may be left out
	//	     {"exception": TEXT}            fails it with an exception
	//	     {"retry": TEXT}                gives it back to its queue
	//
	// The members "data" (BASE64, a part of the result), "status" (two numbers)
	// and "warning" (TEXT) are sent at once, in objects of their own before the
	// end or in the same one. If "handle" is there, it must be that of the job.
	KeepJSON Protocol = "json"
)

// Chain passes the results of jobs on to other functions: before a job ends, the
// worker submits a background job, the next job, to the same server. The zero value
// submits none. A worker that does the functions Next and OnFail too submits no next
// job to the function of the job itself, so that no job is passed on for ever.
type Chain struct {
	// Next is the function that gets the results. If it is empty, no function gets them.
	Next string
	// OnFail is the function that gets the payloads of jobs that fail. If it is empty,
	// no function gets them.
	OnFail string
	// Priority is the priority of the next jobs.
	Priority gearman.Priority
	// InheritPriority gives the next job the priority of the first one instead. Only
	// gm's server reports that priority.
	InheritPriority bool
}

// withDefaults returns a copy of c with its defaults, or the first mistake in it.
func (c Config) withDefaults() (Config, error) {
	if len(c.Servers) == 0 {
		c.Servers = []gearman.Server{{Network: "tcp", Addr: net.JoinHostPort("localhost", strconv.Itoa(gearman.DefaultPort))}}
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = gearman.DefaultMaxPayload
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.JobLogger == nil {
		c.JobLogger = c.Logger
	}
	if c.Jobs == 0 {
		c.Jobs = 1
	}
	if c.Env == nil {
		c.Env = environWithout(slices.Concat(ownSecrets, c.Secrets))
	}
	c.Stream = c.Stream || c.Lines
	hasCommand := len(c.Command) > 0 || len(c.Commands) > 0
	switch {
	case c.Jobs < 0:
		return c, fmt.Errorf("config: %d jobs at the same time: not a positive number", c.Jobs)
	case c.Dir != "" && hasCommand:
		return c, errors.New("config: both a directory and a command")
	case c.Dir != "" && c.Shell:
		return c, errors.New("config: a shell for the files of a directory")
	case c.Dir == "" && len(c.Functions) == 0:
		return c, errors.New("config: no function")
	case c.Dir == "" && !hasCommand && c.Output == nil:
		return c, errors.New("config: no command, no directory and no output")
	case c.Idle > 0 && !c.UntilEmpty:
		return c, errors.New("config: an idle time without UntilEmpty")
	}
	for function := range c.Commands {
		if !slices.Contains(c.Functions, function) {
			return c, fmt.Errorf("config: command of function %q, which is not in Functions", function)
		}
	}
	if len(c.Command) == 0 && len(c.Commands) > 0 {
		for _, function := range c.Functions {
			if _, has := c.Commands[function]; !has {
				return c, fmt.Errorf("config: function %q has no command", function)
			}
		}
	}
	return c, c.Keep.check(c)
}

// check returns the first mistake in k.
func (k Keep) check(c Config) error {
	switch k.Protocol {
	case NotKept:
		if k.MaxJobs != 0 || k.MaxAge != 0 || k.MaxRSS != 0 {
			return errors.New("config: a limit of kept children without a protocol")
		}
		return nil
	case KeepLine, KeepNetstring, KeepJSON:
	default:
		return fmt.Errorf("config: protocol %q: not line, netstring or json", k.Protocol)
	}
	switch {
	case len(c.Command) == 0 || len(c.Commands) > 0:
		return errors.New("config: kept children need one command for all functions")
	case c.Stream:
		return errors.New("config: stdout of kept children cannot be streamed")
	case c.Attempts && k.Protocol != KeepJSON:
		return fmt.Errorf("config: attempts need protocol json, not %s", k.Protocol)
	case k.MaxJobs < 0:
		return fmt.Errorf("config: %d jobs for a kept child: not a positive number", k.MaxJobs)
	case k.MaxRSS > 0 && !runner.MaxRSSSupported():
		return errors.New("config: the memory of a kept child is limited on Linux only")
	}
	return nil
}
