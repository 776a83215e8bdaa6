package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"gm/cmd/cli"
	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/results"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// TestErrorsHaveHints has one error of each kind that a person can mend.
func TestErrorsHaveHints(t *testing.T) {
	reply := func(line string) error {
		return wire.ErrReply(strings.TrimSuffix(strings.TrimPrefix(line, "ERR "), "\r\n"))
	}
	for _, test := range []struct {
		err  error
		code int
		hint string
	}{
		{gearman.ErrNoServer, cli.ExitNoServer, "start one with gm serve"},
		{gearman.ErrUnknownJob, cli.ExitUnknown, "gm jobs"},
		{gearman.ErrUnsupported, cli.ExitUsage, "only gm serve"},
		{gearman.ErrTimeout, cli.ExitTimeout, "-t"},
		{context.DeadlineExceeded, cli.ExitTimeout, "-t"},
		{gearman.ErrLost, cli.ExitAgain, "--retries"},
		{gearman.ErrTooLarge, cli.ExitRefused, "--max-payload"},
		{&gearman.ProtocolError{Err: wire.ErrMalformed}, cli.ExitProtocol, "-s HOST"},
		{&gearman.ServerError{Code: wire.CodeQueueError}, cli.ExitAgain, "gm admin maxqueue"},
		{&gearman.ServerError{Code: wire.CodeQueueError, Text: "commit to x: " + store.ErrFull.Error()}, cli.ExitAgain, "make room on the disk of the server's store"},
		{&gearman.ServerError{Code: wire.CodeShutdown}, cli.ExitAgain, "try again"},
		{reply(wire.ReplyUnknownJob), cli.ExitUnknown, "gm jobs"},
		{reply(wire.ReplyNoFunction), cli.ExitUnknown, "gm status"},
		{reply(wire.ReplyFunctionInUse), cli.ExitAgain, "gm workers"},
		{reply("ERR job queue is full\r\n"), cli.ExitAgain, "gm admin maxqueue"},
		{reply("ERR LOADING the store is being read\r\n"), cli.ExitAgain, "try again"},
		{reply("ERR NOT_STORED no room\r\n"), cli.ExitAgain, "log"},
		{reply("ERR BUSY the last wait has not ended\r\n"), cli.ExitAgain, "try again"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, cli.ExitIO, "permissions"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, cli.ExitIO, "path"},
		{results.ErrOutputGone, cli.ExitUsage, "append to the output"},
		{results.ErrInputChanged, cli.ExitUsage, "--resume needs the input"},
		{results.ErrJoblogIsOutput, cli.ExitUsage, "a file each"},
		{results.ErrJoblogIrregular, cli.ExitUsage, "a joblog is read too"},
		{results.ErrJoblogHeld, cli.ExitAgain, "wait until that run has ended"},
		{batch.ErrLogged, cli.ExitUsage, "--resume goes on with it"},
		{batch.ErrNotLog, cli.ExitUsage, "name another file"},
		{results.ErrIrregular, cli.ExitFailed, "--out-anywhere writes"},
		{results.ErrLinkOutside, cli.ExitFailed, "--out-anywhere follows"},
		{results.ErrOutside, cli.ExitFailed, "--out-anywhere allows"},
		{&cli.OutputError{Err: syscall.ENOSPC}, cli.ExitIO, "make room"},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, cli.ExitIO, "make room"},
	} {
		err := fmt.Errorf("verb: %w", test.err)
		if code := exitCode(err); code != test.code {
			t.Errorf("%v: exit code %d, want %d", err, code, test.code)
		}
		if hint := hintFor(err); !strings.Contains(hint, test.hint) {
			t.Errorf("%v: hint %q, want one with %q", err, hint, test.hint)
		}
	}
	if hint := hintFor(errors.New("anything")); hint != "" {
		t.Errorf("an unknown error has the hint %q", hint)
	}
}

// TestWrongUsageHasAHint calls each verb in wrong ways, without a server: each failure has
// a hint.
func TestWrongUsageHasAHint(t *testing.T) {
	getenv := func(name string) string {
		switch name {
		case "GEARMAN_SERVERS":
			return "127.0.0.1:1"
		case "PATH":
			return os.Getenv("PATH")
		}
		return ""
	}
	e, _ := testEnv(getenv)
	eachVerb(e.Root, nil, func(words []string, v *cli.Verb) {
		for _, args := range [][]string{{"--nosuch"}, {"-~"}, {"--color", "mauve"}, {"a", "b", "c", "d", "e"}, {}} {
			name := strings.Join(append(words[:len(words):len(words)], args...), " ")
			runs := len(args) == 0 || args[0] == "a" || args[0] == "--color"
			if runs && (words[0] == "serve" || words[0] == "man" || words[0] == "work" || words[0] == "pipe") {
				continue // it would begin to work
			}
			e, stderr := testEnv(getenv)
			code := e.run(context.Background(), append(append([]string{"gm"}, words...), args...))
			if code == 0 && len(args) > 0 && args[0] != "a" && args[0] != "--color" {
				t.Errorf("gm %s: exit code 0", name)
			}
			if code != 0 && stderr.Len() > 0 && !strings.Contains(stderr.String(), "\nhint: ") {
				t.Errorf("gm %s: exit code %d without a hint: %s", name, code, stderr)
			}
		}
	})
}
