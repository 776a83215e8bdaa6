package gearman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"gm/pkg/wire"
)

// maxListing is the maximum size in bytes of the rows of one answer.
const maxListing = 256 << 20

// Admin asks one server for its state and changes it, with the text commands of
// the Gearman protocol. It connects with its first command, and reconnects after an
// error. It is safe for concurrent use, but a command waits until the one before has
// ended.
//
// The errors of its methods wrap [ErrNoServer] or [ErrLost]; an [AdminError] if the
// server answers ERR; a [*ProtocolError] if the answer is invalid. The error also
// wraps [ErrUnsupported] if the server does not have the command, or if a name in
// the command has white space and the server is not gm's.
//
// All servers have the commands of Status, PriorityStatus, Workers, ShowJobs,
// ShowUniqueJobs, Version, PID, Verbose, Create, Drop, MaxQueue, CancelJob and
// Shutdown, as far as their versions go. Only gm's server has those of the other
// methods.
type Admin struct {
	opts   Options
	err    error // of the options
	server Server

	busy sync.Mutex // held during a command
	conn *adminConn // nil while there is none

	mu     sync.Mutex
	closed bool
	cancel context.CancelCauseFunc // of the command that runs
}

type adminConn struct {
	*stream
	out    *wire.Writer
	quotes bool // the server supports quoted words
}

// NewAdmin returns an Admin of s, which connects when it first has a command.
// It ignores o.Servers. The first command returns the error of invalid options.
func NewAdmin(s Server, o Options) *Admin {
	o.Servers = []Server{s}
	o, err := o.withDefaults()
	return &Admin{opts: o, err: err, server: s}
}

// Server returns the server of the Admin.
func (a *Admin) Server() Server { return a.server }

// Close closes the connection. A running command returns ErrClosed. Close returns
// nil.
func (a *Admin) Close() error {
	a.mu.Lock()
	a.closed = true
	if a.cancel != nil {
		a.cancel(ErrClosed)
	}
	a.mu.Unlock()
	a.busy.Lock()
	defer a.busy.Unlock()
	a.closeConn()
	return nil
}

func (a *Admin) closeConn() {
	if a.conn != nil {
		a.conn.nc.Close()
		a.conn = nil
	}
}

// Status returns the functions of the server with their jobs and workers.
func (a *Admin) Status(ctx context.Context) ([]FunctionStatus, error) {
	return list(ctx, a, wire.CmdStatus, func(line []byte) (FunctionStatus, error) {
		row, err := wire.ParseFunctionStatus(line)
		return FunctionStatus(row), err
	})
}

// PriorityStatus returns the functions of the server with their waiting jobs by
// priority.
func (a *Admin) PriorityStatus(ctx context.Context) ([]PriorityStatus, error) {
	return list(ctx, a, wire.CmdPriorityStatus, func(line []byte) (PriorityStatus, error) {
		row, err := wire.ParsePriorityStatus(line)
		return PriorityStatus(row), err
	})
}

// Workers returns the connections of the server, including those of clients.
func (a *Admin) Workers(ctx context.Context) ([]WorkerInfo, error) {
	return list(ctx, a, wire.CmdWorkers, func(line []byte) (WorkerInfo, error) {
		row, err := wire.ParseWorkerInfo(line)
		return WorkerInfo(row), err
	})
}

// ShowJobs returns the jobs of the server. Jobs returns more about each, but only
// gm's server has it.
func (a *Admin) ShowJobs(ctx context.Context) ([]JobInfo, error) {
	return list(ctx, a, wire.CmdShowJobs, func(line []byte) (JobInfo, error) {
		row, err := wire.ParseJobInfo(line)
		return JobInfo{Handle(row.Handle), row.Attempts, row.Ignored, row.Queued}, err
	})
}

// ShowUniqueJobs returns the uniques of the jobs of the server.
func (a *Admin) ShowUniqueJobs(ctx context.Context) ([]string, error) {
	return list(ctx, a, wire.CmdShowUniqueJobs, func(line []byte) (string, error) { return wire.ParseName(string(line)), nil })
}

// Version returns the version of the server.
func (a *Admin) Version(ctx context.Context) (string, error) {
	return a.line(ctx, wire.CmdVersion)
}

// PID returns the process ID of the server.
func (a *Admin) PID(ctx context.Context) (int, error) {
	s, err := a.line(ctx, wire.CmdGetPID)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", wire.CmdGetPID, &ProtocolError{a.server, fmt.Errorf("%w: %.80q", wire.ErrMalformed, s)})
	}
	return pid, nil
}

// Verbose returns the log level of the server, such as INFO.
func (a *Admin) Verbose(ctx context.Context) (string, error) {
	return a.line(ctx, wire.CmdVerbose)
}

