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
	min, max int    // numbers of arguments
	help     string
	changes  bool                                           // it changes something, and is logged
	run      func(c *conn, now int64, args [][]byte) []byte // returns the reply; nil is help
}

// many is the maximum of a command that ignores further arguments.
const many = wire.MaxLine

// commands has all commands, in the order of help.
var commands = [...]command{
	{wire.CmdStatus, "", 0, many, "a row for each function: name, jobs, running, workers", false, (*conn).adminStatus},
	{wire.CmdPriorityStatus, "", 0, many, "a row for each function: name, waiting high, normal, low, workers", false, (*conn).adminPriorityStatus},
	{wire.CmdWorkers, "", 0, many, "a row for each connection: fd, address, id, functions", false, (*conn).adminWorkers},
	{wire.CmdShowJobs, "", 0, 0, "a row for each job: handle, attempts, ignored, queued", false, (*conn).adminShowJobs},
	{wire.CmdShowUniqueJobs, "", 0, 0, "a row for each job with a unique: the unique", false, (*conn).adminShowUniqueJobs},
	{wire.CmdCancelJob, "HANDLE", 1, 1, "drop a waiting job; a running one goes on", true, (*conn).adminCancel},
	{wire.CmdCancelRunning, "HANDLE", 1, 1, "drop a waiting job; ask the worker of a running one to stop it", true, (*conn).adminCancelRunning},
	{wire.CmdCreateFunction, "FUNCTION", 1, 1, "make a function known", true, (*conn).adminCreate},
	{wire.CmdDropFunction, "FUNCTION", 1, 1, "forget a function without workers, and its waiting jobs", true, (*conn).adminDrop},
	{wire.CmdMaxQueue, "FUNCTION [MAX | HIGH NORMAL LOW]", 1, many, "limit the jobs of a function; no number or 0 means no limit", true, (*conn).adminMaxQueue},
	{wire.CmdGetPID, "", 0, many, "the process id of the server", false, (*conn).adminPID},
	{wire.CmdVerbose, "", 0, many, "the log level", false, (*conn).adminVerbose},
	{wire.CmdVersion, "", 0, many, "the version of the server", false, (*conn).adminVersion},
	{wire.CmdShutdown, "[graceful]", 0, 1, "stop the server; graceful lets running jobs end", false, (*conn).adminShutdown},
	{wire.CmdStats, "", 0, many, "JSON: the server, then a line for each function", false, (*conn).adminStats},
	{wire.CmdJobs, "[FUNCTION|- [STATE|- [LIMIT [AFTER]]]]", 0, 4, "JSON: a line for each job after the handle AFTER; STATE is waiting, delayed, running or dead", false, (*conn).adminJobs},
	{wire.CmdJob, "HANDLE [payload]", 1, 2, "JSON: one job; then its payload", false, (*conn).adminJob},
	{wire.CmdRetryJob, "HANDLE", 1, 1, "make a dead job wait again", true, (*conn).adminRetryJob},
	{wire.CmdRetryAll, "FUNCTION", 1, 1, "make all dead jobs of a function wait again", true, (*conn).adminRetryAll},
	{wire.CmdPurgeDead, "FUNCTION", 1, 1, "forget the dead jobs of a function", true, (*conn).adminPurgeDead},
	{wire.CmdPolicy, "FUNCTION [RETRIES[,MIN..MAX]|-]", 1, 2, "show or set how the failed jobs of a function are retried", true, (*conn).adminPolicy},
	{wire.CmdWait, "HANDLE...", 1, many, "JSON: a line for each job when it ends", false, (*conn).adminWait},
	{wire.CmdFollow, "HANDLE", 1, 1, "JSON: a line for each packet of the worker of a job, then one for its end", false, (*conn).adminFollow},
	{wire.CmdFront, "HANDLE", 1, 1, "move a waiting job to the head of its queue", true, (*conn).adminFront},
	{wire.CmdResult, "HANDLE", 1, 1, "JSON: the end of a job, then its result", false, (*conn).adminResult},
	{wire.CmdSessions, "", 0, many, "JSON: a line for each connection", false, (*conn).adminSessions},
	{wire.CmdPause, "FUNCTION", 1, 1, "hand out no jobs of a function", true, (*conn).adminPause},
	{wire.CmdResume, "FUNCTION", 1, 1, "hand out the jobs of a function again", true, (*conn).adminResume},
	{wire.CmdPurge, "FUNCTION", 1, 1, "drop the waiting and delayed jobs of a function", true, (*conn).adminPurge},
	{wire.CmdHelp, "", 0, many, "this list", false, nil},
}

// admin answers one line of the admin protocol. Errors have the texts of gearmand. An
// empty line is an unknown command, as in gearmand.
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
	c.reply().sendText(reply)
}

// missingArgs returns the reply to a command with missing arguments, or with an invalid
// one.
func missingArgs(word []byte) []byte {
	return fmt.Appendf(nil, wire.ReplyMissingArgs, wire.AppendName(nil, string(word)))
}

