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

// The commands in this file are about jobs that have ended or failed. Only gm's
// server has them. For others the methods return ErrUnsupported.

// Wait calls f with the outcome of each job when it ends: immediately for a job that
// has ended or that the server does not have. It returns when all have ended. Until
// then other commands of a wait. If f returns an error, Wait stops and returns it.
//
// A server stores the outcome of a job only if it keeps results, or if the job is a
// dead job. For all other jobs, Wait must be called before they end. If there are
// more handles than fit into one command (32 KiB), it waits for the jobs of one
// command after the other, and f may get some outcomes late.
func (a *Admin) Wait(ctx context.Context, handles []Handle, f func(Outcome) error) error {
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

// wait is Wait for the handles that fit into one command.
func (a *Admin) wait(ctx context.Context, handles []string, f func(Outcome) error) error {
	var stopped error // the error of f
	received := 0
	err := a.do(ctx, wire.CmdWait, handles, func(c *adminConn) error {
		return c.rows(func(line []byte) error {
			var o Outcome
			if err := c.decode(line, &o); err != nil {
				return err
			}
			received++
			stopped = f(o)
			return stopped
		})
	})
	switch {
	case stopped != nil:
		return stopped
	case err == nil && received != len(handles):
		return fmt.Errorf("%s: %w", wire.CmdWait,
			&ProtocolError{a.server, fmt.Errorf("%w: %d outcomes of %d jobs", wire.ErrMalformed, received, len(handles))})
	}
	return err
}

// Result returns the outcome of a job, and writes its result to w as it arrives:
// Outcome.Size bytes if State is OutcomeCompleted and Kept is true, otherwise
// nothing. The error is ErrUnknownJob if the server stores no outcome of the job,
// because the job has not ended, or because the server does not keep results or
// keeps this one no longer. An error of w is returned unchanged.
func (a *Admin) Result(ctx context.Context, h Handle, w io.Writer) (Outcome, error) {
	var o Outcome
	err := a.sized(ctx, wire.CmdResult, []string{string(h)}, &o, func() (int, io.Writer) {
		if o.State != OutcomeCompleted {
			return o.Size, io.Discard
		}
		return o.Size, w
	})
	if err != nil {
		return Outcome{}, unknownJob(err, wire.CmdResult, h)
	}
	return o, nil
}

// JobPayload returns one job, as Job does, and writes its payload to w as it arrives:
// JobDetails.Size bytes. An error of w is returned unchanged.
func (a *Admin) JobPayload(ctx context.Context, h Handle, w io.Writer) (JobDetails, error) {
	var j JobDetails
	err := a.sized(ctx, wire.CmdJob, []string{string(h), "payload"}, &j, func() (int, io.Writer) { return j.Size, w })
	if err != nil {
		return JobDetails{}, unknownJob(err, wire.CmdJob, h)
	}
	return j, nil
}

// sized sends a command that answers with a row, a number of bytes that the row
// states, and a line ".". body is called after the row, and returns that number and
// the writer for the bytes.
func (a *Admin) sized(ctx context.Context, cmd string, args []string, row any, body func() (int, io.Writer)) error {
	var failed error // of the writer
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
			failed = to.err
			return err
		}
		end, err := c.in.NextLine()
		if err == nil && !wire.IsEnd(end) {
			err = &ProtocolError{c.server, fmt.Errorf("%w: %s has more than %d bytes", wire.ErrMalformed, cmd, size)}
		}
		return err
	})
	if failed != nil {
		return failed
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

// RetryJob queues a dead job again, with its handle and without its attempts. The
// error is ErrUnknownJob if the server has no such dead job.
func (a *Admin) RetryJob(ctx context.Context, h Handle) error {
	return unknownJob(a.change(ctx, wire.CmdRetryJob, string(h)), wire.CmdRetryJob, h)
}

// RetryAll queues all dead jobs of a function again, and returns their number.
func (a *Admin) RetryAll(ctx context.Context, function string) (int, error) {
	return a.changeAndCount(ctx, wire.CmdRetryAll, function)
}

// PurgeDead drops the dead jobs of a function, and returns their number.
func (a *Admin) PurgeDead(ctx context.Context, function string) (int, error) {
	return a.changeAndCount(ctx, wire.CmdPurgeDead, function)
}

// SetPolicy sets the policy for jobs of a function that fail. It is
// "RETRIES[,MIN..MAX]", or "-" for none. RETRIES is the number of further attempts,
// -1 without limit. MIN and MAX limit the wait before each, which doubles each time:
// with "3,1s..5m" it is 1 s, 2 s and 4 s.
func (a *Admin) SetPolicy(ctx context.Context, function, policy string) error {
	return a.change(ctx, wire.CmdPolicy, function, policy)
}

// Policy returns the policy of a function, from SetPolicy or from the configuration
// of the server.
func (a *Admin) Policy(ctx context.Context, function string) (string, error) {
	s, err := a.line(ctx, wire.CmdPolicy, function)
	return strings.TrimSpace(s), err
}

// changeAndCount sends a command that answers OK and a number.
func (a *Admin) changeAndCount(ctx context.Context, cmd, function string) (int, error) {
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

// unknownJob returns err, or ErrUnknownJob if err is the server's answer for that.
func unknownJob(err error, cmd string, h Handle) error {
	var refusal AdminError
	if errors.As(err, &refusal) && strings.HasPrefix(string(refusal), "UNKNOWN_JOB") {
		return fmt.Errorf("%s %s: %w", cmd, h, ErrUnknownJob)
	}
	return err
}
