package cmd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

// statusRow is a function on one server, or its sums over all servers. Fields that only
// gm serve reports are null for other servers.
type statusRow struct {
	Server   string `json:"server,omitempty"` // with --by-server
	Function string `json:"function"`
	Waiting  int    `json:"waiting"`
	Running  int    `json:"running"`
	Workers  int    `json:"workers"`
	State    string `json:"state"`

	High   *int `json:"high"` // of the waiting
	Normal *int `json:"normal"`
	Low    *int `json:"low"`

	Delayed   *int    `json:"delayed"`
	Sleeping  *int    `json:"sleeping"`
	OldestMS  *int64  `json:"oldest_ms"`
	Submitted *uint64 `json:"submitted"` // since the server's start
	Coalesced *uint64 `json:"coalesced"`
	Completed *uint64 `json:"completed"`
	Failed    *uint64 `json:"failed"`
	Retried   *uint64 `json:"retried"`
	Dead      *int    `json:"dead"`             // now, not since the start
	Policy    string  `json:"policy,omitempty"` // for jobs that fail, if all servers have the same

	Loading bool `json:"loading,omitempty"` // a server reads its store: the counts are not complete

	*rates // with --watch

	paused     bool
	storeError string // of a server's row
}

// isServer reports whether the row says something about its server, and is no
// function.
func (r *statusRow) isServer() bool { return r.Function == "" }

// The states of a function.
const (
	stateOK        = "ok"
	statePaused    = "paused"
	stateNoWorkers = "no-workers" // jobs wait, and no worker serves the function
	stateLoading   = "loading"    // there may be more jobs
)

// statusColumns returns the headings of the cells of a statusRow.
func statusColumns(byServer bool) []cli.Column {
	columns := []cli.Column{
		{Name: "function", Right: false},
		{Name: "waiting", Right: true},
		{Name: "running", Right: true},
		{Name: "workers", Right: true},
		{Name: "delayed", Right: true},
		{Name: "oldest", Right: true},
		{Name: "state", Right: false},
		{Name: "dead", Right: true},
	}
	if byServer {
		columns = slices.Insert(columns, 0, cli.Column{Name: "server", Right: false})
	}
	return columns
}

func (r *statusRow) Cells(human bool) []string {
	cells := []string{
		r.Function, strconv.Itoa(r.Waiting), strconv.Itoa(r.Running), strconv.Itoa(r.Workers),
		optional(r.Delayed, human), optionalAge(r.OldestMS, human), r.State,
		optional(r.Dead, human),
	}
	if r.Server != "" {
		cells = slices.Insert(cells, 0, r.Server)
	}
	if r.rates != nil {
		cells = append(cells, r.rates.Cells(human)...)
	}
	return cells
}

// Paint colours states that need attention.
func (r *statusRow) Paint(s *cli.Style, cells []string) {
	i := slices.Index(cells[1:], r.State) + 1
	switch r.State {
	case stateNoWorkers:
		cells[i] = s.Bad.Sprint(r.State)
	case statePaused:
		cells[i] = s.Warn.Sprint(r.State)
	}
}

// setState derives the state from the numbers.
func (r *statusRow) setState() {
	switch {
	case r.paused:
		r.State = statePaused
	case r.Loading:
		r.State = stateLoading
	case r.Waiting > 0 && r.Workers == 0:
		r.State = stateNoWorkers
	default:
		r.State = stateOK
	}
}

// mergeStatus sums the rows of the servers, or lists them all with byServer. Without
// functions it takes every row.
func mergeStatus(answers []answer[[]*statusRow], byServer bool, functions []string) []*statusRow {
	type key struct{ function, server string }
	merged := map[key]*statusRow{}
	for _, a := range answers {
		for _, r := range a.value {
			if r.isServer() || len(functions) > 0 && !matchesAny(functions, r.Function) {
				continue
			}
			k := key{function: r.Function}
			if byServer {
				k.server = a.server.String()
				r.Server = k.server
			}
			if sum := merged[k]; sum != nil {
				sum.add(r)
			} else {
				merged[k] = r
			}
		}
	}
	rows := slices.Collect(maps.Values(merged))
	for _, r := range rows {
		r.setState()
	}
	slices.SortFunc(rows, func(a, b *statusRow) int {
		return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Server, b.Server))
	})
	return rows
}

// add adds the numbers of other to r. Numbers that a server does not report add
// nothing.
func (r *statusRow) add(other *statusRow) {
	r.Waiting += other.Waiting
	r.Running += other.Running
	r.Workers += other.Workers
	r.paused = r.paused || other.paused
	r.Loading = r.Loading || other.Loading
	sum(&r.High, other.High)
	sum(&r.Normal, other.Normal)
	sum(&r.Low, other.Low)
	sum(&r.Delayed, other.Delayed)
	sum(&r.Sleeping, other.Sleeping)
	sum(&r.Submitted, other.Submitted)
	sum(&r.Coalesced, other.Coalesced)
	sum(&r.Completed, other.Completed)
	sum(&r.Failed, other.Failed)
	sum(&r.Retried, other.Retried)
	sum(&r.Dead, other.Dead)
	if r.Policy != other.Policy {
		r.Policy = ""
	}
	if r.rates == nil {
		r.rates = other.rates
	} else if other.rates != nil {
		total := *r.rates
		total.add(other.rates)
		r.rates = &total
	}
	if r.OldestMS == nil || other.OldestMS != nil && *other.OldestMS > *r.OldestMS {
		r.OldestMS = other.OldestMS
	}
}

func sum[T int | int64 | uint64 | float64](to **T, n *T) {
	switch {
	case n == nil:
	case *to == nil:
		*to = n
	default:
		total := **to + *n
		*to = &total
	}
}

func statsRow(f *gearman.FunctionStats) *statusRow {
	return &statusRow{
		Function: f.Function, Waiting: f.Waiting(), Running: f.Running, Workers: f.Workers,
		High: &f.High, Normal: &f.Normal, Low: &f.Low,
		Delayed: &f.Delayed, Sleeping: &f.Sleeping, OldestMS: &f.OldestMS,
		Submitted: &f.Submitted, Coalesced: &f.Coalesced, Completed: &f.Completed, Failed: &f.Failed, Retried: &f.Retried,
		Dead: &f.Dead, Policy: f.Policy,
		paused: f.Paused,
	}
}

// optional writes a number that may be unknown.
func optional[T int | int64 | uint64](n *T, human bool) string {
	switch {
	case n != nil:
		return fmt.Sprint(*n)
	case human:
		return "-"
	}
	return ""
}

// optionalAge writes an age in milliseconds that may be unknown.
func optionalAge(ms *int64, human bool) string {
	if ms == nil || !human {
		return optional(ms, human)
	}
	return age(*ms)
}

// age writes milliseconds for a person: two units at most.
func age(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	day := 24 * time.Hour
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return d.String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}
