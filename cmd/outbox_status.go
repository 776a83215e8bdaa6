package cmd

import (
	"fmt"
	"strconv"
	"time"

	"gm/cmd/cli"
	"gm/pkg/outbox"
)

// outboxRow is the row that gm outbox status prints.
type outboxRow struct {
	Waiting  int64  `json:"waiting"`
	OldestMS *int64 `json:"oldest_ms"`
	Attempts int    `json:"attempts"`
	Dead     int64  `json:"dead"`
	Error    string `json:"error"`
}

var outboxColumns = []cli.Column{
	{Name: "waiting", Right: true},
	{Name: "oldest", Right: true},
	{Name: "attempts", Right: true},
	{Name: "dead", Right: true},
	{Name: "error"},
}

func (r *outboxRow) Cells(human bool) []string {
	return []string{
		strconv.FormatInt(r.Waiting, 10), cli.AgeCell(r.OldestMS, human), strconv.Itoa(r.Attempts),
		strconv.FormatInt(r.Dead, 10), cli.TextCell(r.Error, human),
	}
}

func (e *env) outboxStatus() *cli.Verb {
	v := e.outboxCommand("status", "show the numbers of rows in an outbox", "[URL]",
		`Shows the rows that wait for gm outbox run, how long the first of them has waited, how often the servers have refused it, the dead rows, and the last error of the first row or else of the row that died last. For monitors, --max-waiting, --max-age and --max-dead make the exit code 1 if a number is larger, with a line on stderr.

Columns of tsv: waiting, age of the first row in ms (empty without one; null in JSON), attempts, dead, error.`,
		cli.Example{What: "for a monitor", Line: "gm outbox status --max-age 5m --max-dead 0 postgres://app@db/app"},
		showOutbox,
		append(e.RowFlags(),
			&cli.IntFlag{Name: "max-waiting", Value: -1, Usage: "exit with 1 if more than `N` rows wait; -1 is no limit"},
			cli.DurationFlag(0, cli.GenericFlag{Name: "max-age", Usage: "exit with 1 if the first row has waited longer than `TIME`; 0 is no limit"}),
			&cli.IntFlag{Name: "max-dead", Value: -1, Usage: "exit with 1 if more than `N` rows are dead; -1 is no limit"},
		)...)
	v.Exits = append([]int{cli.ExitFailed}, v.Exits...)
	return v
}

// showOutbox is the action of gm outbox status.
func showOutbox(o *outboxCall) error {
	w, err := o.NewRows(o.Context, outboxColumns...)
	if err != nil {
		return err
	}
	status, err := o.db.Status(o.Context.Context)
	if err != nil {
		return err
	}
	row := &outboxRow{Waiting: status.Waiting, Attempts: status.Attempts, Dead: status.Dead, Error: status.LastError}
	var age time.Duration
	if !status.Oldest.IsZero() {
		age = max(time.Since(status.Oldest), 0)
		ms := age.Milliseconds()
		row.OldestMS = &ms
	}
	if err := w.Add(row); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return checkOutbox(o.Context, status, age)
}

// checkOutbox returns an error if a number exceeds the limit of its flag.
func checkOutbox(c *cli.Context, s outbox.Status, age time.Duration) error {
	waiting, oldest, dead := int64(c.Int("max-waiting")), cli.DurationOf(c, "max-age"), int64(c.Int("max-dead"))
	var err error
	switch {
	case waiting >= 0 && s.Waiting > waiting:
		err = fmt.Errorf("outbox status: %d rows wait, the limit is %d", s.Waiting, waiting)
	case oldest > 0 && age > oldest:
		err = fmt.Errorf("outbox status: the first row has waited %s, the limit is %s", cli.FormatAge(age), cli.FormatAge(oldest))
	case dead >= 0 && s.Dead > dead:
		err = fmt.Errorf("outbox status: %d rows are dead, the limit is %d", s.Dead, dead)
	default:
		return nil
	}
	return cli.ExitWith(cli.ExitFailed, err)
}
