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

// maxListing bounds the rows of one answer, in bytes.
const maxListing = 256 << 20

// Admin asks one server for its state and changes it, with the text commands
// that Gearman servers have beside their packets. It connects when it is first
// asked, and again after an error. It is safe for concurrent use: commands go one
// after the other.
//
// Errors: one that wraps ErrNoServer or ErrLost; a wire.ErrReply when the server
// says ERR, which also is ErrUnsupported when it does not have the command, or
// when the command has a name with white space and the server is not gm's;
// a *ProtocolError when the answer is none.
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
	quotes bool // the server is known to read quoted words
}

// NewAdmin returns an Admin of s, which connects when it first has a command.
// It ignores o.Servers. The first command returns the error of invalid options.
func NewAdmin(s Server, o Options) *Admin {
	o.Servers = []Server{s}
	o, err := o.withDefaults()
	return &Admin{opts: o, err: err, server: s}
}

// Server returns the server.
func (a *Admin) Server() Server { return a.server }

// Close closes the connection and ends a command that runs with ErrClosed. It
// returns nil.
func (a *Admin) Close() error {
	a.mu.Lock()
	a.closed = true
	if a.cancel != nil {
		a.cancel(ErrClosed)
	}
	a.mu.Unlock()
	a.busy.Lock()
	defer a.busy.Unlock()
	a.hangUp()
	return nil
}

func (a *Admin) hangUp() {
	if a.conn != nil {
		a.conn.nc.Close()
		a.conn = nil
	}
}

// Status returns the server's functions with their jobs and workers.
func (a *Admin) Status(ctx context.Context) ([]wire.FunctionStatus, error) {
	return list(ctx, a, wire.CmdStatus, wire.ParseFunctionStatus)
}

// PriorityStatus returns the server's functions with their waiting jobs by
// priority.
func (a *Admin) PriorityStatus(ctx context.Context) ([]wire.PriorityStatus, error) {
	return list(ctx, a, wire.CmdPriorityStatus, wire.ParsePriorityStatus)
}

// Workers returns the server's connections, also those that are no workers.
func (a *Admin) Workers(ctx context.Context) ([]wire.WorkerInfo, error) {
	return list(ctx, a, wire.CmdWorkers, wire.ParseWorkerInfo)
}

// ShowJobs returns the server's jobs.
func (a *Admin) ShowJobs(ctx context.Context) ([]wire.JobInfo, error) {
	return list(ctx, a, wire.CmdShowJobs, wire.ParseJobInfo)
}

// ShowUniqueJobs returns the uniques of the server's jobs.
func (a *Admin) ShowUniqueJobs(ctx context.Context) ([]string, error) {
	return list(ctx, a, wire.CmdShowUniqueJobs, func(line []byte) (string, error) { return wire.ParseName(string(line)), nil })
}

// Version returns the server's version.
func (a *Admin) Version(ctx context.Context) (string, error) {
	return a.line(ctx, wire.CmdVersion)
}

// PID returns the server's process number.
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

// Verbose returns how much the server logs, in its own words.
func (a *Admin) Verbose(ctx context.Context) (string, error) {
	return a.line(ctx, wire.CmdVerbose)
}

// Create makes a function known to the server.
func (a *Admin) Create(ctx context.Context, function string) error {
	return a.change(ctx, wire.CmdCreateFunction, function)
}

// Drop makes the server forget a function, with the jobs of it that wait. It
// returns how many there were, 0 if the server does not say; gm serve does. The
// server refuses while it has workers or running jobs of the function.
func (a *Admin) Drop(ctx context.Context, function string) (dropped int, err error) {
	said, err := a.line(ctx, wire.CmdDropFunction, function)
	if err != nil || said == "" {
		return 0, err
	}
	if dropped, err = strconv.Atoi(said); err != nil {
		return 0, fmt.Errorf("%s: %w", wire.CmdDropFunction, &ProtocolError{a.server, fmt.Errorf("%w: %.80q", wire.ErrMalformed, said)})
	}
	return dropped, nil
}

