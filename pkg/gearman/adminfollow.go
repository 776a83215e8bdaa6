package gearman

import (
	"context"
	"fmt"

	"gm/pkg/wire"
)

// Follow calls f with the data, warnings and status that the worker of a job sends
// until the job ends, and returns the outcome. The first events have the last status
// and, if the server keeps results, the data that was sent before. After a
// FollowAgain the earlier events are void, because the job runs again. Until Follow
// returns, other commands of a wait. If f returns an error, Follow stops and returns
// it. The outcome of a job that the server does not have is OutcomeUnknown. Only gm's
// server has this command; for others the error is ErrUnsupported.
func (a *Admin) Follow(ctx context.Context, h Handle, f func(FollowEvent) error) (Outcome, error) {
	var last *Outcome
	var stopped error // the error of f
	err := a.do(ctx, wire.CmdFollow, []string{string(h)}, func(c *adminConn) error {
		return c.rows(func(line []byte) error {
			var row struct {
				FollowEvent
				*Outcome
			}
			if err := c.decode(line, &row); err != nil {
				return err
			}
			if row.Event == "" {
				last = row.Outcome
				return nil
			}
			stopped = f(row.FollowEvent)
			return stopped
		})
	})
	switch {
	case stopped != nil:
		return Outcome{}, stopped
	case err != nil:
		return Outcome{}, err
	case last == nil:
		return Outcome{}, fmt.Errorf("%s %s: %w", wire.CmdFollow, h,
			&ProtocolError{a.server, fmt.Errorf("%w: no outcome", wire.ErrMalformed)})
	}
	return *last, nil
}

// Front moves a waiting job to the head of its queue, before all jobs of its function
// and priority. The error is ErrUnknownJob if the server does not have the job. A
// restart of the server restores the old order. Only gm's server has this command;
// for others the error is ErrUnsupported.
func (a *Admin) Front(ctx context.Context, h Handle) error {
	return unknownJob(a.change(ctx, wire.CmdFront, string(h)), wire.CmdFront, h)
}
