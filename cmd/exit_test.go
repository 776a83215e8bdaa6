package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"gm/cmd/cli"
	"gm/pkg/gearman"
	"gm/pkg/wire"
)

func TestReport(t *testing.T) {
	noServer := fmt.Errorf("submit: %w: %w", gearman.ErrNoServer, gearman.ServerErrors{
		{Network: "tcp", Addr: "a:1"}: context.DeadlineExceeded,
	})
	const start = "hint: start one with gm serve, or name one with -s HOST[:PORT] or GEARMAN_SERVERS\n"
	tests := []struct {
		name string
		err  error
		code int
		want string
	}{
		{"none", nil, 0, ""},
		{"fail", &gearman.FailError{Handle: "H:x:1"}, cli.ExitFailed, "gm: job H:x:1 failed\n"},
		{
			"exception", fmt.Errorf("f: %w", &gearman.ExceptionError{Handle: "H:x:1", Data: []byte("a\x1bb")}), cli.ExitFailed,
			`gm: f: job H:x:1 raised an exception: "a\x1bb"` + "\n",
		},
		{"usage", cli.UsageErrorf("no %s", "function"), cli.ExitUsage, "gm: no function\n"},
		{"hint", cli.WithHint(cli.UsageErrorf("no function"), "-f names it"), cli.ExitUsage, "gm: no function\nhint: -f names it\n"},
		{
			"hint within", fmt.Errorf("submit: %w", cli.WithHint(noServer, "is it up?")), cli.ExitNoServer,
			"gm: submit: submit: no server could be reached: a:1: context deadline exceeded\nhint: is it up?\n",
		},
		{
			"no server, each too slow", noServer, cli.ExitNoServer,
			"gm: submit: no server could be reached: a:1: context deadline exceeded\n" + start,
		},
		{"lost", fmt.Errorf("%w: eof", gearman.ErrLost), cli.ExitAgain, "gm: connection lost: eof\n"},
		{"lost by a broken pipe", fmt.Errorf("%w: %w", gearman.ErrLost, syscall.EPIPE), cli.ExitAgain, "gm: connection lost: broken pipe\n"},
		{"timeout", fmt.Errorf("wait: %w", gearman.ErrTimeout), cli.ExitTimeout, "gm: wait: time is up\n"},
		{"deadline", context.DeadlineExceeded, cli.ExitTimeout, "gm: context deadline exceeded\n"},
		{
			"queue full", &gearman.ServerError{Code: wire.CodeQueueError, Text: "Job queue is full"}, cli.ExitAgain,
			"gm: server refused: QUEUE_ERROR: Job queue is full\n",
		},
		{"job not found", &gearman.ServerError{Code: wire.CodeJobNotFound, Text: "x"}, cli.ExitUnknown, "gm: server refused: JOB_NOT_FOUND: x\n"},
		{"server error", &gearman.ServerError{Code: "X", Text: "y"}, cli.ExitProtocol, "gm: server refused: X: y\n"},
		{
			"protocol", &gearman.ProtocolError{Server: gearman.Server{Network: "tcp", Addr: "a:1"}, Err: errors.New("bad magic")},
			cli.ExitProtocol, "gm: server a:1 breaks the protocol: bad magic\n",
		},
		{"admin: unknown job", wire.ErrReply("UNKNOWN_JOB"), cli.ExitUnknown, "gm: server says UNKNOWN_JOB\n"},
		{
			"admin: in use", wire.ErrReply("there are still connected workers or executing clients"), cli.ExitAgain,
			"gm: server says there are still connected workers or executing clients\n",
		},
		{"admin: loading", wire.ErrReply("LOADING jobs"), cli.ExitAgain, "gm: server says LOADING jobs\n"},
		{"admin: full", wire.ErrReply("job queue is full"), cli.ExitAgain, "gm: server says job queue is full\n"},
		{"admin: other", wire.ErrReply("NO"), cli.ExitRefused, "gm: server says NO\n"},
		{"file", &fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, cli.ExitIO, "gm: open x: no such file or directory\n"},
		{"stdout", &cli.OutputError{Err: syscall.ENOSPC}, cli.ExitIO, "gm: write to stdout: no space left on device\n"},
		{"stdout has no reader", fmt.Errorf("print: %w", &cli.OutputError{Err: syscall.EPIPE}), 141, ""},
		{"signal", &cli.SignalError{Sig: syscall.SIGINT}, 130, ""},
		{"silent", cli.ExitWith(cli.ExitFailed, nil), cli.ExitFailed, ""},
		{"several", errors.Join(errors.New("a"), &gearman.FailError{Handle: "H"}), cli.ExitFailed, "gm: a\ngm: job H failed\n"},
		{"a terminal is not steered", errors.New("x\x1b[2J\r\u202e\xff"), cli.ExitFailed, `gm: x\x1b[2J\x0d\u202e\xff` + "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stderr bytes.Buffer
			e := &env{Env: cli.Env{Stderr: &stderr}}
			if code := e.Report(test.err, exitCode(test.err), hintFor(test.err)); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			got := stderr.String()
			if !strings.Contains(test.want, "hint: ") { // TestErrorsHaveHints has the others
				got, _, _ = strings.Cut(got, "hint: ")
			}
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestOutputMarksErrors(t *testing.T) {
	o := &cli.Output{Writer: brokenWriter{}}
	_, err := o.Write([]byte("x"))
	if code := exitCode(fmt.Errorf("copy: %w", err)); code != cli.ExitSignal+int(syscall.SIGPIPE) {
		t.Errorf("exit code %d of %v, want 141", code, err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, syscall.EPIPE }
