package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gm/cmd/cli"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
	"gm/pkg/server"
)

func adminVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:        "admin",
			Usage:       "query and change a server",
			Description: `Sends the command to all servers of the command line. The answer of a single server is printed unchanged; with several servers each line begins with the name of the server.`,
			Flags:       e.queryFlags(),
		},
		Verbs: []*cli.Verb{
			e.adminQuery("version", "print the server's version",
				func(ctx context.Context, a *gearman.Admin) (string, error) { return a.Version(ctx) }),
			e.adminQuery("pid", "print the server's process id",
				func(ctx context.Context, a *gearman.Admin) (string, error) {
					pid, err := a.PID(ctx)
					return strconv.Itoa(pid), err
				}),
			e.adminQuery("verbose", "print the log level of the server",
				func(ctx context.Context, a *gearman.Admin) (string, error) { return a.Verbose(ctx) }),
			e.adminChange("create", "create functions before a worker serves them", (*gearman.Admin).Create),
			e.adminDrop(),
			e.adminMaxQueue(),
			e.adminChangeMatching("pause", "stop handing out the jobs of functions (gm serve)", (*gearman.Admin).Pause),
			e.adminChangeMatching("resume", "hand out jobs of paused functions again (gm serve)", (*gearman.Admin).Resume),
			e.adminPurge(),
			e.adminFront(),
			e.adminPolicy(),
			e.adminShutdown(),
			e.adminList("show-jobs", "list handles, attempts, ignored and queued of all jobs", showJobs,
				handleColumn, cli.Column{Name: "attempts", Right: true, Usual: "0"}, cli.Column{Name: "ignored", Right: true}, cli.Column{Name: "queued", Right: true}),
			e.adminList("show-unique-jobs", "list the uniques of all jobs",
				oneColumn((*gearman.Admin).ShowUniqueJobs), cli.Column{Name: "unique"}),
			e.adminList("help", "list the server's own commands (gm serve)", oneColumn((*gearman.Admin).Help), cli.Column{Name: commandColumn}),
		},
		Examples: []cli.Example{
			{What: "the version of the server", Line: "gm admin version"},
			{What: "keep one function's jobs waiting for a minute", Line: "gm admin pause resize; sleep 60; gm admin resume resize"},
		},
		Exits: adminExits,
	}
}

var adminExits = []int{cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitAgain, cli.ExitProtocol, cli.ExitRefused, cli.ExitTimeout, cli.ExitSignal}

// adminCommand returns a subcommand with the common flags and exit codes.
func (e *env) adminCommand(name, usage, args string, x cli.Example, flags ...cli.Flag) *cli.Verb {
	return &cli.Verb{
		Command:  &cli.Command{Name: name, Usage: usage, ArgsUsage: args, Flags: append(flags, e.queryFlags()...)},
		Examples: []cli.Example{x},
		Exits:    adminExits,
	}
}

// adminQuery returns a subcommand that prints one line for each server.
func (e *env) adminQuery(name, usage string, ask func(context.Context, *gearman.Admin) (string, error)) *cli.Verb {
	v := e.adminCommand(name, usage, "", cli.Example{What: "of the server on this machine", Line: "gm admin " + name}, e.RowFlags()...)
	v.Action = func(c *cli.Context) error {
		if err := cli.NoArgs(c); err != nil {
			return err
		}
		return adminRows(e, c, []cli.Column{{Name: name}}, func(ctx context.Context, a *gearman.Admin) ([][]string, error) {
			line, err := ask(ctx, a)
			return [][]string{{line}}, err
		})
	}
	return v
}

// adminList returns a subcommand that prints the rows of each server.
func (e *env) adminList(name, usage string, ask func(context.Context, *gearman.Admin) ([][]string, error), columns ...cli.Column) *cli.Verb {
	v := e.adminCommand(name, usage, "", cli.Example{What: "of the server on this machine", Line: "gm admin " + name}, e.RowFlags()...)
	v.Action = func(c *cli.Context) error {
		if err := cli.NoArgs(c); err != nil {
			return err
		}
		return adminRows(e, c, columns, ask)
	}
	return v
}

// showJobs returns the rows of show-jobs.
func showJobs(ctx context.Context, a *gearman.Admin) ([][]string, error) {
	number := map[bool]string{false: "0", true: "1"}
	jobs, err := a.ShowJobs(ctx)
	var rows [][]string
	for _, j := range jobs {
		rows = append(rows, []string{string(j.Handle), strconv.Itoa(j.Attempts), number[j.Ignored], number[j.Queued]})
	}
	return rows, err
}

