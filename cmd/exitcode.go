package cmd

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"gm/cmd/cli"
	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/results"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// exitTexts are the texts of the codes in help and manual pages.
var exitTexts = map[int]string{
	cli.ExitOK:            "done",
	cli.ExitFailed:        "a job failed, or a store is damaged",
	cli.ExitUsage:         "wrong usage or configuration",
	cli.ExitUnknown:       "unknown job or function, or no worker where one was required",
	cli.ExitNoServer:      "no server could be reached",
	cli.ExitIO:            "reading or writing failed",
	cli.ExitAgain:         "try again: connection lost during a job, queue full, or in use",
	cli.ExitProtocol:      "the other end violates the protocol",
	cli.ExitRefused:       "refused",
	cli.ExitTimeout:       "time limit exceeded",
	cli.ExitNotExecutable: "the worker's command is not executable",
	cli.ExitNotFound:      "the worker's command was not found",
	cli.ExitSignal:        "128+n: ended by signal n",
}

// exitCode returns the exit code of err.
func exitCode(err error) int {
	var (
		exit  *cli.ExitError
		sig   *cli.SignalError
		out   *cli.OutputError
		srv   *gearman.ServerError
		proto *gearman.ProtocolError
		reply wire.ErrReply
		path  *fs.PathError
		link  *os.LinkError
	)
	switch {
	case err == nil:
		return cli.ExitOK
	case errors.As(err, &exit) && exit.Code == cli.CodeOfErr:
		return exitCode(exit.Err)
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &sig):
		return cli.ExitSignal + int(sig.Sig)
	case errors.As(err, &out):
		if errors.Is(out, syscall.EPIPE) {
			return cli.ExitSignal + int(syscall.SIGPIPE)
		}
		return cli.ExitIO
	case resultsCode(err) != cli.ExitOK:
		return resultsCode(err)
	case errors.As(err, &proto):
		return cli.ExitProtocol
	case errors.Is(err, gearman.ErrNoServer): // also when each took too long to answer
		return cli.ExitNoServer
	case errors.Is(err, gearman.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return cli.ExitTimeout
	case errors.Is(err, gearman.ErrLost):
		return cli.ExitAgain
	case errors.Is(err, gearman.ErrTooLarge):
		return cli.ExitRefused
	case errors.Is(err, gearman.ErrUnknownJob):
		return cli.ExitUnknown
	case errors.Is(err, gearman.ErrUnsupported):
		return cli.ExitUsage
	case errors.As(err, &srv):
		return serverErrorCode(srv)
	case errors.As(err, &reply):
		return replyCode(reply)
	case errors.Is(err, wire.ErrMalformed):
		return cli.ExitProtocol
	case errors.As(err, &path), errors.As(err, &link):
		return cli.ExitIO
	}
	return cli.ExitFailed
}

// serverErrorCode returns the exit code of an ERROR packet.
func serverErrorCode(err *gearman.ServerError) int {
	switch err.Code {
	case wire.CodeQueueError, wire.CodeShutdown:
		return cli.ExitAgain
	case wire.CodeJobNotFound:
		return cli.ExitUnknown
	case wire.CodeDataTooLarge, wire.CodeTooLarge, wire.CodeInvalidArgument, wire.CodeInvalidFunction:
		return cli.ExitRefused
	}
	return cli.ExitProtocol
}

// replyCode returns the exit code of an ERR line of the text protocol.
func replyCode(reply wire.ErrReply) int {
	line := "ERR " + string(reply) + "\r\n"
	switch {
	case line == wire.ReplyUnknownJob, line == wire.ReplyNoFunction:
		return cli.ExitUnknown
	case line == wire.ReplyFunctionInUse, reply == "job queue is full":
		return cli.ExitAgain
	}
	switch word, _, _ := strings.Cut(string(reply), " "); word {
	case "LOADING", "NOT_STORED", "BUSY", "NOT_WAITING": // gm serve needs time
		return cli.ExitAgain
	}
	return cli.ExitRefused
}

