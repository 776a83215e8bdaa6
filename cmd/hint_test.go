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
		{gearman.ErrNoServer, exitNoServer, "start one with gm serve"},
		{gearman.ErrUnknownJob, exitUnknown, "gm jobs"},
		{gearman.ErrUnsupported, exitUsage, "only gm serve"},
		{gearman.ErrTimeout, exitTimeout, "-t"},
		{context.DeadlineExceeded, exitTimeout, "-t"},
		{gearman.ErrLost, exitAgain, "--retries"},
		{gearman.ErrTooLarge, exitRefused, "--max-payload"},
		{&gearman.ProtocolError{Err: wire.ErrMalformed}, exitProtocol, "-s HOST"},
		{&gearman.ServerError{Code: wire.CodeQueueError}, exitAgain, "gm admin maxqueue"},
		{&gearman.ServerError{Code: wire.CodeQueueError, Text: "commit to x: " + store.ErrFull.Error()}, exitAgain, "make room on the disk of the server's store"},
		{&gearman.ServerError{Code: wire.CodeShutdown}, exitAgain, "try again"},
		{reply(wire.ReplyUnknownJob), exitUnknown, "gm jobs"},
		{reply(wire.ReplyNoFunction), exitUnknown, "gm status"},
		{reply(wire.ReplyFunctionInUse), exitAgain, "gm workers"},
		{reply("ERR job queue is full\r\n"), exitAgain, "gm admin maxqueue"},
		{reply("ERR LOADING the store is being read\r\n"), exitAgain, "try again"},
		{reply("ERR NOT_STORED no room\r\n"), exitAgain, "log"},
		{reply("ERR BUSY the last wait has not ended\r\n"), exitAgain, "try again"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, exitIO, "permissions"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, exitIO, "path"},
		{results.ErrOutputGone, exitUsage, "append to the output"},
		{results.ErrInputChanged, exitUsage, "--resume needs the input"},
		{results.ErrJoblogIsOutput, exitUsage, "a file each"},
		{results.ErrJoblogIrregular, exitUsage, "a joblog is read too"},
		{results.ErrJoblogHeld, exitAgain, "wait until that run has ended"},
		{batch.ErrLogged, exitUsage, "--resume goes on with it"},
		{batch.ErrNotLog, exitUsage, "name another file"},
		{results.ErrIrregular, exitFailed, "--out-anywhere writes"},
		{results.ErrLinkOutside, exitFailed, "--out-anywhere follows"},
		{results.ErrOutside, exitFailed, "--out-anywhere allows"},
		{&outputError{syscall.ENOSPC}, exitIO, "make room"},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, exitIO, "make room"},
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
	eachVerb(e.root, nil, func(words []string, v *verb) {
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