// oneColumn returns a question whose answers are rows of one cell.
func oneColumn(ask func(*gearman.Admin, context.Context) ([]string, error)) func(context.Context, *gearman.Admin) ([][]string, error) {
	return func(ctx context.Context, a *gearman.Admin) ([][]string, error) {
		lines, err := ask(a, ctx)
		rows := make([][]string, len(lines))
		for i, line := range lines {
			rows[i] = []string{line}
		}
		return rows, err
	}
}

// commandColumn is the column of the server's help. A cell is a command and a text.
const commandColumn = "command"

// adminRows asks all servers and prints their rows. If a server fails, it prints the rows
// of the others and then returns the error.
func adminRows(e *env, c *cli.Context, columns []cli.Column, ask func(context.Context, *gearman.Admin) ([][]string, error)) error {
	if err := checkWords(c); err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	many := len(o.Servers) > 1
	shown := columns
	if many {
		shown = slices.Insert(slices.Clone(columns), 0, serverColumn)
	}
	w, err := e.NewRows(c, shown...)
	if err != nil {
		return err
	}
	w.Texts = !many && columns[0].Name == commandColumn
	answers := fleet.Ask(c.Context, o, cli.DurationOf(c, "timeout"), ask)
	for _, a := range answers {
		if a.Err != nil {
			continue
		}
		for _, line := range a.Value {
			if err := w.Add(&adminRow{a.Server.String(), line, columns, many}); err != nil {
				return err
			}
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return adminError(c, fleet.JoinErrors(answers))
}

// adminRow is a line of a server's answer.
type adminRow struct {
	server  string
	row     []string // a cell for each column
	columns []cli.Column
	many    bool
}

func (r *adminRow) Cells(bool) []string {
	cells := slices.Clone(r.row)
	if r.many {
		cells = slices.Insert(cells, 0, r.server)
	}
	return cells
}

// MarshalJSON writes an object with the server and the columns.
func (r *adminRow) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"server": r.server}
	for i, cell := range r.row {
		column := r.columns[i]
		fields[column.Name] = cell
		if n, err := strconv.Atoi(cell); err == nil && column.Right {
			fields[column.Name] = n
		}
	}
	return json.Marshal(fields)
}

// adminError adds the name of the subcommand to an error.
func adminError(c *cli.Context, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("admin %s: %w", c.Command.Name, err)
}

// adminChange returns a subcommand that calls change for each function.
func (e *env) adminChange(name, usage string, change func(*gearman.Admin, context.Context, string) error) *cli.Verb {
	v := e.adminCommand(name, usage, "FUNC..", cli.Example{What: "two functions", Line: "gm admin " + name + " resize thumbnail"})
	v.Action = func(c *cli.Context) error { return e.changeFunctions(c, change, asNamed) }
	return v
}

// adminChangeMatching returns a subcommand like adminChange's. Its arguments can be
// patterns, because the functions exist.
func (e *env) adminChangeMatching(name, usage string, change func(*gearman.Admin, context.Context, string) error) *cli.Verb {
	v := e.adminCommand(name, usage, "FUNC..", cli.Example{What: "all functions that match", Line: "gm admin " + name + " 'res*'"})
	v.Description = "FUNC may be a pattern such as 'img*' for all functions that it matches."
	v.Action = func(c *cli.Context) error { return e.changeFunctions(c, change, expandPatterns) }
	return v
}

// expandPatterns replaces patterns by the functions of a server that they match.
func expandPatterns(ctx context.Context, admin *gearman.Admin, patterns []string) ([]string, error) {
	names, err := fleet.ExpandNames(ctx, admin, patterns)
	if errors.Is(err, fleet.ErrNoMatch) {
		err = cli.WithHint(cli.ExitWith(cli.ExitUnknown, err), hintUnknownFunction)
	}
	return names, err
}

// asNamed returns the names of functions unchanged.
func asNamed(_ context.Context, _ *gearman.Admin, names []string) ([]string, error) {
	return names, nil
}

