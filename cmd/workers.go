package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

func workersVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "workers",
			Usage:     "show connections and the functions that they serve",
			ArgsUsage: "[FUNC..]",
			Description: `Shows one row for each worker, with --all for each connection. With arguments it shows only workers of those functions; an argument may be a pattern such as 'img*'. Only gm serve reports everything: for other servers the state, the jobs, the age and the peer's port are empty.

--watch asks again every --interval. On a terminal it redraws the table. Elsewhere it appends one line each time: time, connections, workers, working, sleeping, and the servers that did not answer.

Columns of tsv: server, address, id, functions (separated by commas), state (working, sleeping, idle, client), handles of its jobs, age in ms.`,
			Flags: slices.Concat([]cli.Flag{
				&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "show connections without a function too"},
			}, e.watchFlags(), e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.workers(c) },
		},
		Examples: []cli.Example{
			{What: "all workers of two servers", Line: "gm workers -s localhost,127.0.0.1:4731"},
			{What: "workers of one function, by machine", Line: "gm workers resize | cut -f2 | cut -d: -f1 | sort | uniq -c"},
			{What: "the jobs that each worker runs", Line: "gm workers -o tsv | awk -F'\\t' '$6 != \"\" { print $2, $6 }'"},
		},
		Exits: []int{cli.ExitNoServer, cli.ExitIO, cli.ExitTimeout, cli.ExitSignal},
	}
}

// workerRow is one connection to a server. Fields that only gm serve reports are null for
// other servers.
type workerRow struct {
	Server    string           `json:"server"`
	FD        int              `json:"fd"`
	Addr      string           `json:"addr"`
	ID        string           `json:"id"`
	Functions []string         `json:"functions"`
	State     *string          `json:"state"`
	Jobs      []gearman.Handle `json:"jobs"`
	AgeMS     *int64           `json:"age_ms"`
	Waits     *int             `json:"waits"` // results that it waits for, as a client
}

var workerColumns = []cli.Column{
	{Name: "server", Right: false},
	{Name: "address", Right: false},
	{Name: "id", Right: false},
	{Name: "functions", Right: false},
	{Name: "state", Right: false},
	{Name: "jobs", Right: false},
	{Name: "age", Right: true},
}

func (r *workerRow) Cells(human bool) []string {
	state := ""
	if r.State != nil {
		state = *r.State
	} else if human {
		state = "-"
	}
	return []string{
		r.Server, r.Addr, r.ID, strings.Join(r.Functions, ","),
		state, joinHandles(r.Jobs), optionalAge(r.AgeMS, human),
	}
}

// workers is the verb's action.
func (e *env) workers(c *cli.Context) error {
	o, err := e.options(c)
	if err != nil {
		return err
	}
	if c.Bool("watch") {
		return e.watchWorkers(c, o)
	}
	w, err := e.NewRows(c, workerColumns...)
	if err != nil {
		return err
	}
	rows, absent, err := e.askWorkers(c, o, w.Format == cli.FormatTable)
	if err != nil {
		return err
	}
	w.Notes = absentLines(absent)
	for _, r := range shownWorkers(c, rows) {
		if err := w.Add(r); err != nil {
			return err
		}
	}
	return w.Close()
}

// watchWorkers is the action of workers --watch.
func (e *env) watchWorkers(c *cli.Context, o gearman.Options) error {
	format, err := e.watchFormat(c)
	if err != nil {
		return err
	}
	screen, err := e.newWatchScreen(c, format)
	if err != nil {
		return err
	}
	lines, err := e.NewRows(c)
	if err != nil {
		return err
	}
	return e.watch(c, screen, func(now time.Time) error {
		rows, absent, err := e.askWorkers(c, o, screen != nil)
		if err != nil {
			return err
		}
		if screen != nil {
			return screen.draw(watchFrame{now, workerColumns, shownWorkers(c, rows), absentLines(absent)})
		}
		if err := lines.Add(newWorkersTick(now, rows, absent)); err != nil {
			return err
		}
		return lines.Flush()
	})
}

