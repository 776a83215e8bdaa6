package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

func statusVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "status",
			Usage:     "show the queues: jobs and workers of each function",
			ArgsUsage: "[FUNC..]",
			Description: `Shows one row for each function: jobs that wait for a worker, jobs that run, and workers (connections) that serve it. gm serve also reports delayed jobs, the age of the oldest waiting job, whether the function is paused, and the number of dead jobs. With arguments it shows only those functions; an argument may be a pattern such as 'img*'. The rows of several servers are summed, unless --by-server shows each. A server that does not answer is named above the table, or on stderr if there is no table. It is an error only if no server answers.

--watch asks again every --interval. On a terminal it redraws the table. Elsewhere it appends one line each time: time, waiting, running, workers, delayed and age of the oldest in ms, then submitted, done and failed jobs per second, all summed over the functions, and the servers that the sums leave out. With -o jsonl the line also has the functions.

Columns of tsv: function, waiting, running, workers, delayed, age of the oldest in ms, state (ok, paused, no-workers, or loading while the server reads its store and the counts are incomplete), dead. With --by-server the server comes first. A value that a server does not report is empty, and null in JSON.`,
			Flags: slices.Concat([]cli.Flag{
				&cli.BoolFlag{Name: "by-server", Usage: "show a row for each function of each server, not the sums"},
			}, e.watchFlags(), e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.status(c) },
		},
		Examples: []cli.Example{
			{What: "all queues of two servers, summed", Line: "gm status -s localhost,127.0.0.1:4731"},
			{What: "functions that have jobs and no workers", Line: `gm status | awk -F'\t' '$2 > 0 && $4 == 0 { print $1 }'`},
			{What: "the longest queue", Line: "gm status -o tsv | sort -t \"$(printf '\\t')\" -k2,2nr | head -1"},
			{What: "one line every ten seconds, into a log", Line: "gm status resize --watch --interval 10s >>resize.log"},
			{What: "some functions", Line: "gm status 'res*' || true"},
			{What: "one function as JSON, for a program", Line: `gm status -o jsonl | grep '"function":"resize"'`},
		},
		Exits: []int{cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitTimeout, cli.ExitSignal},
	}
}

// status is the verb's action.
func (e *env) status(c *cli.Context) error {
	o, err := e.options(c)
	if err != nil {
		return err
	}
	if c.Bool("watch") {
		return e.watchStatus(c, o)
	}
	w, err := e.NewRows(c, statusColumns(c.Bool("by-server"))...)
	if err != nil {
		return err
	}
	answers, absent, err := e.askStatus(c, o, w.Format == cli.FormatTable)
	if err != nil {
		return err
	}
	w.Notes = append(absentLines(absent), storeLines(answers)...)
	rows := mergeStatus(answers, c.Bool("by-server"), c.Args().Slice())
	for _, r := range rows {
		if err := w.Add(r); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return missingFunctions(c, rows)
}

// askStatus returns the functions of each server that answers, and the servers that do
// not. It notes the latter on stderr, unless inTable says that the table names them.
func (e *env) askStatus(c *cli.Context, o gearman.Options, inTable bool) ([]answer[[]*statusRow], []absentServer, error) {
	answers, absent, err := present(e, askAll(c.Context, o, cli.DurationOf(c, "timeout"), functionsOf), inTable)
	if err != nil {
		return nil, nil, fmt.Errorf("status: %w", err)
	}
	return answers, absent, nil
}

// functionsOf asks one server for its functions: gm serve for its stats,
// others for status and, where they have it, prioritystatus.
func functionsOf(ctx context.Context, admin *gearman.Admin) ([]*statusRow, error) {
	server, stats, err := admin.Stats(ctx)
	if err == nil {
		rows := make([]*statusRow, len(stats))
		for i := range stats {
			rows[i] = statsRow(&stats[i])
			rows[i].Loading = server.Loading
		}
		if server.Loading || server.StoreError != "" {
			rows = append(rows, &statusRow{Loading: server.Loading, storeError: server.StoreError})
		}
		return rows, nil
	}
	if !errors.Is(err, gearman.ErrUnsupported) {
		return nil, err
	}
	functions, err := admin.Status(ctx)
	if err != nil {
		return nil, err
	}
	priorities, err := admin.PriorityStatus(ctx)
	if err != nil && !errors.Is(err, gearman.ErrUnsupported) {
		return nil, err
	}
	rows := make([]*statusRow, len(functions))
	for i, f := range functions {
		r := &statusRow{Function: f.Function, Waiting: max(0, f.Total-f.Running), Running: f.Running, Workers: f.Workers}
		for _, p := range priorities {
			if p.Function == f.Function {
				r.High, r.Normal, r.Low = &p.High, &p.Normal, &p.Low
			}
		}
		rows[i] = r
	}
	return rows, nil
}

// storeLines returns the lines above a table about the servers' stores: those that are
// still being read, and those that fail.
func storeLines(answers []answer[[]*statusRow]) []string {
	var lines []string
	for _, a := range answers {
		for _, r := range a.value {
			if r.isServer() && r.Loading {
				lines = append(lines, fmt.Sprintf("server %s reads its store: its counts are not complete", a.server))
			}
			if r.isServer() && r.storeError != "" {
				lines = append(lines, fmt.Sprintf("server %s: its store fails: %s", a.server, r.storeError))
			}
		}
	}
	return lines
}

// missingFunctions returns an error for arguments that match no function of any
// server.
func missingFunctions(c *cli.Context, rows []*statusRow) error {
	for _, name := range c.Args().Slice() {
		if !slices.ContainsFunc(rows, func(r *statusRow) bool { return matchesName(name, r.Function) }) {
			return cli.WithHint(cli.ExitWith(cli.ExitUnknown, fmt.Errorf("status: no server has the function %q", name)), hintUnknownFunction)
		}
	}
	return nil
}
