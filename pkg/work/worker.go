package work

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// Worker does jobs by running a program for each. Its methods are safe for
// concurrent use.
type Worker struct {
	config    Config // with its defaults; Servers changes between two connections
	log       *slog.Logger
	command   *runner.Command            // of all functions without their own; nil: none
	commands  map[string]*runner.Command // by function; nil: none
	dir       *directory                 // nil: none
	keep      *keepers                   // nil: a child for each job
	chain     *chain                     // nil: none
	mapper    *mapper
	questions *questions
	reporter  *reporter
	children  *children

	slots    chan int        // free slots
	killing  chan struct{}   // closed by Kill
	aborting context.Context // done after Abort
	abort    context.CancelFunc
	running  atomic.Int64 // jobs
	done     atomic.Int64 // jobs

	printing sync.Mutex
	printErr error // why no more payloads can be printed; guarded by printing

	mu       sync.Mutex
	jobs     *gearman.Worker // of the current connections
	stopping bool            // after Stop, Abort or Kill
	restart  bool            // after Restart
	killed   bool            // after Kill
}

// New returns a worker that c describes. It does not connect yet. The error names
// the mistake in c. A program that cannot be executed wraps
// [runner.ErrNotFound] or [runner.ErrNotExecutable], and a directory that cannot be
// read is an [fs.PathError].
func New(c Config) (*Worker, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Worker{
		config:  c,
		log:     c.JobLogger,
		chain:   newChain(c),
		mapper:  newMapper(c),
		slots:   make(chan int, c.Jobs),
		killing: make(chan struct{}),
	}
	w.reporter = &reporter{log: w.log, exception: c.Exception}
	w.children = &children{stream: c.Stream, limit: c.MaxPayload, timeout: c.Timeout, kill: w.killing, log: w.log}
	w.aborting, w.abort = context.WithCancel(context.Background())
	for slot := range c.Jobs {
		w.slots <- slot + 1
	}
	if err := w.findPrograms(); err != nil {
		return nil, err
	}
	if err := w.prepare(); err != nil {
		return nil, err
	}
	return w, nil
}

// findPrograms sets the programs of the worker.
func (w *Worker) findPrograms() (err error) {
	c := &w.config
	if c.Dir != "" {
		w.dir, err = newDirectory(c.Dir, c.Functions, func(path string) *runner.Command { return w.newCommand([]string{path}) }, w.log)
		return err
	}
	if len(c.Commands) > 0 {
		w.commands = map[string]*runner.Command{}
	}
	for function, args := range c.Commands {
		w.commands[function] = w.newCommand(args)
		if err := w.commands[function].Check(); err != nil {
			return err
		}
	}
	if len(c.Command) > 0 {
		w.command = w.newCommand(c.Command)
		w.keep = newKeepers(c, w.command, w.killing)
		return w.command.Check()
	}
	return nil
}

// newCommand returns the command that a child executes.
func (w *Worker) newCommand(args []string) *runner.Command {
	c := &w.config
	return &runner.Command{
		Args:      args,
		Shell:     c.Shell,
		Env:       c.Env,
		Timeout:   c.Timeout,
		KillAfter: c.KillAfter,
		Pdeathsig: syscall.SIGKILL, // the server gives the job to another worker
		Lines:     c.Lines,
		MaxLine:   c.MaxPayload,
		Stderr:    c.Stderr,
	}
}

// prepare makes the connections to the servers, which connect when they are first
// used.
func (w *Worker) prepare() error {
	jobs, err := w.newGearmanWorker()
	if err != nil {
		return err
	}
	w.questions = newQuestions(&w.config)
	w.mapper.options.Servers = w.config.Servers
	w.mu.Lock()
	w.jobs = jobs
	if w.stopping || w.restart { // meanwhile
		jobs.Stop()
	}
	w.mu.Unlock()
	return w.chain.prepare(w.config.Servers)
}

// closeWorker closes the connections, except those of the gearman.Worker.
func (w *Worker) closeWorker() {
	w.chain.closeClients()
	w.questions.closeAdmins()
}