// change runs a command that changes something, and answers when the store has the
// change.
func (c *conn) change(now int64, cmd *command, args [][]byte, line string) {
	s := c.s
	before := s.commit.position()
	reply := cmd.run(c, now, args) // nil if it comes later
	if reply == nil || bytes.HasPrefix(reply, []byte("OK")) {
		s.logChange(c.addr, line)
	}
	switch {
	case reply == nil:
	case s.commit.position() != before:
		c.replyOnceStored(reply, before)
	default:
		c.reply().sendText(reply)
	}
}

// replyOnceStored answers with reply when the store has everything that was put
// into batches since a position, or with the error of the store: then the change
// holds nevertheless, and is stored when the store works again.
func (c *conn) replyOnceStored(reply []byte, since position) {
	later := c.laterReply()
	c.s.commit.whenStored(since, func(_ int64, err error) {
		if err != nil {
			reply = okOrErr(notStoredError{err})
		}
		later.sendText(reply)
	})
}

// replyWhenDone starts an operation and returns the text of its reply. It returns nil
// if the operation calls answer later: then the connection gets the reply at that
// time.
// The lock is held.
func (c *conn) replyWhenDone(start func(answer func(text []byte))) (text []byte) {
	var later reply
	start(func(answer []byte) {
		if later.c != nil {
			later.sendText(answer)
		} else {
			text = answer
		}
	})
	if text == nil {
		later = c.laterReply()
	}
	return text
}

// okOrErr returns the reply to a change that has ended with err, or nil.
func okOrErr(err error) []byte {
	switch {
	case err == nil:
		return []byte(wire.ReplyOK)
	case errors.Is(err, ErrUnknownJob):
		return []byte(wire.ReplyUnknownJob)
	case errors.Is(err, queue.ErrNoFunction):
		return []byte(wire.ReplyNoFunction)
	case errors.Is(err, queue.ErrInUse):
		return []byte(wire.ReplyFunctionInUse)
	}
	return fmt.Appendf(nil, "ERR %s\r\n", errorWords(err))
}

// countOrErr returns the reply to a change of n jobs.
func countOrErr(n int, err error) []byte {
	if err != nil {
		return okOrErr(err)
	}
	return fmt.Appendf(nil, "OK %d\r\n", n)
}

// errorWords returns an error as the text of an ERR line.
func errorWords(err error) string {
	var notStored notStoredError
	var notWaiting notWaitingError
	switch {
	case errors.As(err, &notStored):
		return "NOT_STORED " + oneLine(notStored.error)
	case errors.As(err, &notWaiting):
		return "NOT_WAITING " + notWaiting.Error()
	case errors.Is(err, ErrLoading):
		return "LOADING " + ErrLoading.Error()
	}
	return oneLine(err)
}

// ErrNotStored is matched by the error of a change that the store has not taken.
// Such a change holds, and is stored later, except the retry of a dead job: that
// job stays dead.
var ErrNotStored = errors.New("not stored")

// notStoredError is the reason why the store has not taken a change.
type notStoredError struct{ error }

func (e notStoredError) Error() string        { return "not stored: " + e.error.Error() }
func (e notStoredError) Unwrap() error        { return e.error }
func (e notStoredError) Is(target error) bool { return target == ErrNotStored }

// oneLine returns the text of an error without line ends.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// isList reports whether the command answers with a list of all jobs or functions. A
// client takes such a list for complete.
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

// matches returns the number of words in the command's name, 0 if words do not begin
// with that name.
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

func (c *conn) adminStatus(now int64, _ [][]byte) []byte {
	return answerRows(c, now, nil, c.s.functionsListing(), func(dst []byte, f *queue.FunctionSnapshot) []byte {
		return wire.FunctionStatus{
			Function: f.Function, Total: f.Total(), Running: f.Running, Workers: f.Workers,
		}.Append(dst)
	})
}

func (c *conn) adminPriorityStatus(now int64, _ [][]byte) []byte {
	return answerRows(c, now, nil, c.s.functionsListing(), func(dst []byte, f *queue.FunctionSnapshot) []byte {
		return wire.PriorityStatus{
			Function: f.Function, High: f.High, Normal: f.Normal + f.Delayed, // as gearmand counts them
			Low: f.Low, Workers: f.Workers,
		}.Append(dst)
	})
}

func (c *conn) adminWorkers(now int64, _ [][]byte) []byte {
	return answerRows(c, now, nil, c.s.connsListing(false),
		func(dst []byte, row *wire.Session) []byte { return workerRow(row).Append(dst) })
}

func (c *conn) adminShowJobs(now int64, _ [][]byte) []byte {
	return answerRows(c, now, nil, c.s.jobInfosListing(),
		func(dst []byte, j *wire.JobInfo) []byte { return j.Append(dst) })
}

func (c *conn) adminShowUniqueJobs(now int64, _ [][]byte) []byte {
	return answerRows(c, now, nil, c.s.uniquesListing(),
		func(dst []byte, unique *string) []byte { return append(wire.AppendText(dst, *unique), '\n') })
}

