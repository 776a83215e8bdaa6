package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// command is one command of the text admin protocol.
type command struct {
	name     string // one to three words
	args     string // for help
	min, max int    // how many arguments it takes
	help     string
	changes  bool                                           // and is logged
	run      func(c *conn, now int64, args [][]byte) []byte // returns the reply; nil is help
}

// many is the max of commands that do not look at what is too much.
const many = wire.MaxLine

// commands are all of them, in the order of help.
var commands = [...]command{
	{wire.CmdStatus, "", 0, many, "a row a function: name, jobs, running, workers", false, (*conn).adminStatus},
	{wire.CmdPriorityStatus, "", 0, many, "a row a function: name, waiting high, normal, low, workers", false, (*conn).adminPriorityStatus},
	{wire.CmdWorkers, "", 0, many, "a row a connection: fd, address, id, functions", false, (*conn).adminWorkers},
	{wire.CmdShowJobs, "", 0, 0, "a row a job: handle, attempts, ignored, queued", false, (*conn).adminShowJobs},
	{wire.CmdShowUniqueJobs, "", 0, 0, "a row a job that has one: its unique", false, (*conn).adminShowUniqueJobs},
	{wire.CmdCancelJob, "HANDLE", 1, 1, "drop a waiting job; a running one runs on", true, (*conn).adminCancel},
	{wire.CmdCancelRunning, "HANDLE", 1, 1, "drop a waiting job; have the worker of a running one stop it, if it can", true, (*conn).adminCancelRunning},
	{wire.CmdCreateFunction, "FUNCTION", 1, 1, "make a function known", true, (*conn).adminCreate},
	{wire.CmdDropFunction, "FUNCTION", 1, 1, "forget a function without workers, and its waiting jobs", true, (*conn).adminDrop},
	{wire.CmdMaxQueue, "FUNCTION [MAX | HIGH NORMAL LOW]", 1, many, "limit a function's jobs; no number or 0 for no limit", true, (*conn).adminMaxQueue},
	{wire.CmdGetPID, "", 0, many, "the server's process id", false, (*conn).adminPID},
	{wire.CmdVerbose, "", 0, many, "the log level", false, (*conn).adminVerbose},
	{wire.CmdVersion, "", 0, many, "the server's version", false, (*conn).adminVersion},
	{wire.CmdShutdown, "[graceful]", 0, 1, "stop the server; graceful lets running jobs end", false, (*conn).adminShutdown},
	{wire.CmdStats, "", 0, many, "JSON: the server, then a line a function", false, (*conn).adminStats},
	{wire.CmdJobs, "[FUNCTION|- [STATE|- [LIMIT [AFTER]]]]", 0, 4, "JSON: a line a job behind the handle AFTER; STATE is waiting, delayed, running or dead", false, (*conn).adminJobs},
	{wire.CmdJob, "HANDLE [payload]", 1, 2, "JSON: one job; then its payload", false, (*conn).adminJob},
	{wire.CmdRetryJob, "HANDLE", 1, 1, "a dead job waits again", true, (*conn).adminRetryJob},
	{wire.CmdRetryAll, "FUNCTION", 1, 1, "all dead jobs of a function wait again", true, (*conn).adminRetryAll},
	{wire.CmdPurgeDead, "FUNCTION", 1, 1, "forget a function's dead jobs", true, (*conn).adminPurgeDead},
	{wire.CmdPolicy, "FUNCTION [RETRIES[,MIN..MAX]|-]", 1, 2, "what becomes of a function's jobs that fail", true, (*conn).adminPolicy},
	{wire.CmdWait, "HANDLE...", 1, many, "JSON: how each job has ended, a line a job, as they end", false, (*conn).adminWait},
	{wire.CmdFollow, "HANDLE", 1, 1, "JSON: what a job's worker sends, as it comes, then how it has ended", false, (*conn).adminFollow},
	{wire.CmdFront, "HANDLE", 1, 1, "move a waiting job to the head of its queue", true, (*conn).adminFront},
	{wire.CmdResult, "HANDLE", 1, 1, "JSON: how a job has ended, then its result", false, (*conn).adminResult},
	{wire.CmdSessions, "", 0, many, "JSON: a line a connection", false, (*conn).adminSessions},
	{wire.CmdPause, "FUNCTION", 1, 1, "hand out none of a function's jobs", true, (*conn).adminPause},
	{wire.CmdResume, "FUNCTION", 1, 1, "hand them out again", true, (*conn).adminResume},
	{wire.CmdPurge, "FUNCTION", 1, 1, "drop a function's waiting and delayed jobs", true, (*conn).adminPurge},
	{wire.CmdHelp, "", 0, many, "this list", false, nil},
}

