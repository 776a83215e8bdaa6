package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"gm/pkg/gearman"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// Exit codes. They follow sysexits.h, timeout(1) and the shell.
const (
	exitOK            = 0
	exitFailed        = 1
	exitUsage         = 2
	exitUnknown       = 3
	exitNoServer      = 69
	exitIO            = 74
	exitAgain         = 75
	exitProtocol      = 76
	exitRefused       = 77
	exitTimeout       = 124
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // plus the signal's number
)

// exitTexts is what help and manual pages say of each code.
var exitTexts = map[int]string{
	exitOK:            "done",
	exitFailed:        "a job failed, or a store is damaged",
	exitUsage:         "wrong usage or configuration",
	exitUnknown:       "unknown job or function, or no worker where one was required",
	exitNoServer:      "no server could be reached",
	exitIO:            "reading or writing failed",
	exitAgain:         "try again: lost in mid-job, queue full, or in use",
	exitProtocol:      "the other end breaks the protocol",
	exitRefused:       "refused",
	exitTimeout:       "the time was up",
	exitNotExecutable: "the worker's command is not executable",
	exitNotFound:      "the worker's command was not found",
	exitSignal:        "128+n: ended by signal n",
}

// exitError is an error with the exit code and the hint that go with it.
type exitError struct {
	code int
	err  error  // nil: nothing is printed
	hint string // empty: none
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith returns err with an exit code. A nil err is a silent exit.
func exitWith(code int, err error) error { return &exitError{code: code, err: err} }

// usageErrorf returns an error that exits with 2.
func usageErrorf(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// withHint returns err with a line that tells what to do about it.
func withHint(err error, hint string) error {
	return &exitError{code: exitCode(err), err: err, hint: hint}
}

// signalError is the end of a verb by a signal.
type signalError struct{ sig syscall.Signal }

func (e *signalError) Error() string { return "ended by signal: " + e.sig.String() }

// output is stdout. It marks its errors, so that a broken pipe of stdout is
// told from one of a connection.
type output struct{ io.Writer }

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = &outputError{err}
	}
	return n, err
}

// outputError is a failure to write to stdout.
type outputError struct{ err error }

func (e *outputError) Error() string { return "write to stdout: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// report prints err and its hint on stderr and returns the exit code.
func (e *env) report(err error) int {
	code := exitCode(err)
	if text := message(err); text != "" {
		for line := range strings.SplitSeq(printable(text, true), "\n") {
			e.printMessage("gm: ", line)
		}
		hint := hintFor(err)
		if hint == "" && code == exitUsage && e.verb != "" {
			hint = "gm " + e.verb + " -h shows how it is used"
		}
		if hint != "" {
			e.printMessage("hint: ", hint)
		}
	}
	return code
}

// printMessage prints a line on stderr after a prefix. On a terminal it is folded
// at blanks if it is too long, so that no word is cut.
func (e *env) printMessage(prefix, line string) {
	width, _ := terminalSize(e.stderr)
	if width > 0 && textWidth(prefix+line) > width {
		line = strings.TrimSpace(line)
		fmt.Fprint(e.stderr, wrap(line, prefix, strings.Repeat(" ", len(prefix)), width))
		return
	}
	fmt.Fprintf(e.stderr, "%s%s\n", prefix, line)
}

// message returns what err says to a person; empty if it is to be silent.
func message(err error) string {
	var (
		exit *exitError
		out  *outputError
		sig  *signalError
	)
	switch {
	case err == nil, errors.As(err, &sig):
		return ""
	case errors.As(err, &exit) && exit.err == nil:
		return ""
	case errors.As(err, &out) && errors.Is(out, syscall.EPIPE):
		return "" // as any filter whose reader has had enough
	}
	return err.Error()
}

// exitCode returns the exit code of err.
func exitCode(err error) int {
	var (
		exit  *exitError
		sig   *signalError
		out   *outputError
		srv   *gearman.ServerError
		proto *gearman.ProtocolError
		reply wire.ErrReply
		path  *fs.PathError
		link  *os.LinkError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &sig):
		return exitSignal + int(sig.sig)
	case errors.As(err, &out):
		if errors.Is(out, syscall.EPIPE) {
			return exitSignal + int(syscall.SIGPIPE)
		}
		return exitIO
	case resultsCode(err) != exitOK:
		return resultsCode(err)
	case errors.As(err, &proto):
		return exitProtocol
	case errors.Is(err, gearman.ErrNoServer): // also when each took too long to answer
		return exitNoServer
	case errors.Is(err, gearman.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, gearman.ErrLost):
		return exitAgain
	case errors.Is(err, gearman.ErrTooLarge):
		return exitRefused
	case errors.Is(err, gearman.ErrUnknownJob):
		return exitUnknown
	case errors.Is(err, gearman.ErrUnsupported):
		return exitUsage
	case errors.As(err, &srv):
		return serverErrorCode(srv)
	case errors.As(err, &reply):
		return replyCode(reply)
	case errors.Is(err, wire.ErrMalformed):
		return exitProtocol
	case errors.As(err, &path), errors.As(err, &link):
		return exitIO
	}
	return exitFailed
}