func (c *conn) adminCancel(now int64, args [][]byte) []byte {
	return c.replyWhenDone(func(answer func(reply []byte)) {
		c.s.cancelJob(now, args[0], func(err error) { answer(okOrErr(err)) })
	})
}

// adminCancelRunning also answers whether a running job stops or runs on.
func (c *conn) adminCancelRunning(now int64, args [][]byte) []byte {
	return c.replyWhenDone(func(answer func(reply []byte)) {
		c.s.stopJob(now, args[0], func(state string, err error) {
			if err != nil || state == "" {
				answer(okOrErr(err))
				return
			}
			answer(fmt.Appendf(nil, "OK %s\r\n", state))
		})
	})
}

// adminFront moves a waiting job to the head of its queue.
func (c *conn) adminFront(_ int64, args [][]byte) []byte { return okOrErr(c.s.moveToFront(args[0])) }

// adminRetryJob makes one dead job wait again.
func (c *conn) adminRetryJob(now int64, args [][]byte) []byte {
	return c.replyWhenDone(func(answer func(reply []byte)) {
		c.s.retryJob(now, args[0], func(err error) { answer(okOrErr(err)) })
	})
}

// adminRetryAll makes all dead jobs of a function wait again.
func (c *conn) adminRetryAll(now int64, args [][]byte) []byte {
	t, err := c.s.retryTask(args[0])
	return c.answerTask(now, t, err, func(n int, err error) []byte {
		if err != nil && n > 0 {
			return fmt.Appendf(nil, "ERR %s (%d are retried)\r\n", errorWords(err), n)
		}
		return countOrErr(n, err)
	})
}

// adminPurgeDead forgets all dead jobs of a function.
func (c *conn) adminPurgeDead(now int64, args [][]byte) []byte {
	t, err := c.s.purgeDeadTask(args[0])
	return c.answerTask(now, t, err, countOrErr)
}

// adminPurge drops the waiting and delayed jobs of a function.
func (c *conn) adminPurge(now int64, args [][]byte) []byte {
	t, err := c.s.purgeTask(args[0])
	return c.answerTask(now, t, err, countOrErr)
}

// adminDrop forgets a function with its waiting jobs. The reply has their number
// if there are any.
func (c *conn) adminDrop(now int64, args [][]byte) []byte {
	t, err := c.s.dropTask(args[0])
	return c.answerTask(now, t, err, func(n int, err error) []byte {
		if n == 0 {
			return okOrErr(err)
		}
		return countOrErr(n, err)
	})
}

func (c *conn) adminPause(now int64, args [][]byte) []byte {
	return okOrErr(c.s.pauseFunction(now, args[0], true))
}

func (c *conn) adminResume(now int64, args [][]byte) []byte {
	return okOrErr(c.s.pauseFunction(now, args[0], false))
}

func (c *conn) adminCreate(_ int64, args [][]byte) []byte {
	if checkFunction(args[0]) != nil {
		return fmt.Appendf(nil, "ERR CREATE_FUNCTION %s\r\n", wire.AppendName(nil, string(args[0])))
	}
	return okOrErr(c.s.createFunction(args[0]))
}

// adminMaxQueue sets one limit for all priorities or three of them. A limit that is no
// number, or is negative, means no limit.
func (c *conn) adminMaxQueue(_ int64, args [][]byte) []byte {
	var limits [3]int
	for i, arg := range args[1:min(len(args), 4)] {
		n, _ := strconv.Atoi(string(arg))
		limits[i] = max(n, 0)
	}
	if len(args) == 2 {
		limits[1], limits[2] = limits[0], limits[0]
	}
	return okOrErr(c.s.limitFunction(args[0], limits))
}

// adminPolicy answers with the policy of a function, or sets it.
func (c *conn) adminPolicy(_ int64, args [][]byte) []byte {
	if len(args) == 1 {
		switch p, err := c.s.policyOf(args[0]); {
		case err != nil:
			return okOrErr(err)
		case p != nil:
			return fmt.Appendf(nil, "OK %s\r\n", p)
		}
		return []byte("OK -\r\n")
	}
	if err := c.s.errPolicyFixed(args[0]); err != nil {
		return okOrErr(err)
	}
	var policy *queue.Policy
	if value := string(args[1]); value != "-" {
		p, err := ParsePolicy(value)
		if err != nil {
			return okOrErr(err)
		}
		policy = p.toQueue()
	}
	return okOrErr(c.s.setPolicy(args[0], policy))
}

func (c *conn) adminPID(int64, [][]byte) []byte { return fmt.Appendf(nil, "OK %d\n", os.Getpid()) }

func (c *conn) adminVersion(int64, [][]byte) []byte {
	return fmt.Appendf(nil, "OK %s\n", c.s.cfg.Version)
}

// adminVerbose answers with the log level, as gearmand names it.
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
	c.s.logAfterTurn(slog.LevelInfo, "shutdown asked for", slog.String("peer", c.addr), slog.Bool("graceful", graceful))
	go c.s.shutdown(graceful)
	return []byte(wire.ReplyOK)
}
