package cmd

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"gm/cmd/cli"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
)

// The columns that several verbs have.
var (
	serverColumn   = cli.Column{Name: "server", Usual: cli.SameValue}
	handleColumn   = cli.Column{Name: "handle", Key: true}
	functionColumn = cli.Column{Name: "function", Key: true}
)

// splitAnswers returns the answers without an error, and the servers that failed. If all
// servers failed, it returns an error. Otherwise it reports on stderr each server that
// begins to fail or answers again, unless inTable says that a table names such servers.
func splitAnswers[T any](e *env, answers []fleet.Answer[T], inTable bool) (good []fleet.Answer[T], absent []fleet.Absent, err error) {
	good, absent, err = fleet.Split(answers)
	if err != nil || inTable {
		return good, absent, err
	}
	for _, a := range answers {
		switch {
		case a.Err != nil && !e.leftOut[a.Server]:
			e.note("server %v is left out: %v", a.Server, a.Reason())
		case a.Err == nil && e.leftOut[a.Server]:
			e.note("server %v answers again", a.Server)
		}
		if e.leftOut == nil {
			e.leftOut = map[gearman.Server]bool{}
		}
		e.leftOut[a.Server] = a.Err != nil
	}
	return good, absent, nil
}

// succeeded returns the answers without an error, like splitAnswers without a table.
func succeeded[T any](e *env, answers []fleet.Answer[T]) ([]fleet.Answer[T], error) {
	good, _, err := splitAnswers(e, answers, false)
	return good, err
}

// noteAbsent reports servers that failed on stderr.
func (e *env) noteAbsent(absent []fleet.Absent) {
	for _, line := range absentLines(absent) {
		e.note("%s", line)
	}
}

// absentLines returns a line about each server that a table leaves out.
func absentLines(absent []fleet.Absent) []string {
	var lines []string
	for _, a := range absent {
		lines = append(lines, fmt.Sprintf("server %s is left out: %s", a.Server, a.Error))
	}
	return lines
}

// absentNames returns the servers, separated by commas.
func absentNames(absent []fleet.Absent) string {
	var names []string
	for _, a := range absent {
		names = append(names, a.Server)
	}
	return strings.Join(names, ",")
}

// watchServers is the action of a verb with --watch. It calls show for each output, and
// goes on when no server answers.
func (e *env) watchServers(c *cli.Context, show func(w *cli.Watch, now time.Time) error) error {
	w, err := e.NewWatch(c)
	if err != nil {
		return err
	}
	w.Show = func(now time.Time) error { return show(w, now) }
	w.Passing = func(err error) bool {
		code := exitCode(err)
		return code == cli.ExitNoServer || code == cli.ExitTimeout || errors.Is(err, gearman.ErrLost)
	}
	w.Recovered = c.Command.Name + ": servers answer again"
	return e.RunWatch(c, w)
}
