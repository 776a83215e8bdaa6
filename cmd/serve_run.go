package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/urfave/cli/v2"

	"gm/pkg/server"
)

// serving is a run of gm serve: one server, or, if its store passes to another
// one and back, several in turn.
type serving struct {
	*env
	c     *cli.Context
	cfg   server.Config
	place *storePlace // nil for memory
	works []work

	port      int // of addresses without one; once it has listened, which it was
	announced bool
	signals   <-chan os.Signal
}

// run serves until a signal, the admin command shutdown, or a failure.
func (s *serving) run() error {
	signals, stop := notifySignals(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	s.signals = signals
	if file := s.c.String("pid-file"); file != "" {
		defer func() {
			if s.announced { // else it is the other server's
				os.Remove(file)
			}
		}()
	}
	if s.place == nil {
		return s.serveOnce()
	}
	s.place.logger = s.cfg.Logger
	s.cfg.StoreName = s.place.name()
	for patient := false; ; patient = true {
		taken, err := s.place.takeStore(s.signals, patient)
		if errors.Is(err, errStopped) {
			return nil
		}
		if err != nil {
			return storeError(err)
		}
		s.cfg.Store = taken
		if err := s.serveOnce(); !errors.Is(err, errStoreLost) {
			return err
		}
	}
}

// errStoreLost is that the store has passed to another server.
var errStoreLost = errors.New("the store has passed to another server")

// storeError gives an error of opening or taking a store its exit code.
func storeError(err error) error {
	if errors.As(err, new(*exitError)) {
		return err
	}
	return exitWith(exitIO, err)
}

// serveOnce listens, and runs a server, which closes the store in the end.
func (s *serving) serveOnce() error {
	listeners, err := listenAll(s.c.Context, s.c.StringSlice("listen"), s.port)
	if err != nil {
		return errors.Join(err, closeStore(s.cfg.Store))
	}
	srv, err := server.New(s.cfg)
	if err != nil {
		closeAll(listeners)
		return errors.Join(err, closeStore(s.cfg.Store))
	}
	if err := s.announce(listeners); err != nil {
		closeAll(listeners)
		return errors.Join(err, srv.Close())
	}
	return s.runServer(srv, listeners)
}

// announce says where the server listens, to whoever has started it, when it
// does so first.
func (s *serving) announce(ls []net.Listener) error {
	if s.announced {
		return nil
	}
	s.announced = true
	if file := s.c.String("pid-file"); file != "" {
		if err := os.WriteFile(file, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			return exitWith(exitIO, fmt.Errorf("write pid file: %w", err))
		}
	}
	port := 0
	for _, l := range ls {
		if t, ok := l.Addr().(*net.TCPAddr); ok && port == 0 {
			port = t.Port
		}
	}
	if s.port == 0 {
		s.port = port // clients come to where they have been
	}
	switch {
	case !s.c.Bool("print-port"):
		return nil
	case port == 0:
		return usageErrorf("--print-port: it listens on no TCP port")
	}
	return s.printLine(strconv.Itoa(port))
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
	stopWork, err := s.startWorks(srv, s.works, s.c.Int("work-jobs"), log)
	if err != nil {
		srv.Close()
		return err
	}
	defer stopWork()

	select {
	case sig := <-s.signals:
		log.Info("stopping", "signal", sig.String())
	case graceful := <-stop:
		if !graceful {
			return srv.Close()
		}
	case <-lostOf(s.cfg.Store):
		log.Error("the store has passed to another server: stopping", "store", s.cfg.StoreName)
		srv.Close() //nolint:errcheck // the store refuses all that is left
		return errStoreLost
	case err := <-failed:
		srv.Close()
		return exitWith(exitIO, err)
	}
	return s.drain(srv, log)
}

// drain stops the server gracefully, as long as nothing calls for more haste.
func (s *serving) drain(srv *server.Server, log *slog.Logger) error {
	patience := durationOf(s.c, "drain-timeout")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go func() {
		select {
		case sig := <-s.signals:
			log.Warn("stopping at once", "signal", sig.String())
			cancel()
		case <-lostOf(s.cfg.Store):
			log.Error("the store has passed to another server: stopping at once", "store", s.cfg.StoreName)
			cancel()
		case <-ctx.Done():
		}
	}()
	err := srv.Shutdown(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return exitWith(exitAgain, fmt.Errorf("drain: jobs still ran after %v", patience))
	case errors.Is(err, context.Canceled):
		return nil
	}
	return err
}