// Create adds a function to the server.
func (a *Admin) Create(ctx context.Context, function string) error {
	return a.change(ctx, wire.CmdCreateFunction, function)
}

// Drop removes a function and its waiting jobs from the server. It returns the
// number of these jobs, which only gm's server reports; for others it is 0. The
// server refuses while the function has workers or running jobs.
func (a *Admin) Drop(ctx context.Context, function string) (dropped int, err error) {
	answer, err := a.line(ctx, wire.CmdDropFunction, function)
	if err != nil || answer == "" {
		return 0, err
	}
	if dropped, err = strconv.Atoi(answer); err != nil {
		return 0, fmt.Errorf("%s: %w", wire.CmdDropFunction, &ProtocolError{a.server, fmt.Errorf("%w: %.80q", wire.ErrMalformed, answer)})
	}
	return dropped, nil
}

// MaxQueue limits the number of jobs of a function, including running ones. One
// limit applies to all priorities, three to high, normal and low. 0 means no limit, and
// a call without limits removes them. The server refuses jobs over the limit; see
// [ServerError.QueueFull].
func (a *Admin) MaxQueue(ctx context.Context, function string, limits ...int) error {
	if n := len(limits); n > 1 && n != 3 {
		return fmt.Errorf("%s %s: got %d limits, want one or three", wire.CmdMaxQueue, function, n)
	}
	args := []string{function}
	for _, n := range limits {
		args = append(args, strconv.Itoa(n))
	}
	return a.change(ctx, wire.CmdMaxQueue, args...)
}

// CancelJob drops a waiting job. A running one goes on. The error is ErrUnknownJob if
// the server does not have the job.
func (a *Admin) CancelJob(ctx context.Context, h Handle) error {
	return unknownJob(a.change(ctx, wire.CmdCancelJob, string(h)), wire.CmdCancelJob, h)
}

// CancelRunning drops a waiting job, and makes the worker of a running job stop it.
// stopped is false if that worker does not support this: the job goes on, but does
// not run again. Only gm's server has this command, and only workers with
// WorkerOptions.Cancelable stop jobs.
func (a *Admin) CancelRunning(ctx context.Context, h Handle) (stopped bool, err error) {
	answer, err := a.line(ctx, wire.CmdCancelRunning, string(h))
	return answer != wire.CancelledRunsOn, unknownJob(err, wire.CmdCancelRunning, h)
}

// Shutdown stops the server: at once, or gracefully when its running jobs are done.
// It also succeeds if the server closes the connection instead of answering.
func (a *Admin) Shutdown(ctx context.Context, graceful bool) error {
	var args []string
	if graceful {
		args = []string{"graceful"}
	}
	err := a.change(ctx, wire.CmdShutdown, args...)
	if errors.Is(err, errHungUpOn) {
		return nil
	}
	return err
}

// StatusOf asks several servers at the same time, o.Servers if servers is nil,
// and returns the functions of each server that answered. The error is nil or a
// ServerErrors with the servers that did not answer.
func StatusOf(ctx context.Context, servers []Server, o Options) (map[Server][]FunctionStatus, error) {
	if servers == nil {
		full, err := o.withDefaults()
		if err != nil {
			return nil, err
		}
		servers = full.Servers
	}
	rows := make([][]FunctionStatus, len(servers))
	errs := make([]error, len(servers))
	var asking sync.WaitGroup
	for i, s := range servers {
		asking.Go(func() {
			a := NewAdmin(s, o)
			defer a.Close()
			rows[i], errs[i] = a.Status(ctx)
		})
	}
	asking.Wait()
	status, failed := map[Server][]FunctionStatus{}, ServerErrors{}
	for i, s := range servers {
		if errs[i] != nil {
			failed[s] = errs[i]
		} else {
			status[s] = rows[i]
		}
	}
	if len(failed) > 0 {
		return status, failed
	}
	return status, nil
}

// change sends a command that answers OK.
func (a *Admin) change(ctx context.Context, cmd string, args ...string) error {
	_, err := a.line(ctx, cmd, args...)
	return err
}

// line sends a command that answers one line, and returns the text after OK. Old
// servers answer some commands without OK.
func (a *Admin) line(ctx context.Context, cmd string, args ...string) (answer string, err error) {
	err = a.do(ctx, cmd, args, func(c *adminConn) error {
		line, err := c.in.NextLine()
		if err != nil {
			return err
		}
		a.opts.Trace.Line(c.peer, true, string(line))
		answer, err = wire.ParseReply(line)
		old := bytes.TrimSpace(line)
		rest := bytes.TrimLeft(old, "0123456789")
		number := len(rest) < len(old) && (len(rest) == 0 || rest[0] == '.') // not 220 of a mail server
		if errors.Is(err, wire.ErrMalformed) && number && (cmd == wire.CmdVersion || cmd == wire.CmdGetPID) {
			answer, err = string(old), nil
		}
		return err
	})
	return answer, err
}