// changeFunctions calls change for each function on each server. expand returns the
// functions of a server for the arguments.
func (e *env) changeFunctions(c *cli.Context, change func(*gearman.Admin, context.Context, string) error,
	expand func(context.Context, *gearman.Admin, []string) ([]string, error),
) error {
	if c.NArg() == 0 {
		return cli.UsageErrorf("admin %s: no function", c.Command.Name)
	}
	return e.changeServers(c, func(ctx context.Context, a *gearman.Admin) error {
		functions, err := expand(ctx, a, c.Args().Slice())
		if err != nil {
			return err
		}
		var errs []error
		for _, f := range functions {
			if err := change(a, ctx, f); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", f, err))
			}
		}
		if len(errs) == 1 {
			return errs[0]
		}
		return errors.Join(errs...)
	})
}

// adminFront returns the subcommand that moves jobs to the head of their queue.
func (e *env) adminFront() *cli.Verb {
	v := e.adminCommand("front", "move waiting jobs to the head of their queue (gm serve)", "HANDLE..",
		cli.Example{What: "a job that runs next", Line: `h=$(gm submit -b -f thumbnail photo.jpg); gm admin front "$h"`})
	v.Description = `Moves waiting jobs, on any of the servers, in front of all other jobs of their function and priority; the last HANDLE comes first. A running, delayed or dead job is refused with exit code 75. After a restart of the server the jobs are in their old places.`
	v.Action = func(c *cli.Context) error {
		if c.NArg() == 0 {
			return cli.UsageErrorf("admin front: no handle")
		}
		if err := checkHandles(c); err != nil {
			return err
		}
		var handles []gearman.Handle
		for _, arg := range c.Args().Slice() {
			handles = append(handles, gearman.Handle(arg))
		}
		return e.changeHandles(c, handles, "unknown, or done", (*gearman.Admin).Front)
	}
	return v
}

func (e *env) adminMaxQueue() *cli.Verb {
	v := e.adminCommand("maxqueue", "limit the number of jobs of a function", "FUNC [MAX | HIGH NORMAL LOW]",
		cli.Example{What: "at most 1000 jobs of each priority", Line: "gm admin maxqueue resize 1000"})
	v.Description = `Limits the waiting and running jobs of a function. Further jobs are refused with QUEUE_ERROR, and gm submit exits with 75. One number applies to each priority, three to high, normal and low. No number, or 0, removes the limit.`
	v.Action = func(c *cli.Context) error {
		args := c.Args().Slice()
		if n := len(args); n != 1 && n != 2 && n != 4 {
			return cli.UsageErrorf("admin maxqueue: %d arguments, want a function and none, one or three numbers", n)
		}
		var limits []int
		for _, arg := range args[1:] {
			n, err := strconv.Atoi(arg)
			if err != nil || n < 0 {
				return cli.UsageErrorf("admin maxqueue: limit %q: must be 0 or more", arg)
			}
			limits = append(limits, n)
		}
		return e.changeServers(c, func(ctx context.Context, a *gearman.Admin) error { return a.MaxQueue(ctx, args[0], limits...) })
	}
	return v
}

// changeServers calls change for each server.
func (e *env) changeServers(c *cli.Context, change func(context.Context, *gearman.Admin) error) error {
	if err := checkWords(c); err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	return adminError(c, fleet.JoinErrors(fleet.Ask(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, a *gearman.Admin) (struct{}, error) { return struct{}{}, change(ctx, a) })))
}

func (e *env) adminDrop() *cli.Verb {
	v := e.adminCommand("drop", "forget functions that have no workers", "FUNC..",
		cli.Example{What: "a function that is not used any more", Line: "gm admin create old; gm admin drop --yes old"}, cli.YesFlag())
	v.Description = `Drops a function with its waiting jobs, whose clients get a failure; gm serve reports the number of jobs. A function with workers, running jobs or dead jobs is refused with exit code 75.`
	v.Action = func(c *cli.Context) error {
		if c.NArg() == 0 {
			return cli.UsageErrorf("admin drop: no function")
		}
		if err := e.Confirm(c.Bool("yes"), "forget "+strings.Join(c.Args().Slice(), ", ")); err != nil {
			return err
		}
		return e.changeFunctions(c, func(a *gearman.Admin, ctx context.Context, f string) error {
			n, err := a.Drop(ctx, f)
			if n > 0 {
				e.note("admin drop: %s: waiting jobs dropped: %d", f, n)
			}
			return err
		}, asNamed)
	}
	return v
}

