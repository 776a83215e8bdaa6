package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

func waitVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "wait",
			Usage:     "wait until jobs have ended",
			ArgsUsage: "[HANDLE..|-]",
			Description: `Waits for jobs on any of the servers (gm serve) and prints a row for each when it ends. A job that failed and will be retried has not ended. The exit code is 0 if all jobs completed, 1 if one did not, 3 if one is unknown and none has failed.

` + handlesText + ` With -f it waits for the waiting, delayed and running jobs of the function; without --match for all of them, with or without --all.

After the end of a job only a server with --keep-results knows the outcome, or if the job is dead. For other jobs, wait must be connected before they end.

Columns of tsv: server, handle, function, state (completed, failed, exception, cancelled, dead, unknown), failed attempts, size of the result in bytes, time of the end in Unix milliseconds, error. An unknown value is empty, and missing in JSON.`,
			Flags: slices.Concat(selectFlags("wait for all jobs of -f that have not ended"), []cli.Flag{
				cli.DurationFlag(0, cli.GenericFlag{
					Name: "timeout", Aliases: []string{"t"}, Category: cli.CatServers,
					Usage: "give up after `DURATION`, such as 500ms, 10s or 1m (default never)",
				}),
			}, e.RowFlags(), e.connFlags()),
			Action: func(c *cli.Context) error { return e.wait(c) },
		},
		Examples: []cli.Example{
			{What: "go on when a job is done, for at most a minute", Line: `h=$(gm submit -b -f resize photo.jpg); gm wait -t 1m "$h" && echo done`},
			{What: "all jobs of a function", Line: "gm wait -f resize"},
		},
		Exits: []int{cli.ExitFailed, cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitAgain, cli.ExitProtocol, cli.ExitTimeout, cli.ExitSignal},
	}
}

// outcomeRow is the outcome of a job on a server.
type outcomeRow struct {
	Server string `json:"server,omitempty"`
	gearman.Outcome
}

var outcomeColumns = []cli.Column{
	{Name: "server", Right: false},
	{Name: "handle", Right: false},
	{Name: "function", Right: false},
	{Name: "state", Right: false},
	{Name: "attempts", Right: true},
	{Name: "size", Right: true},
	{Name: "ended", Right: true},
	{Name: "error", Right: false},
}

func (r *outcomeRow) Cells(human bool) []string {
	if r.State == gearman.OutcomeUnknown {
		return []string{r.Server, string(r.Handle), "", string(r.State), "", "", "", ""}
	}
	return []string{
		r.Server, string(r.Handle), r.Function, string(r.State), strconv.Itoa(r.Attempts), strconv.Itoa(r.Size), moment(r.EndedMS, human),
		errorText(r.Error, human),
	}
}

// Paint colours every state except completed.
func (r *outcomeRow) Paint(s *cli.Style, cells []string) {
	switch r.State {
	case gearman.OutcomeCompleted:
	case gearman.OutcomeUnknown:
		cells[3] = s.Warn.Sprint(r.State)
	default:
		cells[3] = s.Bad.Sprint(r.State)
	}
}

// wait is the verb's action.
func (e *env) wait(c *cli.Context) error {
	selected, err := e.selection(c, false)
	if err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	rows, err := e.NewRows(c, outcomeColumns...)
	if err != nil {
		return err
	}
	ctx, cancel := c.Context, context.CancelFunc(func() {})
	if d := cli.DurationOf(c, "timeout"); d > 0 {
		ctx, cancel = context.WithTimeout(ctx, d)
	}
	defer cancel()
	handles := slices.Clone(selected.handles)
	if selected.function != "" {
		if handles, err = e.unendedHandles(ctx, o, selected); err != nil {
			return fmt.Errorf("wait: %w", err)
		}
	}
	slices.Sort(handles)
	w := &waiting{rows: rows, asked: len(o.Servers), unknown: map[gearman.Handle]int{}, states: map[gearman.Handle]gearman.OutcomeState{}}
	err = w.run(ctx, e, o, slices.Compact(handles))
	if closeErr := rows.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	return w.verdict()
}