// list sends a command that answers rows, ended by a line ".".
func list[T any](ctx context.Context, a *Admin, cmd string, parse func([]byte) (T, error), args ...string) (rows []T, err error) {
	err = a.do(ctx, cmd, args, func(c *adminConn) error {
		return c.rows(func(line []byte) error {
			row, err := parse(line)
			if err != nil {
				return &ProtocolError{c.server, err}
			}
			rows = append(rows, row)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// rows reads up to the line "." and calls f for each line before it. An ERR
// line instead of rows is an AdminError.
func (c *adminConn) rows(f func(line []byte) error) error {
	for size, first := 0, true; ; first = false {
		line, err := c.in.NextLine()
		if err != nil {
			return err
		}
		c.tracer.Line(c.peer, true, string(line))
		if wire.IsEnd(line) {
			return nil
		}
		if first && isErr(line) {
			_, err := wire.ParseReply(line)
			return err
		}
		if size += len(line); size > maxListing {
			return fmt.Errorf("listing %w %d", wire.ErrTooLarge, maxListing)
		}
		if err := f(line); err != nil {
			return err
		}
	}
}

// isErr reports whether a line is an ERR line and not a row, which has tabs.
func isErr(line []byte) bool {
	return (bytes.HasPrefix(line, []byte("ERR ")) || string(line) == "ERR") && !bytes.ContainsRune(line, '\t')
}

func text(line []byte) (string, error) { return string(line), nil }

// errHungUpOn is returned when the server closes the connection before it answers.
var errHungUpOn = errors.New("closed by the server")

// do runs one command. It connects if needed, sends the command and calls read for
// the answer. It closes the connection if the answer was not read completely.
func (a *Admin) do(ctx context.Context, cmd string, args []string, read func(*adminConn) error) error {
	line, quoted := []byte(cmd), false
	for _, arg := range args {
		before := len(line) + 1
		line = wire.AppendWord(append(line, ' '), arg)
		quoted = quoted || string(line[before:]) != arg
	}
	if len(line) > wire.MaxLine/2 {
		return fmt.Errorf("%s: line of %d bytes %w %d", cmd, len(line), wire.ErrTooLarge, wire.MaxLine/2)
	}
	a.busy.Lock()
	defer a.busy.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := a.setCancel(cancel); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	err := a.exchange(ctx, string(line), quoted, read)
	a.setCancel(nil)
	var refusal AdminError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal) && refusal.Unknown():
		return fmt.Errorf("%s: %w: %w", cmd, ErrUnsupported, refusal)
	case errors.As(err, &refusal):
		return fmt.Errorf("%s: %w", cmd, refusal)
	}
	a.closeConn()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", cmd, err)
}

// setCancel records the function that ends the running command, nil after it.
func (a *Admin) setCancel(cancel context.CancelCauseFunc) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cancel = cancel
	switch {
	case a.closed:
		return ErrClosed
	}
	return a.err
}

// exchange sends a line and calls read for the answer. quoted means that the line
// has quoted words, which only gm's server supports.
func (a *Admin) exchange(ctx context.Context, line string, quoted bool, read func(*adminConn) error) error {
	if a.conn == nil {
		st, err := dial(ctx, &a.opts, a.server)
		if err != nil {
			return unreached(ctx, a.server, err)
		}
		a.conn = &adminConn{stream: st, out: wire.NewWriter(st)}
	}
	c := a.conn
	defer context.AfterFunc(ctx, func() { c.nc.Close() })()
	var err error
	if quoted && !c.quotes {
		err = a.sendLine(c, wire.CmdHelp, func(c *adminConn) error { return c.rows(func([]byte) error { return nil }) })
		c.quotes = err == nil
	}
	if err == nil {
		err = a.sendLine(c, line, read)
	}
	var refusal AdminError
	var broken *ProtocolError
	switch {
	case err == nil || errors.As(err, &refusal) || errors.As(err, &broken):
		return err
	case isProtocol(err):
		return &ProtocolError{a.server, err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errHungUpOn
		if c.read.Load() == 0 && !strings.HasPrefix(line, wire.CmdWait+" ") { // wait may have no answer for a long time
			return &ProtocolError{a.server, fmt.Errorf("%w without an answer", err)}
		}
	}
	return lost(a.server, err)
}

// sendLine sends a line over c and calls read for the answer.
func (a *Admin) sendLine(c *adminConn, line string, read func(*adminConn) error) error {
	a.opts.Trace.Line(c.peer, false, line)
	c.out.SendLine(line + "\r") // gearmand cuts two bytes off a last argument
	if err := c.out.Flush(); err != nil {
		return err
	}
	return read(c)
}
