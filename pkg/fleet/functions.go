package fleet

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"gm/pkg/gearman"
)

// Function is the state of a function on one server, or its sum over several servers.
// Pointers are nil if no server reports the number; then they are null in JSON.
type Function struct {
	Server   string        `json:"server,omitempty"` // empty in a sum
	Function string        `json:"function"`
	Waiting  int           `json:"waiting"`
	Running  int           `json:"running"`
	Workers  int           `json:"workers"` // connections that can do the function
	State    FunctionState `json:"state"`

	High   *int `json:"high"` // of the waiting jobs
	Normal *int `json:"normal"`
	Low    *int `json:"low"`

	Delayed   *int    `json:"delayed"`
	Sleeping  *int    `json:"sleeping"`  // of the workers
	OldestMS  *int64  `json:"oldest_ms"` // age of the oldest waiting job
	Submitted *uint64 `json:"submitted"` // since the start of the server, as the next four
	Coalesced *uint64 `json:"coalesced"`
	Completed *uint64 `json:"completed"`
	Failed    *uint64 `json:"failed"`
	Retried   *uint64 `json:"retried"`
	Dead      *int    `json:"dead"`             // dead jobs that the server has now
	Policy    string  `json:"policy,omitempty"` // for jobs that fail; empty if the servers differ

	Loading bool `json:"loading,omitempty"` // a server reads its store: the counts are not complete

	*Rates // set by a RateMeter

	paused bool
}

// FunctionState is a function's need for attention.
type FunctionState string

const (
	FunctionOK        FunctionState = "ok"
	FunctionPaused    FunctionState = "paused"
	FunctionNoWorkers FunctionState = "no-workers" // jobs wait, and no worker serves the function
	FunctionLoading   FunctionState = "loading"    // a server reads its store: there may be more jobs
)

// ServerFunctions are the functions of one server.
type ServerFunctions struct {
	Functions  []*Function
	Loading    bool   // the server is still reading its store
	StoreError string // the error, while the store of the server fails
}

// FunctionsOf asks one server for its functions: gm's server for its stats, others for
// their status and, if they support it, for the waiting jobs by priority.
func FunctionsOf(ctx context.Context, admin *gearman.Admin) (ServerFunctions, error) {
	server, stats, err := admin.Stats(ctx)
	if errors.Is(err, gearman.ErrUnsupported) {
		rows, err := foreignFunctions(ctx, admin)
		return ServerFunctions{Functions: rows}, err
	}
	if err != nil {
		return ServerFunctions{}, err
	}
	of := ServerFunctions{Loading: server.Loading, StoreError: server.StoreError}
	for i := range stats {
		row := statsRow(&stats[i])
		row.Loading = server.Loading
		of.Functions = append(of.Functions, row)
	}
	return of, nil
}

// foreignFunctions returns the functions of a server that is not gm's.
func foreignFunctions(ctx context.Context, admin *gearman.Admin) ([]*Function, error) {
	functions, err := admin.Status(ctx)
	if err != nil {
		return nil, err
	}
	priorities, err := admin.PriorityStatus(ctx)
	if err != nil && !errors.Is(err, gearman.ErrUnsupported) {
		return nil, err
	}
	rows := make([]*Function, len(functions))
	for i, f := range functions {
		row := &Function{Function: f.Function, Waiting: max(0, f.Total-f.Running), Running: f.Running, Workers: f.Workers}
		for _, p := range priorities {
			if p.Function == f.Function {
				row.High, row.Normal, row.Low = &p.High, &p.Normal, &p.Low
			}
		}
		rows[i] = row
	}
	return rows, nil
}

// statsRow returns the row of a function of gm's server.
func statsRow(f *gearman.FunctionStats) *Function {
	return &Function{
		Function: f.Function, Waiting: f.Waiting(), Running: f.Running, Workers: f.Workers,
		High: &f.High, Normal: &f.Normal, Low: &f.Low,
		Delayed: &f.Delayed, Sleeping: &f.Sleeping, OldestMS: &f.OldestMS,
		Submitted: &f.Submitted, Coalesced: &f.Coalesced, Completed: &f.Completed, Failed: &f.Failed, Retried: &f.Retried,
		Dead: &f.Dead, Policy: f.Policy,
		paused: f.Paused,
	}
}

