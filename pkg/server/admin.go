package server

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// command is one command of the text admin protocol.
type command struct {
	name string // one to three words
	args string // for help
	min  int    // fewer arguments are refused
	help string
	run  func(c *conn, now int64, args [][]byte) []byte // returns the reply
}

// commands are all of them, in the order of help.
var commands []command

func init() { // not where it is declared: help refers to it
	commands = []command{
		{wire.CmdStatus, "", 0, "a row a function: name, jobs, running, workers", (*conn).adminStatus},
		{wire.CmdPriorityStatus, "", 0, "a row a function: name, waiting high, normal, low, workers", (*conn).adminPriorityStatus},
		{wire.CmdWorkers, "", 0, "a row a connection: fd, address, id, functions", (*conn).adminWorkers},
		{wire.CmdShowJobs, "", 0, "a row a job: handle, attempts, ignored, queued", (*conn).adminShowJobs},
		{wire.CmdShowUniqueJobs, "", 0, "a row a job that has one: its unique", (*conn).adminShowUniqueJobs},
		{wire.CmdCancelJob, "HANDLE", 1, "drop a waiting job; a running one runs on", (*conn).adminCancel},
		{wire.CmdCreateFunction, "FUNCTION", 1, "make a function known", (*conn).adminCreate},
		{wire.CmdDropFunction, "FUNCTION", 1, "forget a function without jobs and workers", (*conn).adminDrop},
		{wire.CmdMaxQueue, "FUNCTION [MAX | HIGH NORMAL LOW]", 1, "limit a function's jobs; no number or 0 for no limit", (*conn).adminMaxQueue},
		{wire.CmdGetPID, "", 0, "the server's process id", (*conn).adminPID},
		{wire.CmdVerbose, "", 0, "the log level", (*conn).adminVerbose},
		{wire.CmdVersion, "", 0, "the server's version", (*conn).adminVersion},
		{wire.CmdShutdown, "[graceful]", 0, "stop the server; graceful lets running jobs end", (*conn).adminShutdown},
		{wire.CmdStats, "", 0, "JSON: the server, then a line a function", (*conn).adminStats},
		{wire.CmdJobs, "[FUNCTION|- [STATE|- [LIMIT]]]", 0, "JSON: a line a job; STATE is waiting, delayed or running", (*conn).adminJobs},
		{wire.CmdJob, "HANDLE", 1, "JSON: one job", (*conn).adminJob},
		{wire.CmdSessions, "", 0, "JSON: a line a connection", (*conn).adminSessions},
		{wire.CmdPause, "FUNCTION", 1, "hand out none of a function's jobs", (*conn).adminPause},
		{wire.CmdResume, "FUNCTION", 1, "hand them out again", (*conn).adminResume},
		{wire.CmdPurge, "FUNCTION", 1, "drop a function's waiting and delayed jobs", (*conn).adminPurge},
		{wire.CmdHelp, "", 0, "this list", (*conn).adminHelp},
	}
}

// admin answers one line of the admin protocol.
func (c *conn) admin(now int64, line []byte) {
	words := wire.Words(line)
	if len(words) == 0 {
		return
	}
	cmd, args := findCommand(words)
	var reply []byte
	switch {
	case cmd == nil && strings.EqualFold(string(words[0]), "show"):
		reply = []byte(wire.ReplyUnknownShow)
	case cmd == nil && isFirstWord(words[0]):
		reply = fmt.Appendf(nil, wire.ReplyMissingArgs, words[0])
	case cmd == nil:
		reply = fmt.Appendf(nil, wire.ReplyUnknownCommand, words[0])
	case len(args) < cmd.min:
		reply = fmt.Appendf(nil, wire.ReplyMissingArgs, words[0])
	default:
		reply = cmd.run(c, now, args)
	}
	c.s.cfg.Trace.Line(c.addr, false, string(reply))
	c.sendText(reply)
}

// findCommand finds the command with the most words that match.
func findCommand(words [][]byte) (*command, [][]byte) {
	var best *command
	n := 0
	for i := range commands {
		name := strings.Fields(commands[i].name)
		if len(name) > n && len(name) <= len(words) && slices.EqualFunc(name, words[:len(name)], equalFold) {
			best, n = &commands[i], len(name)
		}
	}
	return best, words[n:]
}

