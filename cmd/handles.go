package cmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

// handlesText is the part of a help text about the ways to name jobs.
const handlesText = `HANDLE names a job; - reads handles from stdin, one in a line, or the rows of gm jobs -o tsv. Instead, -f names a function, or several by a pattern such as 'img*'; with --match only jobs with a text in their handle, unique, last error or payload are meant.`

// selectFlags returns the flags of verbs that select jobs by function and text.
func selectFlags(all string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "select jobs of `FUNC`, or of the functions that a pattern matches"},
		&cli.StringFlag{Name: "match", Usage: "select jobs with `TEXT` in handle, unique, last error or payload"},
		&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: all},
	}
}

// jobSelection is the selection by arguments and selectFlags: handles, or jobs of a
// function.
type jobSelection struct {
	handles  []string
	function string // a name or a pattern
	match    string
	timeout  time.Duration // of each request to a server; 0 for none
}

// selection reads the arguments and selectFlags of a verb. If careful is set, it takes all
// jobs of a function only with --all.
func (e *env) selection(c *cli.Context, careful bool) (*jobSelection, error) {
	verb := c.Command.Name
	s := &jobSelection{function: c.String("function"), match: c.String("match")}
	if err := checkHandles(c); err != nil {
		return nil, err
	}
	switch all := c.Bool("all"); {
	case c.NArg() > 0 && (all || s.match != "" || s.function != ""):
		return nil, cli.UsageErrorf("%s: handles cannot be used with -f, --match or --all", verb)
	case (all || s.match != "") && s.function == "":
		return nil, cli.WithHint(cli.UsageErrorf("%s: no function", verb), "-f FUNC names it")
	case s.function != "" && s.match == "" && careful && !all:
		return nil, cli.WithHint(cli.UsageErrorf("%s: -f needs --all or --match", verb),
			"--all -f "+s.function+" selects all its jobs")
	case s.function == "" && c.NArg() == 0:
		return nil, cli.WithHint(cli.UsageErrorf("%s: no handle", verb), "gm jobs lists handles; - reads them from stdin; -f FUNC selects jobs of a function")
	case s.function != "":
		return s, nil
	}
	var err error
	s.handles, err = e.givenHandles(c)
	return s, err
}

