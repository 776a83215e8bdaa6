package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

const followText = `--follow prints the data of the result as the worker sends it, until the job ends; progress and warnings go to stderr. The exit code is 0 if the job has completed, 1 if it has failed. The output begins with the earlier data that the server has kept (gm serve --keep-results). -o jsonl prints objects: event (data, warning, status, or again, after which the job starts over), data in base64, numerator, denominator; the last one is the outcome, as in gm wait. Only gm serve supports it.`

// followRow is a line of job --follow -o jsonl.
type followRow struct {
	Server string `json:"server"`
	*gearman.FollowEvent
	*gearman.Outcome
}

func (r *followRow) Cells(bool) []string { return nil } // it is JSON only

// follow prints the data that the worker of a job sends. Its error is the outcome.
func (e *env) follow(c *cli.Context, o gearman.Options, w *cli.RowWriter, h gearman.Handle) error {
	asJSON := c.IsSet("output")
	if asJSON && w.Format != cli.FormatJSONL {
		return cli.UsageErrorf("job: --follow needs -o jsonl, or no -o")
	}
	if !asJSON {
		defer e.EndLastLine()()
	}
	ctx, done := context.WithCancelCause(c.Context)
	defer done(nil)
	f := &following{e: e, rows: w, asJSON: asJSON}
	answers := make([]answer[gearman.Outcome], len(o.Servers))
	var asking sync.WaitGroup
	for i, s := range o.Servers {
		asking.Go(func() {
			admin := gearman.NewAdmin(s, o)
			defer admin.Close()
			outcome, err := admin.Follow(ctx, h, func(event gearman.FollowEvent) error { return f.event(s, &event) })
			if err == nil && outcome.State != gearman.OutcomeUnknown {
				done(errFollowed) // the others do not have it
			}
			answers[i] = answer[gearman.Outcome]{s, outcome, err}
		})
	}
	asking.Wait()
	for _, a := range answers {
		if a.err == nil && a.value.State != gearman.OutcomeUnknown {
			return f.end(a.server, h, &a.value)
		}
	}
	answers = slices.DeleteFunc(answers, func(a answer[gearman.Outcome]) bool { return errors.Is(a.err, errFollowed) })
	if _, err := succeeded(e, answers); err != nil {
		return fmt.Errorf("job %s: %w", h, err)
	}
	return cli.ExitWith(cli.ExitUnknown, fmt.Errorf("job %s: unknown, or done", h))
}

// errFollowed ends the requests to servers that do not have the job.
var errFollowed = errors.New("the job was on another server")

// following is a run of job --follow.
type following struct {
	e      *env
	rows   *cli.RowWriter
	asJSON bool

	mu sync.Mutex
}

// event prints one event of the job.
func (f *following) event(s gearman.Server, event *gearman.FollowEvent) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.asJSON:
		if err := f.rows.Add(&followRow{Server: s.String(), FollowEvent: event}); err != nil {
			return err
		}
		return f.rows.Flush()
	case event.Event == gearman.FollowData:
		_, err := f.e.Stdout.Write(event.Data)
		return err
	case event.Event == gearman.FollowStatus:
		f.e.note("progress %d/%d", event.Numerator, event.Denominator)
	case event.Event == gearman.FollowWarning:
		f.e.note("warning: %s", event.Data)
	case event.Event == gearman.FollowAgain:
		f.e.note("the job starts over: the data before this is void")
	}
	return nil
}

// end prints the outcome as JSON, and returns it as an error unless the job completed.
func (f *following) end(s gearman.Server, h gearman.Handle, outcome *gearman.Outcome) error {
	if f.asJSON {
		if err := f.rows.Add(&followRow{Server: s.String(), Outcome: outcome}); err != nil {
			return err
		}
		if err := f.rows.Close(); err != nil {
			return err
		}
	}
	if outcome.State == gearman.OutcomeCompleted {
		return nil
	}
	text := string(outcome.State)
	if outcome.Error != "" {
		text += ": " + errorText(outcome.Error, true)
	}
	return cli.ExitWith(cli.ExitFailed, fmt.Errorf("job %s: %s", h, text))
}
