package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gm/cmd/cli"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
)

// handlesText is the part of a help text about the ways to name jobs.
const handlesText = `HANDLE names a job; - reads handles from stdin, one on each line, or the rows of gm jobs -o tsv. Instead, -f names a function, or several functions by a pattern such as 'img*'; --match selects only those of their jobs that have a text in their handle, unique, last error or payload.`

// selectFlags returns the flags of verbs that select jobs by function and text. all is the
// text of --all.
func selectFlags(all string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "select jobs of `FUNC`, or of the functions that a pattern matches"},
		&cli.StringFlag{Name: "match", Usage: "select jobs with `TEXT` in handle, unique, last error or payload"},
		&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: all},
	}
}

// selectedJobs reads the arguments and selectFlags of a verb. It returns either the
// selection of the jobs of a function, or nil and handles. If careful is set, a selection
// without --match needs --all.
func (e *env) selectedJobs(c *cli.Context, careful bool) (*fleet.Selection, []gearman.Handle, error) {
	verb := c.Command.Name
	s := &fleet.Selection{Function: c.String("function"), Match: c.String("match")}
	if err := checkHandles(c); err != nil {
		return nil, nil, err
	}
	switch all := c.Bool("all"); {
	case c.NArg() > 0 && (all || s.Match != "" || s.Function != ""):
		return nil, nil, cli.UsageErrorf("%s: handles cannot be used with -f, --match or --all", verb)
	case (all || s.Match != "") && s.Function == "":
		return nil, nil, cli.WithHint(cli.UsageErrorf("%s: no function", verb), "-f FUNC names it")
	case s.Function != "" && s.Match == "" && careful && !all:
		return nil, nil, cli.WithHint(cli.UsageErrorf("%s: -f needs --all or --match", verb),
			"--all -f "+s.Function+" selects all its jobs")
	case s.Function == "" && c.NArg() == 0:
		return nil, nil, cli.WithHint(cli.UsageErrorf("%s: no handle", verb), "gm jobs lists handles; - reads them from stdin; -f FUNC selects jobs of a function")
	case s.Function != "":
		return s, nil, nil
	}
	handles, err := e.givenHandles(c)
	return nil, handles, err
}

// checkWords returns an error for an empty argument.
func checkWords(c *cli.Context) error {
	for _, arg := range c.Args().Slice() {
		if arg == "" {
			return cli.UsageErrorf("%s: an argument is empty", c.Command.Name)
		}
	}
	return nil
}

// checkHandles returns an error for an empty argument and for a handle with white space.
func checkHandles(c *cli.Context) error {
	for _, arg := range c.Args().Slice() {
		if strings.ContainsFunc(arg, unicode.IsSpace) {
			return cli.UsageErrorf("%s: %q: a handle has no white space", c.Command.Name, arg)
		}
	}
	return checkWords(c)
}

// givenHandles returns the handles in the arguments; for - it reads them from stdin.
func (e *env) givenHandles(c *cli.Context) ([]gearman.Handle, error) {
	var handles []gearman.Handle
	for _, arg := range c.Args().Slice() {
		if arg != "-" {
			handles = append(handles, gearman.Handle(arg))
			continue
		}
		read, err := fleet.ReadHandles(e.Stdin)
		if err != nil {
			return nil, cli.ExitWith(cli.ExitIO, fmt.Errorf("%s: read handles: %w", c.Command.Name, err))
		}
		handles = append(handles, read...)
	}
	return handles, nil
}

// changeJob is a method of gearman.Admin that changes one job, or a function like it.
type changeJob = func(*gearman.Admin, context.Context, gearman.Handle) error

// manyJobsTimeout is the time limit of a command that acts on many jobs one by one.
const manyJobsTimeout = time.Hour

// changeSelected calls change for each selected job of every server, and prints the
// number of jobs on each server.
func (e *env) changeSelected(c *cli.Context, s *fleet.Selection, change changeJob, states ...gearman.JobState) error {
	s.Timeout = cli.DurationOf(c, "timeout")
	return e.countChanges(c, s.Function, manyJobsTimeout, func(ctx context.Context, admin *gearman.Admin) (int, error) {
		return s.Change(ctx, admin, change, states...)
	})
}

// countColumns are the columns of a countRow.
var countColumns = []cli.Column{serverColumn, functionColumn, {Name: "jobs", Right: true}}

// countRow is the number of jobs of a function that a verb has changed on a server.
type countRow struct {
	Server   string `json:"server"`
	Function string `json:"function"`
	Jobs     int    `json:"jobs"`
}

func (r countRow) Cells(bool) []string { return []string{r.Server, r.Function, strconv.Itoa(r.Jobs)} }

// countChanges calls change for each server, and prints the number of jobs of the function
// that it has changed there.
func (e *env) countChanges(c *cli.Context, function string, timeout time.Duration, change func(context.Context, *gearman.Admin) (int, error)) error {
	o, err := e.options(c)
	if err != nil {
		return err
	}
	w, err := e.NewRows(c, countColumns...)
	if err != nil {
		return err
	}
	answers, absent, err := splitAnswers(e, fleet.Ask(c.Context, o, timeout, change), w.Format == cli.FormatTable)
	if err != nil {
		return fmt.Errorf("%s %s: %w", c.Command.Name, function, err)
	}
	w.Notes = absentLines(absent)
	for _, a := range answers {
		if err := w.Add(countRow{a.Server.String(), function, a.Value}); err != nil {
			return err
		}
	}
	return w.Close()
}

// changeHandles calls change for each handle on every server. It returns an error with the
// text unknown for handles that no server knows.
func (e *env) changeHandles(c *cli.Context, handles []gearman.Handle, unknown string, change changeJob) error {
	verb := c.Command.Name
	o, err := e.options(c)
	if err != nil {
		return err
	}
	answers, err := succeeded(e, fleet.Ask(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) ([]bool, error) {
			return fleet.ChangeHandles(ctx, admin, handles, change)
		}))
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	var missing []error
	for i, h := range handles {
		if !slices.ContainsFunc(answers, func(a fleet.Answer[[]bool]) bool { return a.Value[i] }) {
			missing = append(missing, fmt.Errorf("%s %s: %s", verb, h, unknown))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return cli.WithHint(cli.ExitWith(cli.ExitUnknown, errors.Join(missing...)), "gm jobs lists jobs, gm jobs --dead the dead ones")
}
