package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"syscall"

	"gm/cmd/cli"
	"gm/internal/daemon"
	"gm/internal/serverlog"
	"gm/internal/serving"
	"gm/internal/tune"
	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/store/open"
	"gm/pkg/work"
)

// startDaemon starts the server in the background. A server that fails has printed its
// error: then only its exit code is left to return.
func startDaemon() error {
	signals, stop := cli.NotifySignals(syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := daemon.Start(signals)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errors.ErrUnsupported):
		return cli.ExitWith(cli.ExitRefused, fmt.Errorf("--daemon: %w", err))
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return cli.ExitWith(exit.ExitCode(), nil)
	case errors.As(err, &exit):
		return cli.ExitWith(cli.ExitFailed, err)
	}
	return cli.ExitWith(cli.ExitIO, err)
}

// changeProcess sets the limits and the user of the process, before it opens anything.
func changeProcess(c *cli.Context) error {
	if n := c.Int("file-descriptors"); c.IsSet("file-descriptors") {
		if err := daemon.LimitFiles(n); err != nil {
			return cli.WithHint(cli.ExitWith(cli.ExitRefused, fmt.Errorf("--file-descriptors %d: %w", n, err)),
				"ulimit -Hn prints the maximum; root may raise it")
		}
	}
	if name := c.String("user"); name != "" {
		if err := daemon.SwitchUser(name); err != nil {
			return userError(fmt.Errorf("--user %q: %w", name, err))
		}
	}
	if c.Bool("coredump") {
		daemon.DumpCore()
	}
	return nil
}

// userError returns an error of --user with its exit code and hint.
func userError(err error) error {
	switch {
	case errors.As(err, new(*daemon.LookupError)):
		return cli.WithHint(cli.ExitWith(cli.ExitUsage, err), "useradd --system creates a user")
	case errors.Is(err, daemon.ErrNotRoot):
		return cli.WithHint(cli.ExitWith(cli.ExitRefused, err), "leave out --user, or start gm serve as root")
	}
	return cli.ExitWith(cli.ExitRefused, err)
}

// serveRun is a run of gm serve.
type serveRun struct {
	*env
	c   *cli.Context
	cfg serveConfig
	log *serverlog.Log
	pid daemon.PIDFile

	// reportReady reports to the process that started this daemon. It is nil in the
	// foreground.
	reportReady func() error
}

// runServe opens the log and the trace, and serves.
func (e *env) runServe(c *cli.Context, cfg serveConfig, reportReady func() error) error {
	s := &serveRun{env: e, c: c, cfg: cfg, pid: daemon.PIDFile{Path: c.String("pid-file")}, reportReady: reportReady}
	if err := s.openLog(); err != nil {
		return err
	}
	if file := c.String("trace"); file != "" {
		var err error
		if s.cfg.server.Trace, err = e.tracerWithoutWaiting(file); err != nil {
			return err
		}
	}
	logUnneeded(c, s.log.Logger)
	tune.LeastProcs()
	tune.Garbage(cfg.plan.Limit, cfg.plan.Garbage)
	err := s.runServers()
	if text := cli.Message(err); text != "" && (cfg.log.File != "" || cfg.log.Syslog) {
		s.log.Logger.Error("the server has ended", "err", text)
	}
	return err
}

// openLog opens the log. From then on writes to Stderr do not block. The end of the verb
// closes the log.
func (s *serveRun) openLog() error {
	o := s.cfg.log
	o.Output = s.Stderr
	log, err := serverlog.Open(o)
	switch {
	case err == nil:
	case errors.As(err, new(*net.OpError)):
		return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "--log-file FILE logs to a file")
	default:
		return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "--log-file FILE names another file; --log-file stderr needs no file")
	}
	s.log, s.Stderr = log, log.Stderr
	s.Closers = append(s.Closers, log)
	s.cfg.server.Logger = log.Logger
	return nil
}

// runServers serves until a signal, the admin command shutdown, or a failure. SIGHUP reloads
// meanwhile.
func (s *serveRun) runServers() error {
	signals, stop := cli.NotifySignals(daemon.StopSignals...)
	defer stop()
	cfg := serving.Config{
		Server: s.cfg.server, Listen: s.openListeners, Listening: s.reportListening,
		StoreAtEnd:   s.c.Bool("store-queue-on-shutdown"),
		DrainTimeout: cli.DurationOf(s.c, "drain-timeout"),
		Signals:      signals,
	}
	if s.cfg.place != nil {
		s.cfg.place.Logger, s.cfg.place.StandingBy = s.log.Logger, s.reportStandby
		cfg.Server.StoreName, cfg.Acquire = s.cfg.place.Name(), s.acquireStore
	}
	if len(s.cfg.work) > 0 {
		cfg.NewWorker = s.newWorker
	}
	if len(s.cfg.outbox) > 0 {
		cfg.NewRelay = s.newRelay
		s.warnOfMemory()
	}
	runner := serving.New(cfg)
	defer cli.OnSignals(func(syscall.Signal) { s.reload(runner) }, syscall.SIGHUP)()
	defer s.pid.Remove()
	return serveError(runner.Run())
}

