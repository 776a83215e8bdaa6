package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

const jobColumnsText = `Columns of tsv: server, handle, function, state (waiting, delayed, running, dead), priority, age in ms, attempts, size of the payload in bytes, progress (numerator/denominator), unique, worker, when it died in Unix milliseconds, last error. A value that a server does not report is empty, and missing in JSON.`

func jobVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "job",
			Usage:     "show one job",
			ArgsUsage: "HANDLE",
			Description: `Asks all servers for the job and shows it. A completed job is unknown. A job that has failed for good is dead; it is shown with its last error until it is forgotten. gm serve reports everything, other servers only the progress and whether the job runs. On a terminal each line has a name and a value.

--payload prints the payload of the job. With gm serve, -o json and jsonl have it as payload, or as payload_base64 if it is not UTF-8.

` + followText + `

` + jobColumnsText,
			Flags: slices.Concat([]cli.Flag{
				&cli.BoolFlag{Name: "payload", Usage: "print only the payload, byte for byte (gm serve)"},
				&cli.BoolFlag{Name: "follow", Usage: "print the result as it arrives, until the job ends (gm serve)"},
			}, e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.job(c) },
		},
		Examples: []cli.Example{
			{What: "the payload of a job", Line: `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm job "$h" --payload`},
			{What: "the state of a job", Line: `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm job "$h"`},
			{What: "the progress of a job, for a program", Line: `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm job "$h" -o jsonl | grep -o '"numerator":[0-9]*'`},
		},
		Exits: []int{cli.ExitFailed, cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitProtocol, cli.ExitTimeout, cli.ExitSignal},
	}
}

func jobsVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "jobs",
			Usage:     "list waiting, delayed, running and dead jobs",
			ArgsUsage: "[FUNC]",
			Description: `Lists the jobs of all functions, of one, or of those that a pattern such as 'img*' matches, the oldest first. Dead jobs, which are background jobs that have failed for good, are listed only with --dead. gm serve reports everything, gearmand only handles, attempts and whether the jobs run, without their functions.

` + jobColumnsText,
			Flags: slices.Concat([]cli.Flag{
				&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "list only jobs of `FUNC`, like the argument"},
				&cli.StringFlag{Name: "state", Usage: "list only jobs in `STATE`: waiting, delayed, running or dead"},
				&cli.BoolFlag{Name: "dead", Usage: "list the dead jobs, like --state dead"},
				&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 100, Usage: "list at most `N` jobs of each server; 0 lists all"},
			}, e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.jobs(c) },
		},
		Examples: []cli.Example{
			{What: "the oldest waiting jobs", Line: "gm jobs --state waiting"},
			{What: "the dead jobs of a function and their errors", Line: "gm jobs --dead -f resize -o tsv | cut -f2,13"},
			{What: "cancel the waiting jobs of one function", Line: "gm jobs resize --state waiting --limit 0 -o tsv | gm cancel -"},
		},
		Exits: []int{cli.ExitNoServer, cli.ExitIO, cli.ExitProtocol, cli.ExitTimeout, cli.ExitSignal},
	}
}

// jobRow is a job on a server.
type jobRow struct {
	Server string `json:"server"`
	gearman.JobDetails
	Payload       *string `json:"payload,omitempty"`
	PayloadBase64 []byte  `json:"payload_base64,omitempty"` // of one that is not UTF-8

	partial bool // of a server that reports only handle, state and progress
}

var jobColumns = []cli.Column{
	{Name: "server", Right: false},
	{Name: "handle", Right: false},
	{Name: "function", Right: false},
	{Name: "state", Right: false},
	{Name: "priority", Right: false},
	{Name: "age", Right: true},
	{Name: "attempts", Right: true},
	{Name: "size", Right: true},
	{Name: "progress", Right: true},
	{Name: "unique", Right: false},
	{Name: "worker", Right: false},
	{Name: "died", Right: true},
	{Name: "error", Right: false},
}

func (r *jobRow) Cells(human bool) []string {
	progress := ""
	if r.Denominator != 0 || r.Numerator != 0 {
		progress = fmt.Sprintf("%d/%d", r.Numerator, r.Denominator)
	}
	if r.partial {
		return []string{r.Server, string(r.Handle), "", string(r.State), "", "", strconv.Itoa(r.Attempts), "", progress, "", "", "", ""}
	}
	ageText := strconv.FormatInt(r.AgeMS, 10)
	if human {
		ageText = age(r.AgeMS)
	}
	return []string{
		r.Server, string(r.Handle), r.Function, string(r.State), r.Priority, ageText,
		strconv.Itoa(r.Attempts), strconv.Itoa(r.Size), progress, r.Unique, r.Worker, moment(r.DiedMS, human), errorText(r.Error, human),
	}
}

