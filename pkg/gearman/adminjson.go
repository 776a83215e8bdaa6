package gearman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"gm/pkg/wire"
)

// The commands in this file are those of gm's server. Others answer
// ErrUnsupported.

// Help returns the server's commands, a line each.
func (a *Admin) Help(ctx context.Context) ([]string, error) {
	return list(ctx, a, wire.CmdHelp, text)
}

// Stats returns the counters of the server and of its functions.
func (a *Admin) Stats(ctx context.Context) (wire.ServerStats, []wire.FunctionStats, error) {
	var server wire.ServerStats
	var functions []wire.FunctionStats
	first := true
	err := a.do(ctx, wire.CmdStats, nil, func(c *adminConn) error {
		return c.rows(func(line []byte) error {
			if first {
				first = false
				return c.decode(line, &server)
			}
			functions = append(functions, wire.FunctionStats{})
			return c.decode(line, &functions[len(functions)-1])
		})
	})
	if err != nil {
		return wire.ServerStats{}, nil, err
	}
	return server, functions, nil
}

// Jobs returns the server's jobs, the oldest first. function and state leave
// out others unless they are empty; limit is how many at most, 0 for all.
func (a *Admin) Jobs(ctx context.Context, function string, state wire.JobState, limit int) ([]wire.Job, error) {
	var jobs []wire.Job
	err := a.EachJob(ctx, function, state, limit, "", func(j wire.Job) error {
		jobs = append(jobs, j)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

// jobsPage is how many jobs EachJob asks for at a time.
const jobsPage = 10_000

// EachJob calls f for the server's jobs, as Jobs selects them, the oldest first,
// from the one behind after on, or the first if after is empty. It asks for them
// a page at a time, so that it holds no more than that, and so that what comes and
// goes meanwhile may be seen or not. A job that was after may have ended, but not
// if state is StateDead: then the server has to have it yet. An error of f ends it
// and is returned.
func (a *Admin) EachJob(ctx context.Context, function string, state wire.JobState, limit int, after Handle, f func(wire.Job) error) error {
	if limit < 0 {
		return fmt.Errorf("%s: limit %d is negative", wire.CmdJobs, limit)
	}
	for left := limit; ; {
		ask := jobsPage
		if limit > 0 {
			ask = min(ask, left)
		}
		args := []string{orAll(function), orAll(string(state)), strconv.Itoa(ask)}
		if after != "" {
			args = append(args, string(after))
		}
		jobs, err := list(ctx, a, wire.CmdJobs, asJSON[wire.Job], args...)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if err := f(j); err != nil {
				return err
			}
		}
		left -= len(jobs)
		if len(jobs) < ask || limit > 0 && left == 0 {
			return nil
		}
		after = Handle(jobs[len(jobs)-1].Handle)
	}
}

// orAll writes a word of jobs that leaves out nothing.
func orAll(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// ErrUnknownJob: the server does not have that job, or no longer.
var ErrUnknownJob = errors.New("unknown job")

// Job returns one job. The error is ErrUnknownJob if the server does not have
// it.
func (a *Admin) Job(ctx context.Context, h Handle) (wire.Job, error) {
	jobs, err := list(ctx, a, wire.CmdJob, asJSON[wire.Job], string(h))
	switch {
	case err != nil:
		return wire.Job{}, unknownJob(err, wire.CmdJob, h)
	case len(jobs) != 1:
		return wire.Job{}, fmt.Errorf("%s %s: %w", wire.CmdJob, h,
			&ProtocolError{a.server, fmt.Errorf("%w: %d rows about one job", wire.ErrMalformed, len(jobs))})
	}
	return jobs[0], nil
}

// Sessions returns the server's connections.
func (a *Admin) Sessions(ctx context.Context) ([]wire.Session, error) {
	return list(ctx, a, wire.CmdSessions, asJSON[wire.Session])
}

// Pause makes the server hand out no jobs of a function; it still takes them.
func (a *Admin) Pause(ctx context.Context, function string) error {
	return a.change(ctx, wire.CmdPause, function)
}

// Resume ends Pause.
func (a *Admin) Resume(ctx context.Context, function string) error {
	return a.change(ctx, wire.CmdResume, function)
}

// Purge drops the waiting and delayed jobs of a function, and returns how many
// there were. Their clients get WORK_FAIL.
func (a *Admin) Purge(ctx context.Context, function string) (int, error) {
	return a.count(ctx, wire.CmdPurge, function)
}

func asJSON[T any](line []byte) (v T, err error) {
	err = json.Unmarshal(line, &v)
	return v, err
}

func (c *adminConn) decode(line []byte, v any) error {
	if err := json.Unmarshal(line, v); err != nil {
		return &ProtocolError{c.server, err}
	}
	return nil
}