// serverErrorCode returns the exit code of an ERROR packet.
func serverErrorCode(err *gearman.ServerError) int {
	switch err.Code {
	case wire.CodeQueueError, wire.CodeShutdown:
		return exitAgain
	case wire.CodeJobNotFound:
		return exitUnknown
	case wire.CodeDataTooLarge, wire.CodeTooLarge, wire.CodeInvalidArgument, wire.CodeInvalidFunction:
		return exitRefused
	}
	return exitProtocol
}

// replyCode returns the exit code of an ERR line of the text protocol.
func replyCode(reply wire.ErrReply) int {
	line := "ERR " + string(reply) + "\r\n"
	switch {
	case line == wire.ReplyUnknownJob, line == wire.ReplyNoFunction:
		return exitUnknown
	case line == wire.ReplyFunctionInUse, reply == "job queue is full":
		return exitAgain
	}
	switch word, _, _ := strings.Cut(string(reply), " "); word {
	case "LOADING", "NOT_STORED", "BUSY", "NOT_WAITING": // of gm serve, whose store needs time
		return exitAgain
	}
	return exitRefused
}

// hintFor returns the hint of err: its own, or the one of its kind.
func hintFor(err error) string {
	for next := err; next != nil; {
		var exit *exitError
		if !errors.As(next, &exit) {
			break
		}
		if exit.hint != "" {
			return exit.hint
		}
		next = exit.err
	}
	var (
		proto   *gearman.ProtocolError
		refused *gearman.ServerError
	)
	switch {
	case errors.As(err, &proto):
		return "see whether that is the address of a Gearman server; -s HOST[:PORT] and GEARMAN_SERVERS name another"
	case errors.Is(err, gearman.ErrNoServer):
		return "start one with gm serve, or name one with -s HOST[:PORT] or GEARMAN_SERVERS"
	case errors.As(err, &refused) && refused.TooLarge():
		return "gm serve --max-payload SIZE raises the server's limit, as gm's own --max-payload does here"
	case errors.As(err, &refused) && refused.QueueFull() && strings.Contains(refused.Text, store.ErrFull.Error()):
		return "make room where the server keeps its queue, or let workers empty it; --reconnect TIME waits for that"
	case errors.As(err, &refused) && refused.QueueFull():
		return "--reconnect TIME waits for room, gm admin maxqueue raises the limit, and more workers empty the queue"
	case errors.Is(err, gearman.ErrTooLarge):
		return "--max-payload raises the limit; the server's must be as high"
	case errors.Is(err, gearman.ErrUnsupported):
		return "only gm serve has this command; other servers have what gm admin help lists for them"
	}
	return cmp.Or(replyHint(err), resultsHint(err), systemHint(err))
}

// replyHint returns the hint for what a server has said, or not said in time.
func replyHint(err error) string {
	var (
		srv   *gearman.ServerError
		reply wire.ErrReply
	)
	switch {
	case errors.Is(err, gearman.ErrUnknownJob):
		return hintUnknownJob
	case errors.As(err, &reply):
		return errReplyHint(reply)
	case errors.As(err, &srv):
		if srv.Code == wire.CodeShutdown {
			return "the server is shutting down: try again, or another with -s"
		}
	case errors.Is(err, gearman.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return "-t gives it more time; gm status shows whether workers are there"
	case errors.Is(err, gearman.ErrLost):
		return "the job may have run; --retries N submits it again"
	}
	return ""
}

const (
	hintUnknownJob      = "gm jobs lists the jobs; gm wait says how one has ended, if gm serve has --keep-results"
	hintUnknownFunction = "gm status lists the functions; gm admin create makes one known"
)

// errReplyHint returns the hint for an ERR line.
func errReplyHint(reply wire.ErrReply) string {
	switch line := "ERR " + string(reply) + "\r\n"; {
	case line == wire.ReplyUnknownJob:
		return hintUnknownJob
	case line == wire.ReplyNoFunction:
		return hintUnknownFunction
	case line == wire.ReplyFunctionInUse:
		return "its workers have to end first: gm workers FUNC lists them"
	case reply == "job queue is full":
		return "gm admin maxqueue changes the limit"
	}
	switch word, _, _ := strings.Cut(string(reply), " "); word {
	case "LOADING":
		return "the server is reading its store: try again soon"
	case "NOT_STORED":
		return "the server's store does not take or give it: see the server's log"
	case "BUSY":
		return "try again soon"
	}
	return ""
}

// systemHint returns the hint for what the system refuses.
func systemHint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "make room on the device, then do it again"
	case errors.Is(err, fs.ErrPermission):
		return "see who may do that: ls -ld shows the permissions of a file and its directory"
	case errors.Is(err, fs.ErrNotExist):
		return "look for a slip in the path"
	}
	return ""
}