// newGearmanWorker returns a worker that takes the jobs of the functions.
func (w *Worker) newGearmanWorker() (*gearman.Worker, error) {
	c := &w.config
	o := gearman.WorkerOptions{
		Options: c.Options, ID: c.ID, Concurrency: c.Jobs, Cancelable: true,
		OnLost: c.OnLost, OnBack: c.OnBack,
	}
	if c.MaxJobs > 0 {
		o.MaxJobs = c.MaxJobs - int(w.done.Load())
	}
	if c.UntilEmpty {
		o.Empty = w.endWhenEmpty
	}
	jobs, err := gearman.NewWorker(o)
	if err != nil || w.dir != nil {
		return jobs, err
	}
	for _, function := range c.Functions {
		if err := jobs.Handle(function, w.doJob); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// Run does jobs until ctx is done, Stop is called, Config.MaxJobs are done or, with
// Config.UntilEmpty, no job is left. Then it takes no more jobs, and returns when
// the running jobs have ended. Without a server it tries to connect again and
// again. A worker runs only once.
//
// The error is that of Config.Output, or says that a server does not speak the
// Gearman protocol.
func (w *Worker) Run(ctx context.Context) error {
	defer w.closeWorker()
	for {
		err := w.serve(ctx)
		w.printing.Lock()
		printErr := w.printErr
		w.printing.Unlock()
		if printErr != nil {
			return printErr
		}
		if !w.takeRestart(ctx) {
			return err
		}
		if err := w.reload(); err != nil {
			return err
		}
		w.log.Info("starting afresh")
	}
}

// serve does jobs over one set of connections, until they are closed.
func (w *Worker) serve(ctx context.Context) error {
	w.mu.Lock()
	jobs := w.jobs
	w.mu.Unlock()
	if w.dir != nil {
		w.dir.start(jobs, w.doJob)
		following, stop := context.WithCancel(ctx)
		var followed sync.WaitGroup
		followed.Go(func() { w.dir.follow(following, jobs, w.doJob) })
		defer followed.Wait()
		defer stop()
	}
	err := jobs.Run(ctx)
	w.keep.closeKeepers(w.aborting)
	return err
}

// takeRestart reports whether the worker must start afresh, and forgets the call of
// Restart.
func (w *Worker) takeRestart(ctx context.Context) bool {
	full := w.config.MaxJobs > 0 && w.done.Load() >= int64(w.config.MaxJobs)
	w.mu.Lock()
	defer w.mu.Unlock()
	restart := w.restart && !w.stopping && !full && ctx.Err() == nil
	w.restart = false
	return restart
}

// reload prepares the next connections.
func (w *Worker) reload() error {
	if w.config.Reload != nil {
		servers, err := w.config.Reload()
		switch {
		case err != nil:
			w.log.Error("configuration not read again", "error", err)
		case len(servers) > 0:
			w.config.Servers = servers
		}
	}
	w.closeWorker()
	return w.prepare()
}

// Stop makes Run take no more jobs and return when the running jobs have ended.
// It does not wait. It may be called before Run and more than once.
func (w *Worker) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopping = true
	w.jobs.Stop()
}

// Abort is Stop, and gives the running jobs back to their queues: their programs
// get SIGTERM, and SIGKILL after Config.KillAfter.
func (w *Worker) Abort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopping = true
	w.jobs.Abort()
	w.abort()
}

// Kill is Abort, except that the programs get SIGKILL at once.
func (w *Worker) Kill() {
	w.Abort()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.killed {
		w.killed = true
		close(w.killing)
	}
}

// Restart makes Run finish the running jobs, close its connections and kept
// children, call Config.Reload, and go on with new connections. After Stop it does
// nothing.
func (w *Worker) Restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopping {
		w.restart = true
		w.jobs.Stop()
	}
}

// Running returns the number of jobs that run now.
func (w *Worker) Running() int { return int(w.running.Load()) }
