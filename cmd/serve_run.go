package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"gm/cmd/cli"
	"gm/internal/deferred"
	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/store/open"
)

// serving is a run of gm serve: one server, or several in turn if the store passes to
// another process and back.
type serving struct {
	*env
	c            *cli.Context
	log          *serveLog
	ready        func() error // reports to whoever started a daemon; nil if there is none
	cfg          server.Config
	place        *open.Place     // nil for memory
	lost         <-chan struct{} // closed when the store has passed to another server
	workCommands []workCommand

	mu  sync.Mutex
	srv *server.Server // the running server, or nil

	port      int // of addresses without one; after the first listen the port that was used
	announced bool
	wrotePID  bool // on standby
	signals   <-chan os.Signal
}

// run serves until a signal, the admin command shutdown, or a failure.
func (s *serving) run() error {
	signals, stop := cli.NotifySignals(stopSignals...)
	defer stop()
	s.signals = signals
	defer s.reloadOnHangup()()
	if file := s.c.String("pid-file"); file != "" {
		defer func() {
			if s.announced || s.wrotePID { // else the file belongs to the other server
				os.Remove(file)
			}
		}()
	}
	if s.place == nil {
		return s.serveOnce()
	}
	s.place.Logger = s.cfg.Logger
	s.place.StandingBy = s.reportStandby
	s.cfg.StoreName = s.place.Name()
	for patient := false; ; patient = true {
		taken, err := acquireStore(s.place, s.signals, patient)
		if errors.Is(err, errStopped) {
			return nil
		}
		if err != nil {
			return openError(err)
		}
		if err := s.serveStore(taken); !errors.Is(err, errStoreLost) {
			return err
		}
	}
}

// serveStore runs a server on a store that this process has locked.
func (s *serving) serveStore(taken store.Store) error {
	warnOfLimit(taken, &s.cfg)
	s.cfg.Store, s.lost = taken, open.Lost(taken)
	if !s.c.Bool("store-queue-on-shutdown") {
		return s.serveOnce()
	}
	queue := deferred.New(taken)
	s.cfg.Store = queue
	err := s.serveOnce()
	jobs, flushErr := queue.Flush(context.Background())
	s.log.logger.Info("the queue is stored", "store", s.cfg.StoreName, "jobs", jobs)
	if flushErr != nil {
		s.log.logger.Error("a part of the queue is not stored", "store", s.cfg.StoreName, "err", flushErr)
		flushErr = cli.ExitWith(cli.ExitIO, flushErr)
	}
	return errors.Join(err, flushErr)
}

// reportStandby reports to the process that started the daemon that it is on standby.
// It writes the pid file first, unless the file belongs to another running server.
func (s *serving) reportStandby() error {
	if s.ready == nil {
		return nil
	}
	if file := s.c.String("pid-file"); file != "" && !namesOther(file) {
		if err := writePIDFile(file); err != nil {
			return err
		}
		s.wrotePID = true
	}
	return s.ready()
}

// errStoreLost is returned when the store has passed to another server.
var errStoreLost = errors.New("the store has passed to another server")

// serveOnce listens and runs a server, which closes the store when it ends.
func (s *serving) serveOnce() error {
	listeners, err := listenAll(s.c.Context, s.c.StringSlice("listen"), s.port)
	if err != nil {
		return errors.Join(err, open.Close(s.cfg.Store))
	}
	srv, err := server.New(s.cfg)
	if err != nil {
		closeAll(listeners)
		return errors.Join(err, open.Close(s.cfg.Store))
	}
	if err := s.announce(listeners); err != nil {
		closeAll(listeners)
		return errors.Join(err, srv.Close())
	}
	s.setServer(srv)
	defer s.setServer(nil)
	return s.runServer(srv, listeners)
}

func (s *serving) setServer(srv *server.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.srv = srv
}

// reloadOnHangup reloads at each SIGHUP until the returned function is called.
func (s *serving) reloadOnHangup() (stop func()) {
	hangups, stopSignals := cli.NotifySignals(syscall.SIGHUP)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-hangups:
				s.reload()
			case <-done:
				return
			}
		}
	}()
	return func() {
		stopSignals()
		close(done)
		<-ended
	}
}

