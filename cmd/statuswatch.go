package cmd

import (
	"strconv"
	"time"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

// watchStatus is the action of status --watch.
func (e *env) watchStatus(c *cli.Context, o gearman.Options) error {
	format, err := e.watchFormat(c)
	if err != nil {
		return err
	}
	screen, err := e.newWatchScreen(c, format)
	if err != nil {
		return err
	}
	s := &statusWatch{e: e, c: c, screen: screen}
	if screen == nil {
		if s.lines, err = e.NewRows(c); err != nil {
			return err
		}
	}
	return e.watch(c, screen, func(now time.Time) error {
		answers, absent, err := e.askStatus(c, o, screen != nil)
		if err != nil {
			return err
		}
		return s.show(now, answers, absent)
	})
}

// statusWatch keeps the previous rows, from which it computes rates.
type statusWatch struct {
	e      *env
	c      *cli.Context
	screen *watchScreen   // nil: lines
	lines  *cli.RowWriter // unless there is a screen
	before map[statusKey]statusRow
	at     time.Time // of before
}

type statusKey struct {
	server   gearman.Server
	function string
}

func (s *statusWatch) show(now time.Time, answers []answer[[]*statusRow], absent []absentServer) error {
	s.setRates(now, answers)
	rows := mergeStatus(answers, s.c.Bool("by-server"), s.c.Args().Slice())
	if s.screen != nil {
		return s.redraw(now, rows, append(absentLines(absent), storeLines(answers)...))
	}
	if err := s.lines.Add(newStatusTick(now, rows, absent)); err != nil {
		return err
	}
	return s.lines.Flush()
}

// setRates compares each function of each server with the previous rows. It does not
// compare sums, in which a server that comes back would look like a burst.
func (s *statusWatch) setRates(now time.Time, answers []answer[[]*statusRow]) {
	looked := map[statusKey]statusRow{}
	for _, a := range answers {
		for _, r := range a.value {
			k := statusKey{a.server, r.Function}
			r.rates = &rates{}
			if before, ok := s.before[k]; ok {
				r.rates = ratesBetween(&before, r, now.Sub(s.at))
			}
			looked[k] = *r
		}
	}
	s.before, s.at = looked, now
}

func (s *statusWatch) redraw(now time.Time, rows []*statusRow, notes []string) error {
	columns := append(statusColumns(s.c.Bool("by-server")),
		cli.Column{Name: "in/s", Right: true}, cli.Column{Name: "done/s", Right: true}, cli.Column{Name: "failed/s", Right: true})
	list := make([]cli.Row, len(rows))
	for i, r := range rows {
		list[i] = r
	}
	return s.screen.draw(watchFrame{now, columns, list, notes})
}

// rates are events per second between two readings of counters that only gm serve has.
// Unknown rates are nil.
type rates struct {
	In     *float64 `json:"in_per_s"`
	Done   *float64 `json:"done_per_s"`
	Failed *float64 `json:"failed_per_s"`
}

// ratesBetween compares two readings of one function, taken d apart. A counter that went
// back belongs to a server that has restarted; its rate is unknown.
func ratesBetween(before, now *statusRow, d time.Duration) *rates {
	rate := func(before, now *uint64) *float64 {
		if before == nil || now == nil || *now < *before || d <= 0 {
			return nil
		}
		r := float64(*now-*before) / d.Seconds()
		return &r
	}
	return &rates{
		In:     rate(before.Submitted, now.Submitted),
		Done:   rate(before.Completed, now.Completed),
		Failed: rate(before.Failed, now.Failed),
	}
}

func (r *rates) add(other *rates) {
	sum(&r.In, other.In)
	sum(&r.Done, other.Done)
	sum(&r.Failed, other.Failed)
}

func (r *rates) Cells(human bool) []string {
	var cells []string
	for _, rate := range []*float64{r.In, r.Done, r.Failed} {
		switch {
		case rate != nil:
			cells = append(cells, strconv.FormatFloat(*rate, 'f', 1, 64))
		case human:
			cells = append(cells, "-")
		default:
			cells = append(cells, "")
		}
	}
	return cells
}

// statusTick is one reading as a line of output, summed over the functions.
type statusTick struct {
	Time     time.Time `json:"time"`
	Waiting  int       `json:"waiting"`
	Running  int       `json:"running"`
	Workers  int       `json:"workers"`
	Delayed  *int      `json:"delayed"`
	OldestMS *int64    `json:"oldest_ms"`
	rates
	Functions []*statusRow   `json:"functions"`
	LeftOut   []absentServer `json:"left_out,omitempty"` // servers that are not in the sums
}

func newStatusTick(now time.Time, rows []*statusRow, absent []absentServer) *statusTick {
	total := &statusRow{rates: &rates{}}
	for _, r := range rows {
		total.add(r)
	}
	return &statusTick{
		Time: now.Truncate(time.Millisecond), Waiting: total.Waiting, Running: total.Running, Workers: total.Workers,
		Delayed: total.Delayed, OldestMS: total.OldestMS, rates: *total.rates,
		Functions: append([]*statusRow{}, rows...), LeftOut: absent,
	}
}

func (t *statusTick) Cells(human bool) []string {
	cells := append([]string{
		t.Time.Format(time.RFC3339), strconv.Itoa(t.Waiting), strconv.Itoa(t.Running), strconv.Itoa(t.Workers),
		optional(t.Delayed, human), optionalAge(t.OldestMS, human),
	}, t.rates.Cells(human)...)
	return append(cells, absentNames(t.LeftOut))
}