// admin answers one line of the admin protocol. What is wrong with a line is
// told in gearmand's words; an empty one is an unknown command to it.
func (c *conn) admin(now int64, line []byte) {
	words := wire.Words(line)
	cmd, args := findCommand(words)
	var reply []byte
	switch {
	case len(words) == 0:
		reply = fmt.Appendf(nil, wire.ReplyUnknownCommand, "")
	case cmd != nil && cmd.min <= len(args) && len(args) <= cmd.max:
		switch {
		case cmd.run == nil:
			reply = help()
		case cmd.changes:
			c.change(now, cmd, args, string(line))
			return
		case cmd.isList() && c.awaitList(cmd, args):
			return
		default:
			reply = cmd.run(c, now, args)
		}
	case len(words) > 1 && equalFold("show", words[0]):
		reply = []byte(wire.ReplyUnknownShow)
	case cmd != nil || isFirstWord(words[0]) && !equalFold("show", words[0]):
		reply = missingArgs(words[0])
	default:
		reply = fmt.Appendf(nil, wire.ReplyUnknownCommand, wire.AppendName(nil, string(words[0])))
	}
	c.sendText(reply)
}

// missingArgs answers a command whose arguments are not complete, or an
// argument that it cannot take.
func missingArgs(word []byte) []byte {
	return fmt.Appendf(nil, wire.ReplyMissingArgs, wire.AppendName(nil, string(word)))
}

// change runs a command that changes something. What goes to the store with it
// is there when it is answered.
func (c *conn) change(now int64, cmd *command, args [][]byte, line string) {
	s := c.s
	before := s.commit.position()
	reply := cmd.run(c, now, args) // nil if it comes later
	if reply == nil || bytes.HasPrefix(reply, []byte("OK")) {
		s.note(slog.LevelInfo, "changed", slog.String("by", c.addr), slog.String("command", line))
	}
	switch {
	case reply == nil:
	case s.commit.position() != before:
		c.replyOnceStored(reply, before)
	default:
		c.sendText(reply)
	}
}

// replyOnceStored answers with reply when all that has been put into batches
// since a position is in the store. If the store fails that is what is answered; the change holds
// nevertheless, and will be stored when the store works again.
func (c *conn) replyOnceStored(reply []byte, since position) {
	slot := c.parked.add()
	c.s.commit.thenStored(since, func(_ int64, err error) {
		if err != nil {
			reply = notStored(err)
		}
		c.answerText(slot, reply)
	})
}

func notStored(err error) []byte { return okOrErr(notStoredError{err}) }

// notStoredError is why the store has not taken a change.
type notStoredError struct{ error }

func (e notStoredError) Error() string { return "NOT_STORED " + e.error.Error() }
func (e notStoredError) Unwrap() error { return e.error }

// oneLine returns the text of an error without line ends.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// isList reports whether the command answers with a list of all jobs or
// functions that does not say whether it is complete.
func (cmd *command) isList() bool {
	switch cmd.name {
	case wire.CmdStatus, wire.CmdPriorityStatus, wire.CmdShowJobs, wire.CmdShowUniqueJobs, wire.CmdJobs:
		return true
	}
	return false
}

