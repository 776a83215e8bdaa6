package gearman

import (
	"context"
	"fmt"

	"gm/pkg/wire"
)

// Follow calls f with what the worker of a job sends while the job runs, as it
// comes, and returns how the job has ended. It begins with the data that the
// server keeps of what was sent before, if it keeps results, and with the last
// status. After a wire.FollowAgain what came before is void: the job runs anew.
// Until it returns other commands of a wait for it. An error of f ends it and is
// returned. The outcome of a job that the server does not have is
// wire.OutcomeUnknown. Only gm's server can do it; others answer ErrUnsupported.
func (a *Admin) Follow(ctx context.Context, h Handle, f func(wire.FollowEvent) error) (wire.Outcome, error) {
	var last *wire.Outcome
	var ours error
	err := a.do(ctx, wire.CmdFollow, []string{string(h)}, func(c *adminConn) error {
		return c.rows(func(line []byte) error {
			var row struct {
				wire.FollowEvent
				*wire.Outcome
			}
			if err := c.decode(line, &row); err != nil {
				return err
			}
			if row.Event == "" {
				last = row.Outcome
				return nil
			}
			ours = f(row.FollowEvent)
			return ours
		})
	})
	switch {
	case ours != nil:
		return wire.Outcome{}, ours
	case err != nil:
		return wire.Outcome{}, err
	case last == nil:
		return wire.Outcome{}, fmt.Errorf("%s %s: %w", wire.CmdFollow, h,
			&ProtocolError{a.server, fmt.Errorf("%w: no outcome", wire.ErrMalformed)})
	}
	return *last, nil
}

// Front moves a waiting job to the head of its queue, in front of all jobs of its
// function and priority. The error is ErrUnknownJob if the server does not have
// it. After a restart of the server the job is where it was. Only gm's server can
// do it; others answer ErrUnsupported.
func (a *Admin) Front(ctx context.Context, h Handle) error {
	return unknownJob(a.change(ctx, wire.CmdFront, string(h)), wire.CmdFront, h)
}