// serveError returns an error of [serving.Runner.Run] with its exit code and hint.
func serveError(err error) error {
	switch {
	case errors.As(err, new(*cli.ExitError)):
		return err
	case errors.As(err, new(*serving.DrainError)):
		return cli.ExitWith(cli.ExitAgain, err)
	case errors.As(err, new(*serving.LostJobsError)):
		return cli.WithHint(cli.ExitWith(cli.ExitAgain, err), "a single signal lets the running jobs end; --data DIR keeps background jobs")
	case errors.As(err, new(*serving.IOError)):
		return cli.ExitWith(cli.ExitIO, err)
	}
	return err
}

// openListeners listens on the addresses of --listen.
func (s *serveRun) openListeners() ([]net.Listener, error) {
	ls, err := server.ListenAll(s.c.Context, s.c.StringSlice("listen"), s.cfg.port)
	if err != nil {
		return nil, listenError(err)
	}
	return ls, nil
}

// listenError returns an error of [server.ListenAll] with its exit code and hint.
func listenError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return cli.WithHint(cli.ExitWith(cli.ExitAgain, err), "gm ping shows whether another server runs; -p PORT uses another port")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return cli.ExitWith(cli.ExitRefused, err)
	case errors.Is(err, server.ErrAddress):
		return cli.UsageErrorf("--listen: %w", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "this machine does not have that address; ip addr lists its addresses")
	}
	return cli.ExitWith(cli.ExitIO, err)
}

// reportListening writes the pid file, prints the port, and reports to the process that
// started this daemon.
func (s *serveRun) reportListening(ls []net.Listener) error {
	if err := pidError(s.pid.Write()); err != nil {
		return err
	}
	port := 0
	for _, l := range ls {
		if t, ok := l.Addr().(*net.TCPAddr); ok && port == 0 {
			port = t.Port
		}
	}
	if s.cfg.port == 0 {
		s.cfg.port = port // clients come back to the same port
	}
	if s.c.Bool("print-port") {
		if port == 0 {
			return cli.UsageErrorf("--print-port: the server listens on no TCP port")
		}
		if err := s.PrintLine(strconv.Itoa(port)); err != nil {
			return err
		}
	}
	return s.endStart()
}

// reportStandby reports to the process that started this daemon that it is on standby. It
// writes the pid file first, unless the file belongs to another running server.
func (s *serveRun) reportStandby() error {
	if s.reportReady == nil {
		return nil
	}
	if err := pidError(s.pid.WriteIfFree()); err != nil {
		return err
	}
	return s.endStart()
}

// endStart reports that the daemon is ready, if this process is one.
func (s *serveRun) endStart() error {
	if s.reportReady == nil {
		return nil
	}
	if err := s.reportReady(); err != nil {
		return cli.ExitWith(cli.ExitIO, err)
	}
	return nil
}

// pidError returns an error of the pid file with its exit code and hint.
func pidError(err error) error {
	if err == nil {
		return nil
	}
	return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "--pid-file FILE names another file")
}

// acquireStore opens and locks the store.
func (s *serveRun) acquireStore(ctx context.Context, patient bool) (store.Store, error) {
	opened, err := s.cfg.place.Acquire(ctx, "gm serve", patient)
	if err != nil {
		return nil, openError(err)
	}
	return opened, nil
}

// newWorker returns the worker that runs the commands of --work.
func (s *serveRun) newWorker(o gearman.Options, address string) (serving.Worker, error) {
	var busy tune.Awake
	cfg := work.Config{
		Options:   o,
		JobLogger: s.log.Logger,
		ID:        "gm-serve",
		Jobs:      s.c.Int("work-jobs"),
		Commands:  map[string][]string{},
		Shell:     true,
		Secrets:   open.PasswordVars(), // the server's; commands of gm work may need a database
		Address:   address,
		Stderr:    s.Stderr,
		OnStart:   func(*gearman.Job) { busy.Note() },
	}
	for _, w := range s.cfg.work {
		cfg.Functions = append(cfg.Functions, w.function)
		cfg.Commands[w.function] = []string{w.command}
	}
	w, err := work.New(cfg)
	if err != nil {
		return nil, cli.UsageErrorf("--work: %w", err)
	}
	guardProcesses()
	for _, w := range s.cfg.work {
		s.log.Logger.Info("working", "function", w.function, "command", w.command, "jobs", cfg.Jobs)
	}
	return w, nil
}

// reload reopens the log and reads --config-file again. Its log level and its --retry
// policies apply from now on.
func (s *serveRun) reload(runner *serving.Runner) {
	s.log.Reopen()
	c, err := s.Reparse()
	if err == nil {
		err = cli.SetFromFile(s.Root, c, "config-file")
	}
	var level slog.Level
	if err == nil {
		level, err = logLevel(c)
	}
	var policies map[string]server.Policy
	if err == nil {
		policies, err = retryPolicies(c)
	}
	if err != nil {
		s.log.Logger.Error("the configuration has an error; the old one stays in force", "err", err)
		return
	}
	s.log.Level.Set(level)
	runner.ReplacePolicies(policies)
	s.log.Logger.Info("reloaded", "config", s.c.String("config-file"), "level", level.String())
}