func isFirstWord(word []byte) bool {
	return slices.ContainsFunc(commands, func(cmd command) bool {
		first, _, more := strings.Cut(cmd.name, " ")
		return more && equalFold(first, word)
	})
}

func equalFold(name string, word []byte) bool { return strings.EqualFold(name, string(word)) }

func (c *conn) adminStatus(now int64, _ [][]byte) []byte {
	var b []byte
	for _, f := range c.s.q.Snapshot(now) {
		b = wire.FunctionStatus{
			Function: f.Function, Total: f.Total(), Running: f.Running, Workers: f.Workers,
		}.Append(b)
	}
	return append(b, wire.ReplyEnd...)
}

func (c *conn) adminPriorityStatus(now int64, _ [][]byte) []byte {
	var b []byte
	for _, f := range c.s.q.Snapshot(now) {
		b = wire.PriorityStatus{
			Function: f.Function, High: f.High, Normal: f.Normal, Low: f.Low, Workers: f.Workers,
		}.Append(b)
	}
	return append(b, wire.ReplyEnd...)
}

func (c *conn) adminWorkers(int64, [][]byte) []byte {
	var b []byte
	for _, other := range c.s.connsInOrder() {
		b = wire.WorkerInfo{
			FD: other.sock.fd(), Addr: other.host(), ID: other.id, Functions: other.peer.Functions(),
		}.Append(b)
	}
	return append(b, wire.ReplyEnd...)
}

func (s *Server) connsInOrder() []*conn {
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	slices.SortFunc(conns, func(a, b *conn) int { return a.since.Compare(b.since) })
	return conns
}

func (c *conn) adminShowJobs(int64, [][]byte) []byte {
	var b []byte
	c.s.q.Jobs(func(j *queue.Job) bool {
		b = wire.JobInfo{
			Handle: j.Handle(), Attempts: j.Attempts(), Ignored: j.Ignored(), Queued: j.State() == queue.Waiting,
		}.Append(b)
		return true
	})
	return append(b, wire.ReplyEnd...)
}

func (c *conn) adminShowUniqueJobs(int64, [][]byte) []byte {
	var b []byte
	c.s.q.Jobs(func(j *queue.Job) bool {
		if u := j.Unique(); len(u) > 0 {
			b = append(append(b, u...), '\n')
		}
		return true
	})
	return append(b, wire.ReplyEnd...)
}

func (c *conn) adminCancel(now int64, args [][]byte) []byte {
	j := c.s.q.Lookup(args[0])
	if j == nil {
		return []byte(wire.ReplyUnknownJob)
	}
	c.s.q.Cancel(now, j)
	return []byte(wire.ReplyOK)
}

func (c *conn) adminCreate(_ int64, args [][]byte) []byte {
	if err := checkFunction(args[0]); err != nil {
		return fmt.Appendf(nil, "ERR CREATE_FUNCTION %s\r\n", args[0])
	}
	c.s.q.Create(args[0])
	return []byte(wire.ReplyOK)
}

func (c *conn) adminDrop(_ int64, args [][]byte) []byte {
	return okOrErr(c.s.q.Drop(args[0]))
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
	return fmt.Appendf(nil, "ERR %s\r\n", err)
}

// adminMaxQueue takes one limit for all priorities or three of them. A limit
// that is no number, or is negative, is none.
func (c *conn) adminMaxQueue(_ int64, args [][]byte) []byte {
	var limits [3]int
	for i, arg := range args[1:min(len(args), 4)] {
		n, _ := strconv.Atoi(string(arg))
		limits[i] = max(n, 0)
	}
	if len(args) == 2 {
		limits[1], limits[2] = limits[0], limits[0]
	}
	c.s.q.SetLimits(args[0], limits)
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
		return fmt.Appendf(nil, wire.ReplyMissingArgs, wire.CmdShutdown)
	}
	if c.s.shutdown == nil {
		return []byte("ERR NOT_ALLOWED\r\n")
	}
	c.s.log.Info("shutdown asked for", "peer", c.addr, "graceful", graceful)
	go c.s.shutdown(graceful)
	return []byte(wire.ReplyOK)
}

func (c *conn) adminHelp(int64, [][]byte) []byte {
	var b []byte
	for _, cmd := range commands {
		b = fmt.Appendf(b, "%-52s %s\n", strings.TrimSpace(cmd.name+" "+cmd.args), cmd.help)
	}
	return append(b, wire.ReplyEnd...)
}
