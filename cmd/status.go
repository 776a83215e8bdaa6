package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"gm/cmd/cli"
	"gm/pkg/fleet"
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
			}, cli.WatchFlags(), e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.showStatus(c) },
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

// statusRow is a function on one server, or its sums over all servers.
type statusRow struct{ *fleet.Function }

// statusColumns returns the columns of a statusRow.
func statusColumns(byServer bool) []cli.Column {
	columns := []cli.Column{
		functionColumn,
		{Name: "waiting", Right: true},
		{Name: "running", Right: true},
		{Name: "workers", Right: true},
		{Name: "delayed", Right: true, Usual: "0"},
		{Name: "oldest", Right: true},
		{Name: "state"},
		{Name: "dead", Right: true, Usual: "0"},
	}
	if byServer {
		columns = slices.Insert(columns, 0, serverColumn)
	}
	return columns
}

// rateColumns are the further columns of a statusRow with --watch.
var rateColumns = []cli.Column{{Name: "in/s", Right: true}, {Name: "done/s", Right: true}, {Name: "failed/s", Right: true}}

func (r statusRow) Cells(human bool) []string {
	cells := []string{
		r.Function.Function, strconv.Itoa(r.Waiting), strconv.Itoa(r.Running), strconv.Itoa(r.Workers),
		cli.NumberCell(r.Delayed, human), cli.AgeCell(r.OldestMS, human), string(r.State),
		cli.NumberCell(r.Dead, human),
	}
	if r.Server != "" {
		cells = slices.Insert(cells, 0, r.Server)
	}
	if r.Rates != nil {
		cells = append(cells, rateCells(r.Rates, human)...)
	}
	return cells
}

// Paint colours states that need attention.
func (r statusRow) Paint(s *cli.Style, cells []string) {
	state := string(r.State)
	i := slices.Index(cells[1:], state) + 1
	switch r.State {
	case fleet.FunctionNoWorkers:
		cells[i] = s.Bad.Sprint(state)
	case fleet.FunctionPaused:
		cells[i] = s.Warn.Sprint(state)
	}
}

// rateCells returns the cells of rateColumns.
func rateCells(r *fleet.Rates, human bool) []string {
	var cells []string
	for _, rate := range []*float64{r.In, r.Done, r.Failed} {
		if rate != nil {
			cells = append(cells, strconv.FormatFloat(*rate, 'f', 1, 64))
		} else {
			cells = append(cells, cli.UnknownCell(human))
		}
	}
	return cells
}

// showStatus is the action of gm status.
func (e *env) showStatus(c *cli.Context) error {
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
	rows := fleet.MergeFunctions(answers, c.Bool("by-server"), c.Args().Slice())
	for _, f := range rows {
		if err := w.Add(statusRow{f}); err != nil {
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
func (e *env) askStatus(c *cli.Context, o gearman.Options, inTable bool) ([]fleet.Answer[fleet.ServerFunctions], []fleet.Absent, error) {
	answers, absent, err := splitAnswers(e, fleet.Ask(c.Context, o, cli.DurationOf(c, "timeout"), fleet.FunctionsOf), inTable)
	if err != nil {
		return nil, nil, fmt.Errorf("status: %w", err)
	}
	return answers, absent, nil
}

// storeLines returns the lines above a table about stores that servers are still
// reading, and about stores that fail.
func storeLines(answers []fleet.Answer[fleet.ServerFunctions]) []string {
	var lines []string
	for _, a := range answers {
		if a.Value.Loading {
			lines = append(lines, fmt.Sprintf("server %s reads its store: its counts are not complete", a.Server))
		}
		if a.Value.StoreError != "" {
			lines = append(lines, fmt.Sprintf("server %s: its store fails: %s", a.Server, a.Value.StoreError))
		}
	}
	return lines
}

// missingFunctions returns an error for arguments that match no function of any
// server.
func missingFunctions(c *cli.Context, rows []*fleet.Function) error {
	for _, name := range c.Args().Slice() {
		if !slices.ContainsFunc(rows, func(f *fleet.Function) bool { return fleet.MatchesName(name, f.Function) }) {
			return cli.WithHint(cli.ExitWith(cli.ExitUnknown, fmt.Errorf("status: no server has the function %q", name)), hintUnknownFunction)
		}
	}
	return nil
}

// watchStatus is the action of gm status --watch.
func (e *env) watchStatus(c *cli.Context, o gearman.Options) error {
	byServer := c.Bool("by-server")
	meter := fleet.RateMeter{}
	return e.watchServers(c, func(w *cli.Watch, now time.Time) error {
		answers, absent, err := e.askStatus(c, o, w.Screen != nil)
		if err != nil {
			return err
		}
		meter.SetRates(now, answers)
		functions := fleet.MergeFunctions(answers, byServer, c.Args().Slice())
		if w.Screen == nil {
			return w.Print(newStatusTick(now, functions, absent))
		}
		rows := make([]cli.Row, len(functions))
		for i, f := range functions {
			rows[i] = statusRow{f}
		}
		return w.Screen.Draw(cli.Frame{
			At: now, Columns: append(statusColumns(byServer), rateColumns...), Rows: rows,
			Notes: append(absentLines(absent), storeLines(answers)...),
		})
	})
}

// statusTick is one reading as a line of output, summed over the functions.
type statusTick struct {
	Time     time.Time `json:"time"`
	Waiting  int       `json:"waiting"`
	Running  int       `json:"running"`
	Workers  int       `json:"workers"`
	Delayed  *int      `json:"delayed"`
	OldestMS *int64    `json:"oldest_ms"`
	*fleet.Rates
	Functions []*fleet.Function `json:"functions"`
	LeftOut   []fleet.Absent    `json:"left_out,omitempty"` // servers that are not in the sums
}

func newStatusTick(now time.Time, rows []*fleet.Function, absent []fleet.Absent) *statusTick {
	total := fleet.SumFunctions(rows)
	return &statusTick{
		Time: now.Truncate(time.Millisecond), Waiting: total.Waiting, Running: total.Running, Workers: total.Workers,
		Delayed: total.Delayed, OldestMS: total.OldestMS, Rates: total.Rates,
		Functions: append([]*fleet.Function{}, rows...), LeftOut: absent,
	}
}

func (t *statusTick) Cells(human bool) []string {
	cells := append([]string{
		t.Time.Format(time.RFC3339), strconv.Itoa(t.Waiting), strconv.Itoa(t.Running), strconv.Itoa(t.Workers),
		cli.NumberCell(t.Delayed, human), cli.AgeCell(t.OldestMS, human),
	}, rateCells(t.Rates, human)...)
	return append(cells, absentNames(t.LeftOut))
}
