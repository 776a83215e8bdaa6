package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

// connFlags returns the flags of verbs that connect to servers; options reads them.
func (e *env) connFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: "server", Aliases: []string{"s"}, Category: cli.CatServers,
			Usage: "connect to `HOST[:PORT]`, [::1]:4730 or unix:/path; repeatable, or separated by commas; else GEARMAN_SERVERS, GEARMAN_SERVER or the configuration (default localhost)",
		},
		&cli.IntFlag{
			Name: "port", Aliases: []string{"p"}, Value: gearman.DefaultPort, Category: cli.CatServers,
			Usage: "use `PORT` for servers without one",
		},
		&cli.StringFlag{
			Name: "context", Category: cli.CatServers,
			Usage: "use the context `NAME` of the configuration; else GM_CONTEXT",
		},
		&cli.StringFlag{
			Name: "trace", Category: cli.CatServers,
			Usage: "write every packet as text to `FILE`; - is stderr",
		},
	}
}

// options returns the options from connFlags, the environment and the configuration, in
// this order of precedence. Its Servers are never empty.
func (e *env) options(c *cli.Context) (gearman.Options, error) {
	return e.optionsWithTracer(c, e.tracer)
}

// optionsWithTracer returns the options with the trace that openTrace opens.
func (e *env) optionsWithTracer(c *cli.Context, openTrace func(file string) (*gearman.Tracer, error)) (gearman.Options, error) {
	var o gearman.Options
	servers, err := e.servers(c)
	if err != nil {
		return o, err
	}
	o.Servers = servers
	if file := c.String("trace"); file != "" {
		if o.Trace, err = openTrace(file); err != nil {
			return o, err
		}
	}
	return o, nil
}

// servers returns the servers of a verb.
func (e *env) servers(c *cli.Context) ([]gearman.Server, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	list, from, err := e.serverList(c, cfg)
	if err != nil {
		return nil, err
	}
	port := c.Int("port")
	if !c.IsSet("port") && cfg.Port != 0 {
		port = cfg.Port
	}
	if port < 1 || port > 65535 {
		return nil, cli.UsageErrorf("port %d: must be from 1 to 65535", port)
	}
	servers, err := gearman.ParseServers(list, port)
	if err != nil {
		return nil, cli.UsageErrorf("%s: %w", from, err)
	}
	return servers, nil
}

// serverList returns the list of servers as text, and its place for error messages. A
// context that a flag names comes before a list in the environment; a context that the
// environment or the configuration names comes after it.
func (e *env) serverList(c *cli.Context, cfg *config) (list, from string, err error) {
	if c.IsSet("server") {
		return strings.Join(c.StringSlice("server"), ","), "--server", nil
	}
	if name := c.String("context"); name != "" {
		return cfg.contextServers(name)
	}
	for _, name := range []string{"GEARMAN_SERVERS", "GEARMAN_SERVER"} {
		if list := e.Getenv(name); list != "" {
			return list, name, nil
		}
	}
	if name := e.Getenv("GM_CONTEXT"); name != "" {
		return cfg.contextServers(name)
	}
	if cfg.Context != "" {
		return cfg.contextServers(cfg.Context)
	}
	if len(cfg.Servers) > 0 {
		return strings.Join(cfg.Servers, ","), cfg.path, nil
	}
	return "localhost", "default", nil
}

// queryFlags returns connFlags and --timeout, for verbs that request answers from
// servers.
func (e *env) queryFlags() []cli.Flag {
	return append(e.connFlags(), cli.DurationFlag(5*time.Second, cli.GenericFlag{
		Name: "timeout", Aliases: []string{"t"}, Category: cli.CatServers,
		Usage: "wait at most `DURATION` for the answer of a server: 500ms, 10s, 1m",
	}))
}

// An answer is the reply of one server, or its error.
type answer[T any] struct {
	server gearman.Server
	value  T
	err    error
}

