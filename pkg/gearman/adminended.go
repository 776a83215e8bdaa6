package gearman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gm/pkg/wire"
)

// The commands in this file are about jobs that have ended or failed. Only
// gm's server has them; others answer ErrUnsupported.

// Wait calls f with the outcome of each job, as they end: at once for one that
// has ended or that the server does not have. It returns when all have; until
// then other commands of a wait for it. An error of f ends it and is returned.
//
// A server remembers how a job has ended only if it keeps results, or has the
// job in its dead list: to all others, Wait has to be called before the end.
// More handles than one line can hold are waited for a line at a time, so that
// what ends meanwhile may be told late.
func (a *Admin) Wait(ctx context.Context, handles []Handle, f func(wire.Outcome) error) error {
	for len(handles) > 0 {
		var words []string
		for size := len(wire.CmdWait); len(words) < len(handles); {
			h := string(handles[len(words)])
			if size += 1 + len(h); size > wire.MaxLine/2 && len(words) > 0 {
				break
			}
			words = append(words, h)
		}
		if err := a.wait(ctx, words, f); err != nil {
			return err
		}
		handles = handles[len(words):]
	}
	return nil
}

// wait is Wait for what one line can hold.
func (a *Admin) wait(ctx context.Context, handles []string, f func(wire.Outcome) error) error {
	var ours error
	told := 0
	err := a.do(ctx, wire.CmdWait, handles, func(c *adminConn) error {
		return c.rows(func(line []byte) error {
			var o wire.Outcome
			if err := c.decode(line, &o); err != nil {
				return err
			}
			told++
			ours = f(o)
			return ours
		})
	})
	switch {
	case ours != nil:
		return ours
	case err == nil && told != len(handles):
		return fmt.Errorf("%s: %w", wire.CmdWait,
			&ProtocolError{a.server, fmt.Errorf("%w: %d outcomes of %d jobs", wire.ErrMalformed, told, len(handles))})
	}
	return err
}

// Result returns how a job has ended, and writes its result to w as it comes:
// Size bytes if it is OutcomeCompleted and Kept, and nothing otherwise. The
// error is ErrUnknownJob if the server keeps nothing about the job: it has not
// ended, the server was not told to keep results, or keeps it no longer. An
// error of w is returned as it is.
func (a *Admin) Result(ctx context.Context, h Handle, w io.Writer) (wire.Outcome, error) {
	var o wire.Outcome
	err := a.sized(ctx, wire.CmdResult, []string{string(h)}, &o, func() (int, io.Writer) {
		if o.State != wire.OutcomeCompleted {
			return o.Size, io.Discard
		}
		return o.Size, w
	})
	if err != nil {
		return wire.Outcome{}, unknownJob(err, wire.CmdResult, h)
	}
	return o, nil
}

// JobPayload is Job, and writes the job's payload to w as it comes: Size bytes. An
// error of w is returned as it is.
func (a *Admin) JobPayload(ctx context.Context, h Handle, w io.Writer) (wire.Job, error) {
	var j wire.Job
	err := a.sized(ctx, wire.CmdJob, []string{string(h), "payload"}, &j, func() (int, io.Writer) { return j.Size, w })
	if err != nil {
		return wire.Job{}, unknownJob(err, wire.CmdJob, h)
	}
	return j, nil
}

// sized sends a command that answers with a row, as many bytes as the row says, and
// a line ".". body returns how many those are, once the row is there, and where to.
func (a *Admin) sized(ctx context.Context, cmd string, args []string, row any, body func() (int, io.Writer)) error {
	var ours error
	err := a.do(ctx, cmd, args, func(c *adminConn) error {
		line, err := c.in.NextLine()
		if err != nil {
			return err
		}
		a.opts.Trace.Line(c.peer, true, string(line))
		if isErr(line) {
			_, err := wire.ParseReply(line)
			return err
		}
		if err := c.decode(line, row); err != nil {
			return err
		}
		size, w := body()
		to := &keepError{w: w}
		if _, err := io.CopyN(to, c.in, int64(size)); err != nil {
			ours = to.err
			return err
		}
		end, err := c.in.NextLine()
		if err == nil && !wire.IsEnd(end) {
			err = &ProtocolError{c.server, fmt.Errorf("%w: %s of %d bytes goes on", wire.ErrMalformed, cmd, size)}
		}
		return err
	})
	if ours != nil {
		return ours
	}
	return err
}

// keepError is a writer that remembers its error.
type keepError struct {
	w   io.Writer
	err error
}

func (k *keepError) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	if err != nil {
		k.err = err
	}
	return n, err
}

// RetryJob takes a job out of the dead list: it waits again, with its handle
// and without its attempts. The error is ErrUnknownJob if it is not there.
func (a *Admin) RetryJob(ctx context.Context, h Handle) error {
	return unknownJob(a.change(ctx, wire.CmdRetryJob, string(h)), wire.CmdRetryJob, h)
}

// RetryAll is RetryJob for all dead jobs of a function. It returns how many
// there were.
func (a *Admin) RetryAll(ctx context.Context, function string) (int, error) {
	return a.count(ctx, wire.CmdRetryAll, function)
}

// PurgeDead makes the server forget the dead jobs of a function, and returns
// how many there were.
func (a *Admin) PurgeDead(ctx context.Context, function string) (int, error) {
	return a.count(ctx, wire.CmdPurgeDead, function)
}

// SetPolicy says what becomes of a function's jobs that fail: policy is
// "RETRIES[,MIN..MAX]" or, for none, "-". RETRIES is how often a job is tried
// again, -1 without end; MIN..MAX how long it waits before, from 1s to 5m in
// "3,1s..5m", twice as long each time.
func (a *Admin) SetPolicy(ctx context.Context, function, policy string) error {
	return a.change(ctx, wire.CmdPolicy, function, policy)
}

// Policy returns what SetPolicy has set, or the server's configuration.
func (a *Admin) Policy(ctx context.Context, function string) (string, error) {
	s, err := a.line(ctx, wire.CmdPolicy, function)
	return strings.TrimSpace(s), err
}

// count sends a command that answers OK and a number.
func (a *Admin) count(ctx context.Context, cmd, function string) (int, error) {
	s, err := a.line(ctx, cmd, function)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", cmd, &ProtocolError{a.server, fmt.Errorf("%w: %.80q", wire.ErrMalformed, s)})
	}
	return n, nil
}

// unknownJob returns err, as ErrUnknownJob if it is the server's word for it.
func unknownJob(err error, cmd string, h Handle) error {
	var said wire.ErrReply
	if errors.As(err, &said) && strings.HasPrefix(string(said), "UNKNOWN_JOB") {
		return fmt.Errorf("%s %s: %w", cmd, h, ErrUnknownJob)
	}
	return err
}
