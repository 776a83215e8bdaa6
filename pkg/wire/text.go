package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Admin commands of every Gearman server, as a request writes them. Blanks
// separate words and case does not matter; see [Words] for quotes, which only
// gm's server knows.
const (
	CmdStatus         = "status"
	CmdPriorityStatus = "prioritystatus"
	CmdWorkers        = "workers"
	CmdMaxQueue       = "maxqueue"
	CmdCreateFunction = "create function"
	CmdDropFunction   = "drop function"
	CmdCancelJob      = "cancel job"
	CmdShowJobs       = "show jobs"
	CmdShowUniqueJobs = "show unique jobs"
	CmdGetPID         = "getpid"
	CmdVerbose        = "verbose"
	CmdVersion        = "version"
	CmdShutdown       = "shutdown"
)

// Fixed replies. Answers to changes end with CRLF, answers to queries with LF.
// The texts are gearmand's, because scripts compare them.
const (
	ReplyOK             = "OK\r\n"
	ReplyEnd            = ".\n"
	ReplyUnknownCommand = "ERR UNKNOWN_COMMAND Unknown+server+command%s\r\n"
	ReplyMissingArgs    = "ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+%s\r\n"
	ReplyUnknownShow    = "ERR UNKNOWN_SHOW_ARGUMENTS\r\n"
	ReplyUnknownJob     = "ERR UNKNOWN_JOB\r\n"
	ReplyNoFunction     = "ERR function not found\r\n"
	ReplyFunctionInUse  = "ERR there are still connected workers or executing clients\r\n"
)

// FunctionStatus is one row of status.
type FunctionStatus struct {
	Function string
	Total    int // jobs waiting and running
	Running  int // jobs that workers hold
	Workers  int // connections that can do the function
}

// Append appends the row as gearmand writes it; see [AppendName] for the name.
func (f FunctionStatus) Append(dst []byte) []byte {
	dst = AppendName(dst, f.Function)
	return appendInts(dst, f.Total, f.Running, f.Workers)
}

// ParseFunctionStatus reads a row of status, without its line end. The name is
// the text before the last three tabs.
func ParseFunctionStatus(line []byte) (FunctionStatus, error) {
	name, n, err := splitInts(line, 3)
	if err != nil {
		return FunctionStatus{}, fmt.Errorf("status row %q: %w", line, err)
	}
	return FunctionStatus{Function: ParseName(name), Total: n[0], Running: n[1], Workers: n[2]}, nil
}

// PriorityStatus is one row of prioritystatus: the waiting jobs by priority.
type PriorityStatus struct {
	Function          string
	High, Normal, Low int
	Workers           int
}

// Append appends the row as gearmand writes it; see [AppendName] for the name.
func (f PriorityStatus) Append(dst []byte) []byte {
	dst = AppendName(dst, f.Function)
	return appendInts(dst, f.High, f.Normal, f.Low, f.Workers)
}

// ParsePriorityStatus reads a row of prioritystatus, without its line end.
func ParsePriorityStatus(line []byte) (PriorityStatus, error) {
	name, n, err := splitInts(line, 4)
	if err != nil {
		return PriorityStatus{}, fmt.Errorf("prioritystatus row %q: %w", line, err)
	}
	return PriorityStatus{Function: ParseName(name), High: n[0], Normal: n[1], Low: n[2], Workers: n[3]}, nil
}

// WorkerInfo is one row of workers: a connection of a worker or of anything
// else.
type WorkerInfo struct {
	FD        int
	Addr      string // without a port
	ID        string // "-" if the connection gave none
	Functions []string
}

// Append appends the row as gearmand writes it.
func (w WorkerInfo) Append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(w.FD), 10)
	dst = append(append(dst, ' '), w.Addr...)
	dst = AppendName(append(dst, ' '), w.ID)
	dst = append(dst, " :"...)
	for _, f := range w.Functions {
		dst = AppendWord(append(dst, ' '), f)
	}
	return append(dst, '\n')
}