// MaxQueue limits the jobs of a function, running ones included: one limit is
// for all priorities, three are for high, normal and low. 0 is no limit, and
// so is none at all. Jobs over the limit are refused, see
// [ServerError.QueueFull].
func (a *Admin) MaxQueue(ctx context.Context, function string, limits ...int) error {
	if n := len(limits); n > 1 && n != 3 {
		return fmt.Errorf("%s %s: %d limits are neither one nor three", wire.CmdMaxQueue, function, n)
	}
	args := []string{function}
	for _, n := range limits {
		args = append(args, strconv.Itoa(n))
	}
	return a.change(ctx, wire.CmdMaxQueue, args...)
}

// CancelJob drops a job that waits. One that runs goes on.
func (a *Admin) CancelJob(ctx context.Context, h Handle) error {
	return a.change(ctx, wire.CmdCancelJob, string(h))
}

// CancelRunning drops a job that waits, and has the worker of one that runs stop
// it. stopped is false if that worker cannot be told: the job runs on, and does not
// run again. Only gm's server has this, and only its own workers stop jobs; see
// WorkerOptions.Cancelable.
func (a *Admin) CancelRunning(ctx context.Context, h Handle) (stopped bool, err error) {
	answer, err := a.line(ctx, wire.CmdCancelRunning, string(h))
	return answer != wire.CancelledRunsOn, unknownJob(err, wire.CmdCancelRunning, h)
}

// Shutdown ends the server: at once, or gracefully once its running jobs are
// done. A server that hangs up instead of answering has obeyed.
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
func StatusOf(ctx context.Context, servers []Server, o Options) (map[Server][]wire.FunctionStatus, error) {
	if servers == nil {
		full, err := o.withDefaults()
		if err != nil {
			return nil, err
		}
		servers = full.Servers
	}
	rows := make([][]wire.FunctionStatus, len(servers))
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
	status, failed := map[Server][]wire.FunctionStatus{}, ServerErrors{}
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

// line sends a command that answers one line, and returns what follows OK.
// Servers of old answer some without OK.
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
// line instead of rows is a wire.ErrReply.
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

// isErr tells an ERR line from a row: rows of numbers have tabs.
func isErr(line []byte) bool {
	return (bytes.HasPrefix(line, []byte("ERR ")) || string(line) == "ERR") && !bytes.ContainsRune(line, '\t')
}

func text(line []byte) (string, error) { return string(line), nil }

// errHungUpOn marks an answer that did not come.
var errHungUpOn = errors.New("closed by the server")

// do runs one command: it connects if need be, sends, lets read take the
// answer, and drops the connection if that was not read to its end.
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
	if err := a.begin(cancel); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	err := a.exchange(ctx, string(line), quoted, read)
	a.begin(nil)
	var said wire.ErrReply
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said) && said.Unknown():
		return fmt.Errorf("%s: %w: %w", cmd, ErrUnsupported, said)
	case errors.As(err, &said):
		return fmt.Errorf("%s: %w", cmd, said)
	}
	a.hangUp()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%s: %w", cmd, err)
}

// begin notes how the command that runs is ended; nil after it.
func (a *Admin) begin(cancel context.CancelCauseFunc) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cancel = cancel
	switch {
	case a.closed:
		return ErrClosed
	}
	return a.err
}

// exchange sends a line and lets read take the answer. quoted says that the
// line has words that only gm's server reads as they are meant.
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
		err = a.ask(c, wire.CmdHelp, func(c *adminConn) error { return c.rows(func([]byte) error { return nil }) })
		c.quotes = err == nil
	}
	if err == nil {
		err = a.ask(c, line, read)
	}
	var said wire.ErrReply
	var broken *ProtocolError
	switch {
	case err == nil || errors.As(err, &said) || errors.As(err, &broken):
		return err
	case isProtocol(err):
		return &ProtocolError{a.server, err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errHungUpOn
		if c.read.Load() == 0 && !strings.HasPrefix(line, wire.CmdWait+" ") { // a wait may be silent for long
			return &ProtocolError{a.server, fmt.Errorf("%w without an answer", err)}
		}
	}
	return lost(a.server, err)
}

// ask sends a line over c and lets read take the answer.
func (a *Admin) ask(c *adminConn, line string, read func(*adminConn) error) error {
	a.opts.Trace.Line(c.peer, false, line)
	c.out.SendLine(line + "\r") // gearmand cuts two bytes off a last argument
	if err := c.out.Flush(); err != nil {
		return err
	}
	return read(c)
}
