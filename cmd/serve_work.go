package cmd

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
	"gm/pkg/runner"
	"gm/pkg/server"
	"gm/pkg/wire"
)

// work is a --work of gm serve.
type work struct{ function, command string }

// parseWorks reads the --work flags.
func parseWorks(c *cli.Context) ([]work, error) {
	var works []work
	for _, w := range c.StringSlice("work") {
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
func (e *env) startWorks(srv *server.Server, works []work, jobs int, log *slog.Logger) (stop func(), err error) {
	if len(works) == 0 {
		return func() {}, nil
	}
	w, err := gearman.NewWorker(gearman.WorkerOptions{
		Options: gearman.Options{
			Servers: []gearman.Server{{Network: "pipe", Addr: "pipe"}},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go srv.ServeConn(there) //nolint:errcheck // the worker notices its end
				return here, nil
			},
		},
		ID:          "gm-serve",
		Concurrency: jobs,
	})
	if err != nil {
		return nil, err
	}
	_ = runner.Subreap() // where there is none, a process group has to do
	for _, one := range works {
		cw := &commandWorker{
			command: &runner.Command{
				Args: []string{one.command}, Shell: true, Stderr: e.stderr, Pdeathsig: syscall.SIGKILL,
			},
			maxResult: wire.DefaultMaxPayload,
			log:       log,
			slots:     make(chan int, jobs),
			kill:      make(chan struct{}),
		}
		for slot := range jobs {
			cw.slots <- slot + 1
		}
		if err := w.Handle(one.function, cw.handle); err != nil {
			return nil, usageErrorf("--work: %w", err)
		}
		log.Info("working", "function", one.function, "command", one.command, "jobs", jobs)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx) //nolint:errcheck // it ends with the server
	}()
	return func() { cancel(); <-done }, nil
}
