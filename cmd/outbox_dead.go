package cmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gm/cmd/cli"
)

// deadRow is a row that gm outbox dead prints.
type deadRow struct {
	ID       int64  `json:"id"`
	Function string `json:"function"`
	Unique   string `json:"unique,omitempty"`
	Size     int64  `json:"size"`
	Attempts int    `json:"attempts"`
	DiedMS   int64  `json:"died_ms"`
	Error    string `json:"error"`
}

var deadColumns = []cli.Column{
	{Name: "id", Right: true},
	functionColumn,
	{Name: "unique"},
	{Name: "size", Right: true},
	{Name: "attempts", Right: true},
	{Name: "died", Right: true},
	{Name: "error"},
}

func (r *deadRow) Cells(human bool) []string {
	return []string{
		strconv.FormatInt(r.ID, 10), r.Function, r.Unique, strconv.FormatInt(r.Size, 10), strconv.Itoa(r.Attempts),
		cli.DateCell(r.DiedMS, human), cli.TextCell(r.Error, human),
	}
}

func (e *env) outboxDead() *cli.Verb {
	return e.outboxCommand("dead", "list the dead rows of an outbox", "[URL]",
		`Lists the rows that gm outbox run has given up, the oldest first. Columns of tsv: id, function, unique, size of the workload in bytes, attempts, when it died in Unix milliseconds, last error.`,
		cli.Example{What: "the errors", Line: "gm outbox dead -o tsv postgres://app@db/app | cut -f1,7"},
		func(o *outboxCall) error {
			c := o.Context
			w, err := e.NewRows(c, deadColumns...)
			if err != nil {
				return err
			}
			rows, err := o.db.Dead(c.Context, 0, c.Int("limit"))
			if err != nil {
				return err
			}
			for _, r := range rows {
				if err := w.Add(&deadRow{r.ID, r.Function, r.Unique, r.Size, r.Attempts, r.Dead.UnixMilli(), r.LastError}); err != nil {
					return err
				}
			}
			return w.Close()
		},
		append(e.RowFlags(), &cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 100, Usage: "list at most `N` rows; 0 lists all"})...)
}

func (e *env) outboxRetry() *cli.Verb {
	return e.outboxCommand("retry", "submit dead rows of an outbox again", "[URL] [ID..]",
		`Makes gm outbox run submit dead rows again, and counts their attempts from zero. Prints the number of rows.`,
		cli.Example{What: "all of them", Line: "gm outbox retry --all postgres://app@db/app"},
		func(o *outboxCall) error {
			ids, err := o.deadIDs()
			if err != nil {
				return err
			}
			return o.changeDeadRows(ids, o.db.RetryDead)
		},
		&cli.BoolFlag{Name: "all", Usage: "retry all dead rows"})
}

func (e *env) outboxPurge() *cli.Verb {
	return e.outboxCommand("purge", "delete dead rows of an outbox", "[URL] [ID..]",
		`Deletes dead rows and prints their number.`,
		cli.Example{What: "all of them", Line: "gm outbox purge --all --yes postgres://app@db/app"},
		func(o *outboxCall) error {
			ids, err := o.deadIDs()
			if err != nil {
				return err
			}
			what := "the dead rows " + strings.Join(o.args, ", ")
			if o.Bool("all") {
				what = "all dead rows"
			}
			if err := e.Confirm(o.Bool("yes"), "delete "+what); err != nil {
				return err
			}
			return o.changeDeadRows(ids, o.db.PurgeDead)
		},
		&cli.BoolFlag{Name: "all", Usage: "delete all dead rows"}, cli.YesFlag())
}

// deadIDs returns the ids of the rows that the arguments name, none with --all.
func (o *outboxCall) deadIDs() ([]int64, error) {
	c := o.Context
	var ids []int64
	for _, arg := range o.args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return nil, cli.UsageErrorf("outbox %s: id %q: not a number", c.Command.Name, arg)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	switch {
	case c.Bool("all") && len(ids) > 0:
		return nil, cli.UsageErrorf("outbox %s: --all cannot be used with ids", c.Command.Name)
	case !c.Bool("all") && len(ids) == 0:
		return nil, cli.WithHint(cli.UsageErrorf("outbox %s: want ids, or --all for all dead rows", c.Command.Name), "gm outbox dead lists the ids")
	}
	return ids, nil
}

// changeDeadRows changes the dead rows with these ids, all without ids, and prints their
// number. If rows are named and some are not dead, it fails.
func (o *outboxCall) changeDeadRows(ids []int64, change func(context.Context, ...int64) (int, error)) error {
	c := o.Context
	n, err := change(c.Context, ids...)
	if err != nil {
		return err
	}
	if err := o.PrintLine(strconv.Itoa(n)); err != nil {
		return err
	}
	if n < len(ids) {
		return cli.ExitWith(cli.ExitRefused, fmt.Errorf("outbox %s: %d of %d rows are not dead", c.Command.Name, len(ids)-n, len(ids)))
	}
	return nil
}