// findCommand finds the command with the most words that match.
func findCommand(words [][]byte) (*command, [][]byte) {
	var best *command
	n := 0
	for i := range commands {
		if k := commands[i].matches(words); k > n {
			best, n = &commands[i], k
		}
	}
	return best, words[n:]
}

// matches returns how many words the command's name has, 0 if it is not what
// words begin with.
func (cmd *command) matches(words [][]byte) int {
	n := 0
	for name := range strings.FieldsSeq(cmd.name) {
		if n >= len(words) || !equalFold(name, words[n]) {
			return 0
		}
		n++
	}
	return n
}

// isFirstWord reports whether word begins the name of a command that has more.
func isFirstWord(word []byte) bool {
	return slices.ContainsFunc(commands[:], func(cmd command) bool {
		first, _, more := strings.Cut(cmd.name, " ")
		return more && equalFold(first, word)
	})
}

func equalFold(name string, word []byte) bool { return strings.EqualFold(name, string(word)) }

func help() []byte {
	var b []byte
	for i := range commands {
		cmd := &commands[i]
		b = fmt.Appendf(b, "%-52s %s\n", strings.TrimSpace(cmd.name+" "+cmd.args), cmd.help)
	}
	return append(b, wire.ReplyEnd...)
}

// functionRows answers with a row for each function.
func (c *conn) functionRows(now int64, head []byte, row func(dst []byte, f *queue.FunctionSnapshot) []byte) []byte {
	var last *queue.Function
	var taken queue.Snapshot
	p := &pages{
		step: func(now int64, most int) (more bool) {
			taken, last, more = c.s.q.SnapshotAfter(now, last, most, taken)
			return more
		},
		rows: func(dst []byte) []byte {
			dst = append(dst, head...)
			for i := range taken {
				dst = row(dst, &taken[i])
			}
			head, taken = nil, taken[:0]
			return dst
		},
	}
	return p.run(c, now)
}

func (c *conn) adminStatus(now int64, _ [][]byte) []byte {
	return c.functionRows(now, nil, func(dst []byte, f *queue.FunctionSnapshot) []byte {
		return wire.FunctionStatus{
			Function: f.Function, Total: f.Total(), Running: f.Running, Workers: f.Workers,
		}.Append(dst)
	})
}

func (c *conn) adminPriorityStatus(now int64, _ [][]byte) []byte {
	return c.functionRows(now, nil, func(dst []byte, f *queue.FunctionSnapshot) []byte {
		return wire.PriorityStatus{
			Function: f.Function, High: f.High, Normal: f.Normal + f.Delayed, // as gearmand counts them
			Low: f.Low, Workers: f.Workers,
		}.Append(dst)
	})
}

// connRows answers with a row for each connection. take describes one, row
// writes what it has described. A step is a connection or one of its functions,
// jobs and waits.
func connRows[T any](c *conn, now int64, take func(*conn) T, row func(dst []byte, taken *T) []byte) []byte {
	var last *conn
	var taken []T
	c.s.conns.beginWalk()
	p := &pages{
		done: c.s.conns.endWalk,
		step: func(_ int64, most int) (more bool) {
			b := newBudget(most)
			last, more = c.s.conns.after(last, func(other *conn) bool {
				taken = append(taken, take(other))
				return b.spend(1 + other.peer.NumFunctions() + other.peer.NumJobs())
			})
			return more
		},
		rows: func(dst []byte) []byte {
			for i := range taken {
				dst = row(dst, &taken[i])
			}
			clear(taken)
			taken = taken[:0]
			return dst
		},
	}
	return p.run(c, now)
}

func (c *conn) adminWorkers(now int64, _ [][]byte) []byte {
	return connRows(c, now, func(other *conn) wire.WorkerInfo {
		return wire.WorkerInfo{FD: other.sock.fd(), Addr: other.host(), ID: other.id, Functions: other.peer.Functions()}
	}, func(dst []byte, w *wire.WorkerInfo) []byte { return w.Append(dst) })
}