// errorText returns the text of a failure, in one line for a person.
func errorText(text string, human bool) string {
	if !human {
		return text
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}

// moment returns a Unix time in milliseconds as text, empty for 0.
func moment(ms int64, human bool) string {
	switch {
	case ms == 0:
		return ""
	case human:
		return time.UnixMilli(ms).Format(time.DateTime)
	}
	return strconv.FormatInt(ms, 10)
}

// job is the action of gm job.
func (e *env) job(c *cli.Context) error {
	if c.NArg() != 1 {
		return cli.UsageErrorf("job: %d arguments, want one handle", c.NArg())
	}
	if err := checkHandles(c); err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	w, err := e.NewRows(c, jobColumns...)
	if err != nil {
		return err
	}
	w.Fields = true
	handle := gearman.Handle(c.Args().First())
	if c.Bool("follow") {
		if c.Bool("payload") {
			return cli.UsageErrorf("job: --follow cannot be used with --payload")
		}
		return e.follow(c, o, w, handle)
	}
	if c.Bool("payload") && !c.IsSet("output") {
		return e.printPayload(c, o, handle)
	}
	withPayload := w.Format == cli.FormatJSON || w.Format == cli.FormatJSONL
	if c.Bool("payload") && !withPayload {
		return cli.UsageErrorf("job: --payload needs -o json, -o jsonl, or no -o")
	}
	answers, err := succeeded(e, askAll(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) (*jobRow, error) {
			if withPayload {
				r, err := findPayload(ctx, admin, handle)
				if !errors.Is(err, gearman.ErrUnsupported) {
					return r, err
				}
			}
			return findJob(ctx, o, admin, handle)
		}))
	if err != nil {
		return fmt.Errorf("job %s: %w", handle, err)
	}
	for _, a := range answers {
		if a.value == nil {
			continue
		}
		a.value.Server = a.server.String()
		if err := w.Add(a.value); err != nil {
			return err
		}
		return w.Close()
	}
	return cli.WithHint(cli.ExitWith(cli.ExitUnknown, fmt.Errorf("job %s: unknown, or done", handle)), hintUnknownJob)
}

// printPayload copies the payload of a job from its server to stdout.
func (e *env) printPayload(c *cli.Context, o gearman.Options, h gearman.Handle) error {
	defer e.EndLastLine()()
	answers, err := succeeded(e, askAll(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) (bool, error) {
			_, err := admin.JobPayload(ctx, h, e.Stdout)
			if errors.Is(err, gearman.ErrUnknownJob) {
				return false, nil
			}
			return err == nil, err
		}))
	if err != nil {
		return fmt.Errorf("job %s: %w", h, err)
	}
	if !slices.ContainsFunc(answers, func(a answer[bool]) bool { return a.value }) {
		return cli.WithHint(cli.ExitWith(cli.ExitUnknown, fmt.Errorf("job %s: unknown, or done", h)), hintUnknownJob)
	}
	return nil
}

// findPayload asks one server for a job with its payload. It returns nil if the
// server does not know it.
func findPayload(ctx context.Context, admin *gearman.Admin, h gearman.Handle) (*jobRow, error) {
	var payload bytes.Buffer
	job, err := admin.JobPayload(ctx, h, &payload)
	switch {
	case errors.Is(err, gearman.ErrUnknownJob):
		return nil, nil
	case err != nil:
		return nil, err
	}
	r := &jobRow{JobDetails: job}
	if text := payload.String(); utf8.ValidString(text) {
		r.Payload = &text
	} else {
		r.PayloadBase64 = payload.Bytes()
	}
	return r, nil
}