// workersTick is one reading of workers --watch as a line of output.
type workersTick struct {
	Time        time.Time `json:"time"`
	Connections int       `json:"connections"`
	Workers     int       `json:"workers"`
	Working     *int      `json:"working"`
	Sleeping    *int      `json:"sleeping"`

	LeftOut []absentServer `json:"left_out,omitempty"` // servers that are not in the sums
}

func newWorkersTick(now time.Time, rows []*workerRow, absent []absentServer) *workersTick {
	t := &workersTick{Time: now.Truncate(time.Millisecond), Connections: len(rows), LeftOut: absent}
	one, none := 1, 0
	for _, r := range rows {
		if len(r.Functions) > 0 {
			t.Workers++
		}
		if r.State == nil {
			continue
		}
		sum(&t.Working, &none)
		sum(&t.Sleeping, &none)
		switch *r.State {
		case workerWorking:
			sum(&t.Working, &one)
		case workerSleeping:
			sum(&t.Sleeping, &one)
		}
	}
	return t
}

func (t *workersTick) Cells(human bool) []string {
	return []string{
		t.Time.Format(time.RFC3339), strconv.Itoa(t.Connections), strconv.Itoa(t.Workers),
		optional(t.Working, human), optional(t.Sleeping, human), absentNames(t.LeftOut),
	}
}

// askWorkers returns the connections of all servers that answer, and those servers
// that do not.
func (e *env) askWorkers(c *cli.Context, o gearman.Options, inTable bool) ([]*workerRow, []absentServer, error) {
	answers, absent, err := present(e, askAll(c.Context, o, cli.DurationOf(c, "timeout"), connectionsOf), inTable)
	if err != nil {
		return nil, nil, fmt.Errorf("workers: %w", err)
	}
	var rows []*workerRow
	for _, a := range answers {
		for _, r := range a.value {
			r.Server = a.server.String()
			rows = append(rows, r)
		}
	}
	return rows, absent, nil
}

// shownWorkers returns the rows that --all and the arguments select.
func shownWorkers(c *cli.Context, rows []*workerRow) []cli.Row {
	var shown []cli.Row
	functions := c.Args().Slice()
	for _, r := range rows {
		able := len(functions) == 0 || slices.ContainsFunc(r.Functions, func(f string) bool { return matchesAny(functions, f) })
		if able && (len(r.Functions) > 0 || c.Bool("all")) {
			shown = append(shown, r)
		}
	}
	return shown
}

// connectionsOf asks one server for its connections: gm serve for sessions, others for
// workers.
func connectionsOf(ctx context.Context, admin *gearman.Admin) ([]*workerRow, error) {
	sessions, err := admin.Sessions(ctx)
	if err == nil {
		rows := make([]*workerRow, len(sessions))
		for i := range sessions {
			rows[i] = sessionRow(&sessions[i])
		}
		return rows, nil
	}
	if !errors.Is(err, gearman.ErrUnsupported) {
		return nil, err
	}
	workers, err := admin.Workers(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]*workerRow, len(workers))
	for i, w := range workers {
		rows[i] = &workerRow{FD: w.FD, Addr: w.Addr, ID: w.ID, Functions: w.Functions}
	}
	return rows, nil
}

// The states of a connection.
const (
	workerWorking  = "working"
	workerSleeping = "sleeping"
	workerIdle     = "idle" // a worker without a job that does not sleep
	workerClient   = "client"
)

func sessionRow(s *gearman.Session) *workerRow {
	state := workerIdle
	switch {
	case len(s.Jobs) > 0:
		state = workerWorking
	case s.Sleeping:
		state = workerSleeping
	case len(s.Functions) == 0:
		state = workerClient
	}
	return &workerRow{
		FD: s.FD, Addr: s.Addr, ID: s.ID, Functions: s.Functions,
		State: &state, Jobs: s.Jobs, AgeMS: &s.AgeMS, Waits: &s.Waits,
	}
}

// joinHandles returns the handles with commas between them.
func joinHandles(handles []gearman.Handle) string {
	words := make([]string, len(handles))
	for i, h := range handles {
		words[i] = string(h)
	}
	return strings.Join(words, ",")
}