// reload reopens the log and reads --config-file again. Its log level and its --retry
// policies apply from now on.
func (s *serving) reload() {
	log := s.cfg.Logger
	s.log.reopen()
	c, err := s.freshContext()
	if err == nil {
		err = s.readConfigFile(c)
	}
	level, policies := s.log.level.Level(), s.cfg.Policies
	if err == nil {
		level, err = logLevel(c)
	}
	if err == nil {
		policies, err = retryPolicies(c)
	}
	if err != nil {
		log.Error("the configuration has an error; the old one stays in force", "err", err)
		return
	}
	s.log.level.Set(level)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv != nil {
		s.srv.ReplacePolicies(s.cfg.Policies, policies)
	}
	s.cfg.Policies = policies
	log.Info("reloaded", "config", s.c.String("config-file"), "level", level.String())
}

// freshContext parses the command line again, into new values.
func (s *serving) freshContext() (*cli.Context, error) {
	root := *s.Root
	root.Made = map[string]*cli.Verb{}
	call, err := cli.ParseArgs(&root, s.Argv)
	if err != nil {
		return nil, err
	}
	return call.Context()
}

// announce reports that the server listens, when it does so for the first time: it
// writes the pid file, prints the port, and reports to the starter of a daemon.
func (s *serving) announce(ls []net.Listener) error {
	if s.announced {
		return nil
	}
	s.announced = true
	if file := s.c.String("pid-file"); file != "" {
		if err := writePIDFile(file); err != nil {
			return err
		}
	}
	port := 0
	for _, l := range ls {
		if t, ok := l.Addr().(*net.TCPAddr); ok && port == 0 {
			port = t.Port
		}
	}
	if s.port == 0 {
		s.port = port // clients come back to the same port
	}
	if s.c.Bool("print-port") {
		if port == 0 {
			return cli.UsageErrorf("--print-port: the server listens on no TCP port")
		}
		if err := s.PrintLine(strconv.Itoa(port)); err != nil {
			return err
		}
	}
	if s.ready != nil {
		return s.ready()
	}
	return nil
}

// runServer serves until a signal, the admin command shutdown, the loss of the
// store, or a listener that fails. The first signal drains, the second stops
// at once.
func (s *serving) runServer(srv *server.Server, ls []net.Listener) error {
	log := s.cfg.Logger
	stop := make(chan bool, 1) // true: graceful
	srv.OnShutdown(func(graceful bool) {
		select {
		case stop <- graceful:
		default:
		}
	})
	failed := make(chan error, len(ls))
	for _, l := range ls {
		go func() { failed <- srv.Serve(l) }()
	}
	stopWork, err := s.startWorker(srv, ls)
	if err != nil {
		srv.Close()
		return err
	}
	defer stopWork()

	select {
	case sig := <-s.signals:
		log.Info("stopping", "signal", sig.String(), "next_signal", "stops at once")
	case graceful := <-stop:
		if !graceful {
			return srv.Close() // by an administrator who has confirmed it
		}
	case <-s.lost:
		log.Error("the store has passed to another server: stopping", "store", s.cfg.StoreName)
		srv.Close() //nolint:errcheck // the store refuses all that is left
		return errStoreLost
	case err := <-failed:
		srv.Close()
		return cli.ExitWith(cli.ExitIO, err)
	}
	return s.drain(srv, log)
}

// drain stops the server gracefully, until a second signal or the loss of the store.
func (s *serving) drain(srv *server.Server, log *slog.Logger) error {
	patience := cli.DurationOf(s.c, "drain-timeout")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		select {
		case sig := <-s.signals:
			log.Warn("stopping at once", "signal", sig.String())
			cancel()
		case <-s.lost:
			log.Error("the store has passed to another server: stopping at once", "store", s.cfg.StoreName)
			cancel()
		case <-ctx.Done():
		}
	}()
	err := srv.Shutdown(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return cli.ExitWith(cli.ExitAgain, fmt.Errorf("drain: jobs were still running after %v", patience))
	case errors.Is(err, context.Canceled):
		return lostJobsError(srv)
	}
	return err
}

// lostJobsError returns the error of a server that a second signal has stopped: nil
// if a store has all jobs.
func lostJobsError(srv *server.Server) error {
	n := srv.LostJobs()
	text := fmt.Sprintf("%d jobs are lost", n)
	switch n {
	case 0:
		return nil
	case 1:
		text = "1 job is lost"
	}
	return cli.WithHint(cli.ExitWith(cli.ExitAgain, errors.New("stop at once: "+text)),
		"a single signal lets the running jobs end; --data DIR keeps background jobs")
}