// unendedHandles returns the handles of the selected jobs that have not ended, on all
// servers that answer.
func (e *env) unendedHandles(ctx context.Context, o gearman.Options, s *jobSelection) ([]string, error) {
	s.timeout = unendedTimeout
	answers, err := succeeded(e, askAll(ctx, o, manyJobsTime, func(ctx context.Context, admin *gearman.Admin) ([]gearman.Handle, error) {
		return s.selectJobs(ctx, admin, gearman.StateWaiting, gearman.StateDelayed, gearman.StateRunning)
	}))
	if err != nil {
		return nil, err
	}
	var handles []string
	for _, a := range answers {
		for _, h := range a.value {
			handles = append(handles, string(h))
		}
	}
	return handles, nil
}

// unendedTimeout is the maximum time that a server may take to list a page of jobs.
const unendedTimeout = 10 * time.Second

// waiting collects the outcomes that the servers report. A job is on one of them; for the
// others it is unknown.
type waiting struct {
	mu      sync.Mutex
	rows    *cli.RowWriter
	asked   int                                     // servers
	unknown map[gearman.Handle]int                  // number of servers that do not know the job
	states  map[gearman.Handle]gearman.OutcomeState // of the jobs whose end is printed
}

// run asks all servers and returns when it has the outcome of every job, or when no
// server can report more.
func (w *waiting) run(ctx context.Context, e *env, o gearman.Options, handles []string) error {
	ctx, done := context.WithCancelCause(ctx)
	defer done(nil)
	asked := make([]gearman.Handle, len(handles))
	for i, h := range handles {
		asked[i] = gearman.Handle(h)
	}
	var asking sync.WaitGroup
	answers := make([]answer[struct{}], len(o.Servers))
	for i, s := range o.Servers {
		asking.Go(func() {
			admin := gearman.NewAdmin(s, o)
			defer admin.Close()
			err := admin.Wait(ctx, asked, func(outcome gearman.Outcome) error {
				return w.tell(s, outcome)
			})
			if w.told() == len(handles) {
				done(errAllTold)
			}
			answers[i] = answer[struct{}]{server: s, err: err}
		})
	}
	asking.Wait()
	if w.told() == len(handles) {
		return nil
	}
	for _, a := range answers {
		// A server that never answered counts as one without the jobs.
		if a.err != nil && !errors.Is(a.err, gearman.ErrNoServer) {
			return a.err
		}
	}
	if _, err := succeeded(e, answers); err != nil {
		return err
	}
	for _, h := range handles {
		if w.states[gearman.Handle(h)] != "" {
			continue
		}
		if err := w.add(&outcomeRow{Outcome: gearman.Outcome{Handle: gearman.Handle(h), State: gearman.OutcomeUnknown}}); err != nil {
			return err
		}
	}
	return nil
}

var errAllTold = errors.New("all jobs have ended")

// tell records the outcome of a job that a server reports.
func (w *waiting) tell(s gearman.Server, o gearman.Outcome) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &outcomeRow{Server: s.String(), Outcome: o}
	if o.State == gearman.OutcomeUnknown {
		if w.unknown[o.Handle]++; w.unknown[o.Handle] < w.asked {
			return nil
		}
		r.Server = ""
	}
	if w.states[o.Handle] != "" {
		return nil
	}
	return w.add(r)
}

// add prints the outcome of a job.
func (w *waiting) add(r *outcomeRow) error {
	w.states[r.Handle] = r.State
	if err := w.rows.Add(r); err != nil {
		return err
	}
	return w.rows.Flush()
}

// told returns the number of jobs whose outcome has been printed.
func (w *waiting) told() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.states)
}

// verdict returns an error with the exit code of all jobs together, without a text: the
// rows have it.
func (w *waiting) verdict() error {
	code := cli.ExitOK
	for _, state := range w.states {
		switch {
		case state == gearman.OutcomeUnknown && code == cli.ExitOK:
			code = cli.ExitUnknown
		case state != gearman.OutcomeCompleted && state != gearman.OutcomeUnknown:
			code = cli.ExitFailed
		}
	}
	if code == cli.ExitOK {
		return nil
	}
	return cli.ExitWith(code, nil)
}