// MergeFunctions returns the functions of all answers by name, each with its state. It
// sums the rows of the servers, or returns the rows of each server if byServer is set.
// patterns select functions by [MatchesAny]; nil selects all. It may change the rows of
// the answers.
func MergeFunctions(answers []Answer[ServerFunctions], byServer bool, patterns []string) []*Function {
	type key struct{ function, server string }
	merged := map[key]*Function{}
	for _, a := range answers {
		for _, row := range a.Value.Functions {
			if len(patterns) > 0 && !MatchesAny(patterns, row.Function) {
				continue
			}
			k := key{function: row.Function}
			if byServer {
				k.server = a.Server.String()
				row.Server = k.server
			}
			if sum := merged[k]; sum != nil {
				sum.addNumbers(row)
			} else {
				merged[k] = row
			}
		}
	}
	rows := slices.Collect(maps.Values(merged))
	for _, row := range rows {
		row.State = row.currentState()
	}
	slices.SortFunc(rows, func(a, b *Function) int {
		return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Server, b.Server))
	})
	return rows
}

// SumFunctions returns a row with the sums of all rows, without a name and a state. Its
// Rates are never nil.
func SumFunctions(rows []*Function) *Function {
	total := &Function{Rates: &Rates{}}
	for _, row := range rows {
		total.addNumbers(row)
	}
	return total
}

// currentState returns the state that the numbers of the row mean.
func (f *Function) currentState() FunctionState {
	switch {
	case f.paused:
		return FunctionPaused
	case f.Loading:
		return FunctionLoading
	case f.Waiting > 0 && f.Workers == 0:
		return FunctionNoWorkers
	}
	return FunctionOK
}

// addNumbers adds the numbers of other to f. Numbers that a server does not report add
// nothing.
func (f *Function) addNumbers(other *Function) {
	f.Waiting += other.Waiting
	f.Running += other.Running
	f.Workers += other.Workers
	f.paused = f.paused || other.paused
	f.Loading = f.Loading || other.Loading
	addKnown(&f.High, other.High)
	addKnown(&f.Normal, other.Normal)
	addKnown(&f.Low, other.Low)
	addKnown(&f.Delayed, other.Delayed)
	addKnown(&f.Sleeping, other.Sleeping)
	addKnown(&f.Submitted, other.Submitted)
	addKnown(&f.Coalesced, other.Coalesced)
	addKnown(&f.Completed, other.Completed)
	addKnown(&f.Failed, other.Failed)
	addKnown(&f.Retried, other.Retried)
	addKnown(&f.Dead, other.Dead)
	if f.Policy != other.Policy {
		f.Policy = ""
	}
	f.Rates = sumRates(f.Rates, other.Rates)
	if f.OldestMS == nil || other.OldestMS != nil && *other.OldestMS > *f.OldestMS {
		f.OldestMS = other.OldestMS
	}
}

// addKnown adds n to a sum, unless n is unknown. It does not change the number to which
// sum points.
func addKnown[T int | uint64 | float64](sum **T, n *T) {
	switch {
	case n == nil:
	case *sum == nil:
		*sum = n
	default:
		total := **sum + *n
		*sum = &total
	}
}

// Rates are events per second between two readings of the counters that only gm's
// server has. An unknown rate is nil.
type Rates struct {
	In     *float64 `json:"in_per_s"` // submitted jobs
	Done   *float64 `json:"done_per_s"`
	Failed *float64 `json:"failed_per_s"`
}

// sumRates returns the sum of two rates, either of which may be nil.
func sumRates(a, b *Rates) *Rates {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	total := *a
	addKnown(&total.In, b.In)
	addKnown(&total.Done, b.Done)
	addKnown(&total.Failed, b.Failed)
	return &total
}