// findJob asks one server for a job. It returns nil if the server does not
// know it.
func findJob(ctx context.Context, o gearman.Options, admin *gearman.Admin, h gearman.Handle) (*jobRow, error) {
	job, err := admin.Job(ctx, h)
	switch {
	case err == nil:
		return &jobRow{JobDetails: job}, nil
	case exitCode(err) == cli.ExitUnknown:
		return nil, nil
	case !errors.Is(err, gearman.ErrUnsupported):
		return nil, err
	}
	o.Servers = []gearman.Server{admin.Server()}
	client, err := gearman.NewClient(o)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	status, err := client.Status(ctx, h)
	if err != nil || !status.Known {
		return nil, err
	}
	r := &jobRow{partial: true, JobDetails: gearman.JobDetails{
		Handle: h, State: gearman.StateWaiting, Numerator: status.Numerator, Denominator: status.Denominator,
	}}
	if status.Running {
		r.State = gearman.StateRunning
	}
	return r, nil
}

// jobs is the action of gm jobs.
func (e *env) jobs(c *cli.Context) error {
	if c.NArg() > 1 {
		return cli.UsageErrorf("jobs: %d arguments, want one function or none", c.NArg())
	}
	state, function, err := jobsWanted(c)
	if err != nil {
		return err
	}
	if err := checkWords(c); err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	w, err := e.NewRows(c, jobColumns...)
	if err != nil {
		return err
	}
	limit := c.Int("limit")
	answers, absent, err := present(e, askAll(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) ([]*jobRow, error) {
			return listJobs(ctx, admin, function, state, limit)
		}), w.Format == cli.FormatTable)
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	w.Notes = absentLines(absent)
	for _, a := range answers {
		for _, r := range a.value {
			r.Server = a.server.String()
			if err := w.Add(r); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

// jobsWanted returns the state and the function that flags and arguments select. Empty
// values select all.
func jobsWanted(c *cli.Context) (state gearman.JobState, function string, err error) {
	state, function = gearman.JobState(c.String("state")), c.String("function")
	switch state {
	case "", gearman.StateWaiting, gearman.StateDelayed, gearman.StateRunning, gearman.StateDead:
	default:
		return "", "", cli.UsageErrorf("--state %q: want waiting, delayed, running or dead", string(state))
	}
	switch arg := c.Args().First(); {
	case c.Bool("dead") && state != "" && state != gearman.StateDead:
		return "", "", cli.UsageErrorf("--dead cannot be used with --state %s", state)
	case function != "" && arg != "" && arg != function:
		return "", "", cli.UsageErrorf("functions %q and %q: want one", function, arg)
	case arg != "":
		function = arg
	}
	if c.Bool("dead") {
		state = gearman.StateDead
	}
	return state, function, nil
}

// matchingJobs returns the first jobs of the function, or of those that a pattern
// matches.
func matchingJobs(ctx context.Context, admin *gearman.Admin, function string, state gearman.JobState, limit int) ([]gearman.JobDetails, error) {
	if !isPattern(function) {
		return admin.Jobs(ctx, function, state, limit)
	}
	var jobs []gearman.JobDetails
	err := admin.EachJob(ctx, "", state, 0, "", func(j gearman.JobDetails) error {
		if matchesName(function, j.Function) {
			jobs = append(jobs, j)
		}
		if limit > 0 && len(jobs) == limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return jobs, err
}

// errEnough ends a listing that has all it needs.
var errEnough = errors.New("enough")

// listJobs asks one server: gm serve for jobs, others for show jobs, which
// does not tell functions. No state stands for all of them, limit 0 for none.
func listJobs(ctx context.Context, admin *gearman.Admin, function string, state gearman.JobState, limit int) ([]*jobRow, error) {
	jobs, err := matchingJobs(ctx, admin, function, state, limit)
	if err == nil {
		rows := make([]*jobRow, len(jobs))
		for i, j := range jobs {
			rows[i] = &jobRow{JobDetails: j}
		}
		return rows, nil
	}
	if !errors.Is(err, gearman.ErrUnsupported) || function != "" || state == gearman.StateDead {
		return nil, err
	}
	shown, err := admin.ShowJobs(ctx)
	if err != nil {
		return nil, err
	}
	var rows []*jobRow
	for _, j := range shown {
		r := &jobRow{partial: true, JobDetails: gearman.JobDetails{Handle: j.Handle, State: gearman.StateRunning, Attempts: j.Attempts}}
		if j.Queued {
			r.State = gearman.StateWaiting
		}
		if (state == "" || state == r.State) && (limit == 0 || len(rows) < limit) {
			rows = append(rows, r)
		}
	}
	return rows, nil
}