// hintFor returns the hint of err: its own, or one for its kind.
func hintFor(err error) string {
	if hint := cli.HintOf(err); hint != "" {
		return hint
	}
	var (
		proto   *gearman.ProtocolError
		refused *gearman.ServerError
	)
	switch {
	case errors.As(err, &proto):
		return "check that this is the address of a Gearman server; -s HOST[:PORT] or GEARMAN_SERVERS names another"
	case errors.Is(err, gearman.ErrNoServer):
		return "start one with gm serve, or name one with -s HOST[:PORT] or GEARMAN_SERVERS"
	case errors.As(err, &refused) && refused.TooLarge():
		return "gm serve --max-payload SIZE raises the limit of the server, --max-payload SIZE the limit of this verb"
	case errors.As(err, &refused) && refused.QueueFull() && strings.Contains(refused.Text, store.ErrFull.Error()):
		return "make room on the disk of the server's store, or let workers empty the queue; --reconnect TIME waits for room"
	case errors.As(err, &refused) && refused.QueueFull():
		return "--reconnect TIME waits for room; gm admin maxqueue raises the limit; more workers empty the queue"
	case errors.Is(err, gearman.ErrTooLarge):
		return "--max-payload SIZE raises the limit; the server needs the same limit"
	case errors.Is(err, gearman.ErrUnsupported):
		return "only gm serve has this command; gm admin help lists the commands of other servers"
	}
	return cmp.Or(replyHint(err), resultsHint(err), systemHint(err))
}

// replyHint returns the hint for a reply of a server, or for a missing one.
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
			return "the server is shutting down: try again, or use another with -s"
		}
	case errors.Is(err, gearman.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return "-t TIME allows more time; gm status shows whether there are workers"
	case errors.Is(err, gearman.ErrLost):
		return "the job may have run; --retries N submits it again"
	}
	return ""
}

const (
	hintUnknownJob      = "gm jobs lists the jobs; gm wait reports the end of a job, if gm serve has --keep-results"
	hintUnknownFunction = "gm status lists the functions; gm admin create creates one"
)

// errReplyHint returns the hint for an ERR line.
func errReplyHint(reply wire.ErrReply) string {
	switch line := "ERR " + string(reply) + "\r\n"; {
	case line == wire.ReplyUnknownJob:
		return hintUnknownJob
	case line == wire.ReplyNoFunction:
		return hintUnknownFunction
	case line == wire.ReplyFunctionInUse:
		return "its workers must end first: gm workers FUNC lists them"
	case reply == "job queue is full":
		return "gm admin maxqueue changes the limit"
	}
	switch word, _, _ := strings.Cut(string(reply), " "); word {
	case "LOADING":
		return "the server is reading its store: try again soon"
	case "NOT_STORED":
		return "the store of the server fails: see the log of the server"
	case "BUSY":
		return "try again soon"
	}
	return ""
}

// systemHint returns the hint for an error of the system.
func systemHint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "make room on the device, then try again"
	case errors.Is(err, fs.ErrPermission):
		return "ls -ld shows the permissions of a file and its directory"
	case errors.Is(err, fs.ErrNotExist):
		return "check the spelling of the path"
	}
	return ""
}

// resultsHint returns the hint for an error of writing results.
func resultsHint(err error) string {
	switch {
	case errors.Is(err, results.ErrOutputGone):
		return "append to the output of the first run with >>, or put it back; --new-output goes on without it; to do all again, remove the joblog"
	case errors.Is(err, results.ErrInputChanged):
		return "--resume needs the input and the functions of the first run"
	case errors.Is(err, batch.ErrLogged):
		return "--resume goes on with it; for a new run, remove it or name another file"
	case errors.Is(err, batch.ErrNotLog):
		return "it was left as it is; name another file for the joblog"
	case errors.Is(err, results.ErrJoblogIsOutput):
		return "the results and the joblog need a file each"
	case errors.Is(err, results.ErrJoblogIrregular):
		return "a joblog is read too: name a regular file"
	case errors.Is(err, results.ErrJoblogHeld):
		return "wait until that run has ended, or name another file for the joblog"
	case errors.Is(err, results.ErrIrregular):
		return "--out-anywhere writes to such files"
	case errors.Is(err, results.ErrLinkOutside):
		return "--out-anywhere follows such links"
	case errors.Is(err, results.ErrOutside):
		return "--out-anywhere allows it"
	}
	return ""
}

// resultsCode returns the exit code of an error of writing results; cli.ExitOK for other
// errors.
func resultsCode(err error) int {
	for _, kind := range []error{
		results.ErrOutputGone, results.ErrInputChanged, results.ErrJoblogIsOutput, results.ErrJoblogIrregular,
		batch.ErrLogged, batch.ErrNotLog,
	} {
		if errors.Is(err, kind) {
			return cli.ExitUsage
		}
	}
	if errors.Is(err, results.ErrJoblogHeld) {
		return cli.ExitAgain
	}
	return cli.ExitOK
}