// jobRows answers with a row for each job. take collects one, rows writes those
// that were collected.
func (c *conn) jobRows(now int64, take func(*queue.Job), rows func(dst []byte) []byte) []byte {
	var last uint64
	p := &pages{
		step: func(_ int64, most int) (more bool) {
			b := newBudget(most)
			last, more = c.s.q.JobsAfter(last, most, func(j *queue.Job) bool {
				take(j)
				return b.spend(1)
			})
			return more
		},
		rows: rows,
	}
	return p.run(c, now)
}

func (c *conn) adminShowJobs(now int64, _ [][]byte) []byte {
	var b []byte // a row takes less to write than to collect
	return c.jobRows(now, func(j *queue.Job) {
		var handle [wire.MaxHandle + 1]byte
		b = wire.JobInfo{
			Handle: string(j.AppendHandle(handle[:0])), Attempts: j.Attempts(), Ignored: j.Ignored(),
			Queued: j.State() == queue.Waiting,
		}.Append(b)
	}, func(dst []byte) []byte {
		dst = append(dst, b...)
		b = b[:0]
		return dst
	})
}

func (c *conn) adminShowUniqueJobs(now int64, _ [][]byte) []byte {
	var uniques []string
	return c.jobRows(now, func(j *queue.Job) {
		if u := j.Unique(); len(u) > 0 {
			uniques = append(uniques, string(u))
		}
	}, func(dst []byte) []byte {
		for _, u := range uniques {
			dst = append(wire.AppendText(dst, u), '\n')
		}
		clear(uniques)
		uniques = uniques[:0]
		return dst
	})
}

func (c *conn) adminCancel(now int64, args [][]byte) []byte {
	s := c.s
	j, d := s.q.Lookup(args[0]), s.q.LookupDead(args[0])
	switch {
	case j == nil && d == nil:
		return s.unknownJob()
	case j == nil:
		s.q.Forget(d)
	case j.State() == queue.Held:
		s.q.Cancel(now, j)
		return c.cancelHeld(j)
	default:
		if !s.q.Cancel(now, j) && j.Journaled() {
			s.commit.done(j) // it ends with its worker, and must not come back
			j.SetJournaled(false)
		}
	}
	return []byte(wire.ReplyOK)
}

// adminCancelRunning is adminCancel, and has the worker of a running job stop it, if
// that worker has asked for it. The answer says what becomes of the job.
func (c *conn) adminCancelRunning(now int64, args [][]byte) []byte {
	j := c.s.q.Lookup(args[0])
	running := j != nil && j.State() == queue.Running
	reply := c.adminCancel(now, args)
	if !running || string(reply) != wire.ReplyOK {
		return reply
	}
	worker := j.Worker().Owner.(*conn)
	if !worker.cancels {
		return fmt.Appendf(nil, "OK %s\r\n", wire.CancelledRunsOn)
	}
	worker.send(wire.WorkFail, j.AppendHandle(nil))
	return fmt.Appendf(nil, "OK %s\r\n", wire.CancelledStopping)
}

// cancelHeld answers the cancelling of a job that is on its way to the store:
// when it is there, it ends, which has to get there as well.
func (c *conn) cancelHeld(j *queue.Job) []byte {
	slot := c.parked.add()
	parked := c.s.commit.thenOf(j, func(_ int64, err error) {
		if err != nil {
			c.answerText(slot, notStored(err))
			return
		}
		c.s.commit.then(func(_ int64, err error) {
			if err != nil {
				c.answerText(slot, notStored(err))
				return
			}
			c.answerText(slot, []byte(wire.ReplyOK))
		})
	})
	if !parked { // held jobs are all on their way
		c.answerText(slot, []byte(wire.ReplyOK))
	}
	return nil
}

// unknownJob answers that a job is not there, or not yet.
func (s *Server) unknownJob() []byte {
	if s.loading {
		return okOrErr(errLoading)
	}
	return []byte(wire.ReplyUnknownJob)
}

