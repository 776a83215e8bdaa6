package gearman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
	if limit < 0 {
		return nil, fmt.Errorf("%s: limit %d is negative", wire.CmdJobs, limit)
	}
	if limit == 0 {
		limit = math.MaxInt32
	}
	return list(ctx, a, wire.CmdJobs, asJSON[wire.Job], orAll(function), orAll(string(state)), strconv.Itoa(limit))
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
