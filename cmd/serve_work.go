package cmd

import (
	"context"
	"net"
	"strconv"
	"strings"

	"gm/cmd/cli"
	"gm/internal/tune"
	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store/open"
	"gm/pkg/work"
)

// workCommand is a --work of gm serve.
type workCommand struct{ function, command string }

// parseWorkCommands reads the --work flags.
func parseWorkCommands(c *cli.Context) ([]workCommand, error) {
	var commands []workCommand
	for _, w := range cli.LinesOf(c, "work") {
		function, command, ok := strings.Cut(w, "=")
		if !ok || function == "" || strings.TrimSpace(command) == "" {
			return nil, cli.UsageErrorf("--work %q: not FUNCTION=COMMAND", w)
		}
		commands = append(commands, workCommand{function, command})
	}
	if len(commands) > 0 && c.Int("work-jobs") < 1 {
		return nil, cli.UsageErrorf("--work-jobs %d: not 1 or more", c.Int("work-jobs"))
	}
	return commands, nil
}

// startWorker runs the --work commands as a worker inside the server's process,
// over a connection that needs no port. The returned function lets it finish.
func (s *serving) startWorker(srv *server.Server, ls []net.Listener) (stop func(), err error) {
	if len(s.workCommands) == 0 {
		return func() {}, nil
	}
	var busy tune.Awake
	cfg := work.Config{
		Options: gearman.Options{ // without a logger: the end of the pipe is that of the server
			Servers: []gearman.Server{{Network: "pipe", Addr: "pipe"}},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go srv.ServeConn(there) //nolint:errcheck // the worker notices its end
				return here, nil
			},
			MaxPayload: s.cfg.MaxPayload,
		},
		JobLogger: s.cfg.Logger,
		ID:        "gm-serve",
		Jobs:      s.c.Int("work-jobs"),
		Commands:  map[string][]string{},
		Shell:     true,
		// These passwords are the server's. The commands of gm work keep theirs: they
		// may need a database.
		Secrets: open.PasswordVars(),
		Address: reachableAddress(ls),
		Stderr:  s.Stderr,
		OnStart: func(*gearman.Job) { busy.Note() },
	}
	for _, w := range s.workCommands {
		cfg.Functions = append(cfg.Functions, w.function)
		cfg.Commands[w.function] = []string{w.command}
	}
	w, err := work.New(cfg)
	if err != nil {
		return nil, cli.UsageErrorf("--work: %w", err)
	}
	guardProcesses()
	for _, w := range s.workCommands {
		s.cfg.Logger.Info("working", "function", w.function, "command", w.command, "jobs", cfg.Jobs)
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
