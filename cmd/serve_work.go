package cmd

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
	"gm/pkg/runner"
	"gm/pkg/server"
	"gm/pkg/store/open"
)

// work is a --work of gm serve.
type work struct{ function, command string }

// parseWorks reads the --work flags.
func parseWorks(c *cli.Context) ([]work, error) {
	var works []work
	for _, w := range linesOf(c, "work") {
		function, command, ok := strings.Cut(w, "=")
		if !ok || function == "" || strings.TrimSpace(command) == "" {
			return nil, usageErrorf("--work %q: not FUNCTION=COMMAND", w)
		}
		works = append(works, work{function, command})
	}
	if len(works) > 0 && c.Int("work-jobs") < 1 {
		return nil, usageErrorf("--work-jobs %d: not 1 or more", c.Int("work-jobs"))
	}
	return works, nil
}

// startWorks runs the --work commands as a worker inside the server's process,
// over a connection that needs no port. The returned function lets it finish.
func (s *serving) startWorks(srv *server.Server, ls []net.Listener) (stop func(), err error) {
	if len(s.works) == 0 {
		return func() {}, nil
	}
	log := s.cfg.Logger
	o := gearman.WorkerOptions{
		Options: gearman.Options{
			Servers: []gearman.Server{{Network: "pipe", Addr: "pipe"}},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go srv.ServeConn(there) //nolint:errcheck // the worker notices its end
				return here, nil
			},
			MaxPayload: s.cfg.MaxPayload,
		},
		ID:          "gm-serve",
		Concurrency: s.c.Int("work-jobs"),
		Cancelable:  true,
	}
	w, err := gearman.NewWorker(o) // without a logger: the pipe is no news
	if err != nil {
		return nil, err
	}
	o.Logger = log
	cw := s.newCommandWorker(&o, false)
	// These passwords are the server's. The commands of gm work keep theirs: they may
	// need a database.
	cw.environ = withoutVars(cw.environ, open.PasswordVars())
	cw.address = reachableAddress(ls)
	cw.commands = map[string]*runner.Command{}
	guardProcesses()
	for _, one := range s.works {
		command := cw.newCommand(one.command)
		command.Shell = true
		cw.commands[one.function] = command
		if err := w.Handle(one.function, cw.handle); err != nil {
			return nil, usageErrorf("--work: %w", err)
		}
		log.Info("working", "function", one.function, "command", one.command, "jobs", o.Concurrency)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx) //nolint:errcheck // it ends with the server
	}()
	return func() { cancel(); <-done }, nil
}

// reachableAddress returns the address of the first listener as a program on this
// machine connects to it; empty if there is none.
func reachableAddress(ls []net.Listener) string {
	for _, l := range ls {
		switch addr := l.Addr().(type) {
		case *net.TCPAddr:
			if addr.IP.IsUnspecified() {
				return net.JoinHostPort("localhost", strconv.Itoa(addr.Port))
			}
			return addr.String()
		case *net.UnixAddr:
			return "unix:" + addr.Name
		}
	}
	return ""
}
