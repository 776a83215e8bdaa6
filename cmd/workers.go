package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gm/cmd/cli"
	"gm/pkg/fleet"
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
			}, cli.WatchFlags(), e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.showWorkers(c) },
		},
		Examples: []cli.Example{
			{What: "all workers of two servers", Line: "gm workers -s localhost,127.0.0.1:4731"},
			{What: "workers of one function, by machine", Line: "gm workers resize | cut -f2 | cut -d: -f1 | sort | uniq -c"},
			{What: "the jobs that each worker runs", Line: "gm workers -o tsv | awk -F'\\t' '$6 != \"\" { print $2, $6 }'"},
		},
		Exits: []int{cli.ExitNoServer, cli.ExitIO, cli.ExitTimeout, cli.ExitSignal},
	}
}

// workerRow is one connection to a server.
type workerRow struct{ *fleet.Connection }

var workerColumns = []cli.Column{
	serverColumn,
	{Name: "address"},
	{Name: "id"},
	{Name: "functions"},
	{Name: "state"},
	{Name: "jobs"},
	{Name: "age", Right: true},
}

func (r workerRow) Cells(human bool) []string {
	state := cli.UnknownCell(human)
	if r.State != nil {
		state = string(*r.State)
	}
	jobs := make([]string, len(r.Jobs))
	for i, h := range r.Jobs {
		jobs[i] = string(h)
	}
	return []string{
		r.Server, r.Addr, r.ID, strings.Join(r.Functions, ","),
		state, strings.Join(jobs, ","), cli.AgeCell(r.AgeMS, human),
	}
}

// showWorkers is the action of gm workers.
func (e *env) showWorkers(c *cli.Context) error {
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
	connections, absent, err := e.askWorkers(c, o, w.Format == cli.FormatTable)
	if err != nil {
		return err
	}
	w.Notes = absentLines(absent)
	for _, r := range selectWorkers(c, connections) {
		if err := w.Add(r); err != nil {
			return err
		}
	}
	return w.Close()
}

// watchWorkers is the action of gm workers --watch.
func (e *env) watchWorkers(c *cli.Context, o gearman.Options) error {
	return e.watchServers(c, func(w *cli.Watch, now time.Time) error {
		connections, absent, err := e.askWorkers(c, o, w.Screen != nil)
		if err != nil {
			return err
		}
		if w.Screen == nil {
			return w.Print(&workersTick{now.Truncate(time.Millisecond), fleet.CountConnections(connections), absent})
		}
		return w.Screen.Draw(cli.Frame{
			At: now, Columns: workerColumns, Rows: selectWorkers(c, connections), Notes: absentLines(absent),
		})
	})
}

// workersTick is one reading of workers --watch as a line of output.
type workersTick struct {
	Time time.Time `json:"time"`
	fleet.ConnectionCounts
	LeftOut []fleet.Absent `json:"left_out,omitempty"` // servers that are not in the counts
}

func (t *workersTick) Cells(human bool) []string {
	return []string{
		t.Time.Format(time.RFC3339), strconv.Itoa(t.Connections), strconv.Itoa(t.Workers),
		cli.NumberCell(t.Working, human), cli.NumberCell(t.Sleeping, human), absentNames(t.LeftOut),
	}
}

// askWorkers returns the connections of all servers that answer, and the servers that do
// not. It notes the latter on stderr, unless inTable says that the table names them.
func (e *env) askWorkers(c *cli.Context, o gearman.Options, inTable bool) ([]*fleet.Connection, []fleet.Absent, error) {
	answers, absent, err := splitAnswers(e, fleet.Ask(c.Context, o, cli.DurationOf(c, "timeout"), fleet.ConnectionsOf), inTable)
	if err != nil {
		return nil, nil, fmt.Errorf("workers: %w", err)
	}
	var connections []*fleet.Connection
	for _, a := range answers {
		connections = append(connections, a.Value...)
	}
	return connections, absent, nil
}

// selectWorkers returns the rows that --all and the arguments select.
func selectWorkers(c *cli.Context, connections []*fleet.Connection) []cli.Row {
	var rows []cli.Row
	functions := c.Args().Slice()
	for _, r := range connections {
		serves := len(functions) == 0 || slices.ContainsFunc(r.Functions, func(f string) bool { return fleet.MatchesAny(functions, f) })
		if serves && (len(r.Functions) > 0 || c.Bool("all")) {
			rows = append(rows, workerRow{r})
		}
	}
	return rows
}