// ParseWorkerInfo reads a row of workers, without its line end. Addresses and
// IDs may contain colons, and gearmand takes IDs with blanks: the functions
// begin after the first colon that stands between blanks and is not the ID.
// gearmand writes a function whose name has a blank as two functions.
func ParseWorkerInfo(line []byte) (WorkerInfo, error) {
	bad := func(why string) (WorkerInfo, error) {
		return WorkerInfo{}, fmt.Errorf("workers row %q: %s", line, why)
	}
	number, rest, _ := strings.Cut(string(line)+" ", " ")
	fd, err := strconv.Atoi(number)
	if err != nil {
		return bad("no file descriptor")
	}
	addr, rest, ok := strings.Cut(rest, " ")
	if !ok {
		return bad("no address")
	}
	id, functions, ok := strings.Cut(rest, " : ")
	if !ok { // some servers leave out an unknown ID
		id = ""
		if functions, ok = strings.CutPrefix(rest, ": "); !ok {
			return bad("no colon before the functions")
		}
	}
	blank := func(r rune) bool { return r == ' ' }
	names := strings.FieldsFunc(functions, blank)
	for i, name := range names {
		names[i] = ParseName(name)
	}
	return WorkerInfo{FD: fd, Addr: addr, ID: ParseName(id), Functions: names}, nil
}

// JobInfo is one row of show jobs.
type JobInfo struct {
	Handle   string
	Attempts int  // how often a worker has lost the job
	Ignored  bool // the server will discard its result: it was cancelled, or no client waits
	Queued   bool // it waits for a worker
}

// Append appends the row as gearmand writes it.
func (j JobInfo) Append(dst []byte) []byte {
	dst = AppendName(dst, j.Handle)
	return appendInts(dst, j.Attempts, toInt(j.Ignored), toInt(j.Queued))
}

// ParseJobInfo reads a row of show jobs, without its line end.
func ParseJobInfo(line []byte) (JobInfo, error) {
	name, n, err := splitInts(line, 3)
	if err != nil {
		return JobInfo{}, fmt.Errorf("jobs row %q: %w", line, err)
	}
	return JobInfo{Handle: ParseName(name), Attempts: n[0], Ignored: n[1] != 0, Queued: n[2] != 0}, nil
}

// ErrReply is an ERR line of an admin connection, without "ERR " and the line
// end.
type ErrReply string

func (e ErrReply) Error() string { return "server says " + string(e) }

// Unknown reports whether the server does not have the command. The Perl server
// writes it in lower case.
func (e ErrReply) Unknown() bool {
	word, _, _ := strings.Cut(string(e), " ")
	return strings.EqualFold(word, "UNKNOWN_COMMAND")
}

// ParseReply parses a line that answers OK or ERR, and returns the text after
// OK. It returns an ERR line as an ErrReply.
func ParseReply(line []byte) (string, error) {
	s := strings.TrimRight(string(line), "\r\n")
	switch {
	case s == "OK":
		return "", nil
	case strings.HasPrefix(s, "OK "):
		return s[3:], nil
	case strings.HasPrefix(s, "ERR "):
		return "", ErrReply(s[4:])
	case s == "ERR":
		return "", ErrReply("ERR")
	}
	return "", fmt.Errorf("%w: admin reply %q", ErrMalformed, s)
}

// IsEnd reports whether line, without its end, is the "." that ends a list.
func IsEnd(line []byte) bool { return len(line) == 1 && line[0] == '.' }

var errColumns = errors.New("too few columns")

// splitInts cuts n numbers from the end of a tab-separated row.
func splitInts(line []byte, n int) (name string, nums [4]int, err error) {
	for i := n - 1; i >= 0; i-- {
		tab := bytes.LastIndexByte(line, '\t')
		if tab < 0 {
			return "", nums, errColumns
		}
		if nums[i], err = strconv.Atoi(string(line[tab+1:])); err != nil {
			return "", nums, err
		}
		line = line[:tab]
	}
	return string(line), nums, nil
}

func appendInts(dst []byte, nums ...int) []byte {
	for _, n := range nums {
		dst = strconv.AppendInt(append(dst, '\t'), int64(n), 10)
	}
	return append(dst, '\n')
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