// givenHandles returns the handles in the arguments; for - it reads them from stdin.
func (e *env) givenHandles(c *cli.Context) ([]string, error) {
	var handles []string
	for _, arg := range c.Args().Slice() {
		if arg != "-" {
			handles = append(handles, arg)
			continue
		}
		lines := bufio.NewScanner(e.Stdin)
		for lines.Scan() {
			if h := handleOfLine(lines.Text()); h != "" {
				handles = append(handles, h)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, cli.ExitWith(cli.ExitIO, fmt.Errorf("%s: read handles: %w", c.Command.Name, err))
		}
	}
	return handles, nil
}

// handleOfLine returns the handle in a line: all of it, or the second column of a
// row of gm jobs.
func handleOfLine(line string) string {
	if cells := strings.Split(line, "\t"); len(cells) > 1 {
		line = cells[1]
	}
	return strings.TrimSpace(line)
}

// selectJobs returns the selected jobs of one server that are in one of the states.
func (s *jobSelection) selectJobs(ctx context.Context, admin *gearman.Admin, states ...gearman.JobState) ([]gearman.Handle, error) {
	var handles []gearman.Handle
	var unsure []gearman.Handle // jobs whose payload may have the text
	exact := s.function
	if isPattern(exact) {
		exact = ""
	}
	for _, state := range states {
		err := s.eachPage(ctx, admin, exact, state, func(j gearman.JobDetails) {
			switch {
			case !matchesName(s.function, j.Function):
			case s.match == "" || strings.Contains(string(j.Handle), s.match) || strings.Contains(j.Unique, s.match) || strings.Contains(j.Error, s.match):
				handles = append(handles, j.Handle)
			case j.Size >= len(s.match):
				unsure = append(unsure, j.Handle)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for _, h := range unsure {
		var payload bytes.Buffer
		err := s.within(ctx, func(ctx context.Context) error {
			_, err := admin.JobPayload(ctx, h, &payload)
			return err
		})
		switch {
		case errors.Is(err, gearman.ErrUnknownJob): // it has ended
		case err != nil:
			return nil, err
		case bytes.Contains(payload.Bytes(), []byte(s.match)):
			handles = append(handles, h)
		}
	}
	return handles, nil
}

// selectPage is the number of jobs in one request.
const selectPage = 1000

// eachPage calls f for each job of the function in the state. The timeout of the verb
// applies to each page.
func (s *jobSelection) eachPage(ctx context.Context, admin *gearman.Admin, function string, state gearman.JobState, f func(gearman.JobDetails)) error {
	for after := gearman.Handle(""); ; {
		n := 0
		err := s.within(ctx, func(ctx context.Context) error {
			return admin.EachJob(ctx, function, state, selectPage, after, func(j gearman.JobDetails) error {
				n++
				after = j.Handle
				f(j)
				return nil
			})
		})
		if err != nil || n < selectPage {
			return err
		}
	}
}

// within calls f with a context that ends after the timeout of the verb.
func (s *jobSelection) within(ctx context.Context, f func(context.Context) error) error {
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	return f(ctx)
}

// isPattern reports whether an argument is a pattern of functions. Text that cannot be a
// pattern, such as "a[", is a name.
func isPattern(name string) bool {
	if !strings.ContainsAny(name, "*?[") {
		return false
	}
	_, err := path.Match(patternOf(name), "")
	return err == nil
}

// nameSigns replaces characters with a meaning in path.Match. Names of functions have
// backslashes (App\Jobs\Resize), and a * should match a / as well.
var nameSigns = strings.NewReplacer(`\`, "\x01", "/", "\x00")

func patternOf(name string) string { return nameSigns.Replace(name) }

// matchesName reports whether pattern is the name of the function or matches it.
func matchesName(pattern, function string) bool {
	if pattern == function {
		return true
	}
	ok, err := path.Match(patternOf(pattern), patternOf(function))
	return ok && err == nil
}

// matchesAny reports whether one of the patterns is the name of the function or matches
// it.
func matchesAny(patterns []string, function string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matchesName(p, function) })
}

// expandFunctions replaces each pattern by the functions of a server that it matches. It
// keeps names, and patterns that are the name of a function. A pattern that matches no
// function is an error.
func expandFunctions(ctx context.Context, admin *gearman.Admin, patterns []string) ([]string, error) {
	if !slices.ContainsFunc(patterns, isPattern) {
		return patterns, nil
	}
	known, err := admin.Status(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range patterns {
		before := len(names)
		for _, f := range known {
			if isPattern(p) && matchesName(p, f.Function) && !slices.Contains(names, f.Function) {
				names = append(names, f.Function)
			}
		}
		if !isPattern(p) {
			names = append(names, p)
		} else if len(names) == before && !slices.ContainsFunc(known, func(f gearman.FunctionStatus) bool { return matchesName(p, f.Function) }) {
			return nil, cli.WithHint(cli.ExitWith(cli.ExitUnknown, fmt.Errorf("%s: no function matches", p)), hintUnknownFunction)
		}
	}
	return names, nil
}

// manyJobsTime is the time limit of a command that acts on many jobs one by one.
const manyJobsTime = time.Hour

// eachSelected calls do for each selected job of every server, and prints the number of
// jobs on each server.
func (e *env) eachSelected(c *cli.Context, s *jobSelection, do func(*gearman.Admin, context.Context, gearman.Handle) error, states ...gearman.JobState) error {
	verb := c.Command.Name
	o, err := e.options(c)
	if err != nil {
		return err
	}
	w, err := e.NewRows(c, cli.Column{Name: "server", Right: false}, cli.Column{Name: "function", Right: false}, cli.Column{Name: "jobs", Right: true})
	if err != nil {
		return err
	}
	s.timeout = cli.DurationOf(c, "timeout")
	answers, absent, err := present(e, askAll(c.Context, o, manyJobsTime,
		func(ctx context.Context, admin *gearman.Admin) (int, error) {
			handles, err := s.selectJobs(ctx, admin, states...)
			n := 0
			for _, h := range handles {
				doErr := s.within(ctx, func(ctx context.Context) error { return do(admin, ctx, h) })
				switch {
				case doErr == nil:
					n++
				case exitCode(doErr) != cli.ExitUnknown: // else it has ended meanwhile
					return n, fmt.Errorf("%s: %w", h, doErr)
				}
			}
			return n, err
		}), w.Format == cli.FormatTable)
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, s.function, err)
	}
	w.Notes = absentLines(absent)
	for _, a := range answers {
		if err := w.Add(&countRow{a.server.String(), s.function, a.value}); err != nil {
			return err
		}
	}
	return w.Close()
}