func (e *env) adminPurge() *cli.Verb {
	v := e.adminCommand("purge", "drop the waiting and delayed jobs of functions (gm serve)", "FUNC..",
		cli.Example{What: "an empty queue", Line: "gm admin purge --yes resize"},
		append(e.RowFlags(), cli.YesFlag(),
			&cli.BoolFlag{Name: "dead", Usage: "forget the dead jobs, not the waiting ones"})...)
	v.Description = `Drops all jobs of the functions that are not running; their clients get a failure. With --dead it forgets the dead jobs, which have failed for good. Prints each function and the number of its dropped jobs. FUNC may be a pattern such as 'img*' for all functions that it matches.`
	v.Action = func(c *cli.Context) error {
		functions := c.Args().Slice()
		if len(functions) == 0 {
			return cli.UsageErrorf("admin purge: no function")
		}
		what, purge := "drop all waiting jobs of ", (*gearman.Admin).Purge
		if c.Bool("dead") {
			what, purge = "forget all dead jobs of ", (*gearman.Admin).PurgeDead
		}
		if err := e.Confirm(c.Bool("yes"), what+strings.Join(functions, ", ")); err != nil {
			return err
		}
		return adminRows(e, c, []cli.Column{functionColumn, {Name: "dropped", Right: true}},
			func(ctx context.Context, a *gearman.Admin) ([][]string, error) {
				functions, err := expandPatterns(ctx, a, functions)
				if err != nil {
					return nil, err
				}
				var rows [][]string
				for _, f := range functions {
					n, err := purge(a, ctx, f)
					if err != nil {
						return nil, fmt.Errorf("%s: %w", f, err)
					}
					rows = append(rows, []string{f, strconv.Itoa(n)})
				}
				return rows, nil
			})
	}
	return v
}

func (e *env) adminPolicy() *cli.Verb {
	v := e.adminCommand("policy", "set the retries of failed jobs (gm serve)", "FUNC [RETRIES[,MIN..MAX] | -]",
		cli.Example{What: "three retries, after at most 1 s, 2 s and 4 s", Line: "gm admin policy resize 3,1s..5m"}, e.RowFlags()...)
	v.Description = `Sets the policy for background and foreground jobs of a function that fail from now on. RETRIES is the number of retries, -1 for no limit. MIN..MAX (1s..5m by default) limits the time before a retry: it is MIN at first and doubles each time up to MAX; then a random part, half of it at most, is subtracted. A policy of - allows no retries. The policy overrides --retry of gm serve, and its store keeps it.

Without a policy it prints the current one, or - if the function has no policy.`
	v.Action = func(c *cli.Context) error {
		args := c.Args().Slice()
		switch {
		case len(args) == 0:
			return cli.UsageErrorf("admin policy: no function")
		case len(args) > 2:
			return cli.UsageErrorf("admin policy: %d arguments, want a function and one policy or none", len(args))
		case len(args) == 1:
			return adminRows(e, c, []cli.Column{{Name: "policy"}}, func(ctx context.Context, a *gearman.Admin) ([][]string, error) {
				policy, err := a.Policy(ctx, args[0])
				return [][]string{{policy}}, err
			})
		case args[1] != "-":
			if _, err := server.ParsePolicy(args[1]); err != nil {
				return cli.UsageErrorf("admin policy: %w", err)
			}
		}
		return e.changeServers(c, func(ctx context.Context, a *gearman.Admin) error { return a.SetPolicy(ctx, args[0], args[1]) })
	}
	return v
}

func (e *env) adminShutdown() *cli.Verb {
	v := e.adminCommand("shutdown", "stop the server", "",
		cli.Example{What: "let running jobs end first", Line: "gm admin shutdown --graceful --yes"},
		&cli.BoolFlag{Name: "graceful", Aliases: []string{"g"}, Usage: "wait until running jobs have ended"}, cli.YesFlag())
	v.Description = `Stops the server. gearmand refuses this command since 1.1: send SIGTERM to its process (gm admin pid).`
	v.Action = func(c *cli.Context) error {
		if err := cli.NoArgs(c); err != nil {
			return err
		}
		servers, err := e.servers(c)
		if err != nil {
			return err
		}
		var names []string
		for _, s := range servers {
			names = append(names, s.String())
		}
		if err := e.Confirm(c.Bool("yes"), "stop "+strings.Join(names, ", ")); err != nil {
			return err
		}
		return e.changeServers(c, func(ctx context.Context, a *gearman.Admin) error {
			return a.Shutdown(ctx, c.Bool("graceful"))
		})
	}
	return v
}