func (c *conn) adminCreate(_ int64, args [][]byte) []byte {
	if err := checkFunction(args[0]); err != nil {
		return fmt.Appendf(nil, "ERR CREATE_FUNCTION %s\r\n", wire.AppendName(nil, string(args[0])))
	}
	if err := c.s.errSettingsUnread(); err != nil {
		return okOrErr(err)
	}
	c.s.q.Create(args[0])
	c.s.changeSettings(args[0], func(one *settings) { one.Created = true })
	return []byte(wire.ReplyOK)
}

// adminDrop forgets a function with the jobs that wait, as gearmand does. The
// reply says how many, if there were some.
func (c *conn) adminDrop(now int64, args [][]byte) []byte {
	q := c.s.q
	if c.s.loading {
		return okOrErr(errLoading)
	}
	if err := q.Idle(args[0]); err != nil {
		return okOrErr(err)
	}
	function, last, total := bytes.Clone(args[0]), q.LastSeq(), 0
	p := &pages{
		step: func(now int64, most int) bool {
			if q.Idle(function) != nil {
				return false
			}
			n, err := q.Purge(now, function, last, most)
			total += n
			return err == nil && n == most
		},
		end: func() []byte {
			if err := c.s.drop(function); err != nil || total == 0 {
				return okOrErr(err)
			}
			return fmt.Appendf(nil, "OK %d\r\n", total)
		},
	}
	return p.run(c, now)
}

// okOrErr answers a change to a function.
func okOrErr(err error) []byte {
	switch {
	case err == nil:
		return []byte(wire.ReplyOK)
	case errors.Is(err, queue.ErrNoFunction):
		return []byte(wire.ReplyNoFunction)
	case errors.Is(err, queue.ErrInUse):
		return []byte(wire.ReplyFunctionInUse)
	}
	return fmt.Appendf(nil, "ERR %s\r\n", oneLine(err))
}

// adminMaxQueue takes one limit for all priorities or three of them. A limit
// that is no number, or is negative, is none.
func (c *conn) adminMaxQueue(_ int64, args [][]byte) []byte {
	if err := checkFunction(args[0]); err != nil {
		return okOrErr(err)
	}
	var limits [3]int
	for i, arg := range args[1:min(len(args), 4)] {
		n, _ := strconv.Atoi(string(arg))
		limits[i] = max(n, 0)
	}
	if len(args) == 2 {
		limits[1], limits[2] = limits[0], limits[0]
	}
	if err := checkFunction(args[0]); err != nil {
		return okOrErr(err)
	}
	if err := c.s.errSettingsUnread(); err != nil {
		return okOrErr(err)
	}
	c.s.q.SetLimits(args[0], limits)
	c.s.changeSettings(args[0], func(one *settings) { one.Limits = limits })
	return []byte(wire.ReplyOK)
}

func (c *conn) adminPID(int64, [][]byte) []byte { return fmt.Appendf(nil, "OK %d\n", os.Getpid()) }

func (c *conn) adminVersion(int64, [][]byte) []byte {
	return fmt.Appendf(nil, "OK %s\n", c.s.cfg.Version)
}

// adminVerbose answers the log level in gearmand's words.
func (c *conn) adminVerbose(int64, [][]byte) []byte {
	return fmt.Appendf(nil, "OK %s\n", c.s.verbosity())
}

func (c *conn) adminShutdown(_ int64, args [][]byte) []byte {
	graceful := len(args) == 1 && equalFold("graceful", args[0])
	if len(args) > 0 && !graceful {
		return missingArgs([]byte(wire.CmdShutdown))
	}
	if c.s.shutdown == nil {
		return []byte("ERR NOT_ALLOWED\r\n")
	}
	c.s.note(slog.LevelInfo, "shutdown asked for", slog.String("peer", c.addr), slog.Bool("graceful", graceful))
	go c.s.shutdown(graceful)
	return []byte(wire.ReplyOK)
}
