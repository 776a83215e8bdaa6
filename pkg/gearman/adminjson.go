package gearman

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"gm/pkg/wire"
)

// Only gm's server has the commands in this file. For others the methods return
// ErrUnsupported.

// Help returns the commands of the server, with one line for each.
func (a *Admin) Help(ctx context.Context) ([]string, error) {
	return list(ctx, a, wire.CmdHelp, text)
}

// Stats returns the counters of the server and of its functions.
func (a *Admin) Stats(ctx context.Context) (ServerStats, []FunctionStats, error) {
	var server ServerStats
	var functions []FunctionStats
	first := true
	err := a.do(ctx, wire.CmdStats, nil, func(c *adminConn) error {
		return c.rows(func(line []byte) error {
			if first {
				first = false
				return c.decode(line, &server)
			}
			functions = append(functions, FunctionStats{})
			return c.decode(line, &functions[len(functions)-1])
		})
	})
	if err != nil {
		return ServerStats{}, nil, err
	}
	return server, functions, nil
}

// Jobs returns the jobs of the server, oldest first. function and state select
// jobs unless they are empty. limit is the maximum number of jobs; 0 means no limit.
func (a *Admin) Jobs(ctx context.Context, function string, state JobState, limit int) ([]JobDetails, error) {
	var jobs []JobDetails
	err := a.EachJob(ctx, function, state, limit, "", func(j JobDetails) error {
		jobs = append(jobs, j)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

// jobsPage is the maximum number of jobs that EachJob requests at a time.
const jobsPage = 10_000

// EachJob calls f for each job that Jobs would return, starting after the job with
// the handle after, or with the first one if after is empty. It requests pages of
// 10,000 jobs, so that its memory is bounded. Jobs that are added or end meanwhile
// may be left out. The job of after may have ended, except if state is StateDead:
// then the server must still have it. If f returns an error, EachJob stops and
// returns it.
func (a *Admin) EachJob(ctx context.Context, function string, state JobState, limit int, after Handle, f func(JobDetails) error) error {
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
		jobs, err := list(ctx, a, wire.CmdJobs, asJSON[JobDetails], args...)
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
		after = jobs[len(jobs)-1].Handle
	}
}

// orAll returns the word of the command jobs for s, which is "-" if s is empty.
func orAll(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Job returns one job. The error is ErrUnknownJob if the server does not have it.
func (a *Admin) Job(ctx context.Context, h Handle) (JobDetails, error) {
	jobs, err := list(ctx, a, wire.CmdJob, asJSON[JobDetails], string(h))
	switch {
	case err != nil:
		return JobDetails{}, unknownJob(err, wire.CmdJob, h)
	case len(jobs) != 1:
		return JobDetails{}, fmt.Errorf("%s %s: %w", wire.CmdJob, h,
			&ProtocolError{a.server, fmt.Errorf("%w: %d rows about one job", wire.ErrMalformed, len(jobs))})
	}
	return jobs[0], nil
}

// Sessions returns the connections of the server.
func (a *Admin) Sessions(ctx context.Context) ([]Session, error) {
	return list(ctx, a, wire.CmdSessions, asJSON[Session])
}

// Pause makes the server hand out no jobs of a function. The server still accepts
// new ones.
func (a *Admin) Pause(ctx context.Context, function string) error {
	return a.change(ctx, wire.CmdPause, function)
}

// Resume ends the effect of Pause.
func (a *Admin) Resume(ctx context.Context, function string) error {
	return a.change(ctx, wire.CmdResume, function)
}

// Purge drops the waiting and delayed jobs of a function, and returns their number.
// Their clients receive WORK_FAIL.
func (a *Admin) Purge(ctx context.Context, function string) (int, error) {
	return a.changeAndCount(ctx, wire.CmdPurge, function)
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