// askAll asks all of o.Servers at once, each within timeout, and returns their
// answers in the servers' order.
func askAll[T any](ctx context.Context, o gearman.Options, timeout time.Duration,
	ask func(context.Context, *gearman.Admin) (T, error),
) []answer[T] {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answers := make([]answer[T], len(o.Servers))
	var wg sync.WaitGroup
	for i, s := range o.Servers {
		wg.Go(func() {
			admin := gearman.NewAdmin(s, o)
			defer admin.Close()
			value, err := ask(ctx, admin)
			if err != nil && !strings.Contains(err.Error(), s.String()) {
				err = fmt.Errorf("server %v: %w", s, err)
			}
			answers[i] = answer[T]{s, value, err}
		})
	}
	wg.Wait()
	return answers
}

// allErrors returns the errors of the servers that failed, or nil. It is for verbs that
// must succeed on every server.
func allErrors[T any](answers []answer[T]) error {
	var errs []error
	unreached := gearman.ServerErrors{}
	for _, a := range answers {
		if a.err == nil {
			continue
		}
		errs = append(errs, a.err)
		if errors.Is(a.err, gearman.ErrNoServer) {
			unreached[a.server] = reason(a)
		}
	}
	switch {
	case len(errs) == 1:
		return errs[0]
	case len(errs) > 0 && len(unreached) == len(errs):
		return fmt.Errorf("%w: %w", gearman.ErrNoServer, unreached)
	}
	return errors.Join(errs...)
}

// reason returns the reason why a server could not be reached, without its name.
func reason[T any](a answer[T]) error {
	var each gearman.ServerErrors
	if errors.As(a.err, &each) && each[a.server] != nil {
		return each[a.server]
	}
	return a.err
}

// absentServer is a server that does not answer; listings leave it out.
type absentServer struct {
	Server string `json:"server"`
	Error  string `json:"error"`
}

// absentLines returns the lines above a table about the servers that it leaves out.
func absentLines(absent []absentServer) []string {
	var lines []string
	for _, a := range absent {
		lines = append(lines, fmt.Sprintf("server %s is left out: %s", a.Server, a.Error))
	}
	return lines
}

// absentNames returns the servers, separated by commas.
func absentNames(absent []absentServer) string {
	var names []string
	for _, a := range absent {
		names = append(names, a.Server)
	}
	return strings.Join(names, ",")
}

// succeeded returns the answers without error. If there is one, servers that failed are
// only noted on stderr: once, and again when they answer.
func succeeded[T any](e *env, answers []answer[T]) ([]answer[T], error) {
	good, _, err := present(e, answers, false)
	return good, err
}

// present returns the answers without error, like succeeded, and the servers that
// failed. With inTable it does not note the latter: the table names them.
func present[T any](e *env, answers []answer[T], inTable bool) (good []answer[T], absent []absentServer, err error) {
	for _, a := range answers {
		if a.err == nil {
			good = append(good, a)
		} else {
			absent = append(absent, absentServer{a.server.String(), reason(a).Error()})
		}
	}
	if len(good) == 0 {
		return nil, nil, allErrors(answers)
	}
	if inTable {
		return good, absent, nil
	}
	for _, a := range answers {
		switch {
		case a.err != nil && !e.leftOut[a.server]:
			e.note("server %v is left out: %v", a.server, reason(a))
		case a.err == nil && e.leftOut[a.server]:
			e.note("server %v answers again", a.server)
		}
		if e.leftOut == nil {
			e.leftOut = map[gearman.Server]bool{}
		}
		e.leftOut[a.server] = a.err != nil
	}
	return good, absent, nil
}

// checkWords refuses empty arguments.
func checkWords(c *cli.Context) error {
	for _, arg := range c.Args().Slice() {
		if arg == "" {
			return cli.UsageErrorf("%s: an argument is empty", c.Command.Name)
		}
	}
	return nil
}

// checkHandles refuses empty arguments and handles with white space.
func checkHandles(c *cli.Context) error {
	for _, arg := range c.Args().Slice() {
		if strings.ContainsFunc(arg, unicode.IsSpace) {
			return cli.UsageErrorf("%s: %q: a handle has no white space", c.Command.Name, arg)
		}
	}
	return checkWords(c)
}

// note prints a line on stderr that is not the error of the verb.
func (e *env) note(format string, args ...any) {
	e.PrintMessage(cli.ProgramName+": ", cli.Printable(fmt.Sprintf(format, args...), false))
}
