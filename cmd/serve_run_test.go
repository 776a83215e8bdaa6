package cmd

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"gm/cmd/cli"
	"gm/internal/daemon"
	"gm/internal/serving"
	"gm/pkg/server"
)

// TestServeErrors checks the exit codes and hints of the errors of packages that gm serve
// uses.
func TestServeErrors(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code int
		hint string // a part of the hint; "" if the error has no hint
	}{
		{listenError(syscall.EADDRINUSE), cli.ExitAgain, "whether another server runs"},
		{listenError(syscall.EACCES), cli.ExitRefused, "permissions"},
		{listenError(fmt.Errorf("%w: x", server.ErrAddress)), cli.ExitUsage, ""},
		{listenError(syscall.EADDRNOTAVAIL), cli.ExitIO, "ip addr"},
		{listenError(syscall.EAFNOSUPPORT), cli.ExitIO, "ip addr"},
		{listenError(errors.New("x")), cli.ExitIO, ""},
		{serveError(&serving.DrainError{}), cli.ExitAgain, ""},
		{serveError(&serving.LostJobsError{Jobs: 2}), cli.ExitAgain, "--data DIR keeps background jobs"},
		{serveError(errors.Join(nil, &serving.IOError{Err: net.ErrClosed})), cli.ExitIO, ""},
		{serveError(errors.Join(&serving.DrainError{}, &serving.IOError{Err: net.ErrClosed})), cli.ExitAgain, ""},
		{serveError(cli.UsageErrorf("x")), cli.ExitUsage, ""},
		{userError(&daemon.LookupError{Err: errors.New("x")}), cli.ExitUsage, "useradd"},
		{userError(daemon.ErrNotRoot), cli.ExitRefused, "as root"},
		{userError(syscall.EPERM), cli.ExitRefused, "permissions"},
		{pidError(errors.New("x")), cli.ExitIO, "--pid-file FILE"},
	} {
		hint := hintFor(tc.err)
		if code := exitCode(tc.err); code != tc.code || !strings.Contains(hint, tc.hint) || (hint == "") != (tc.hint == "") {
			t.Errorf("%v: got exit code %d and hint %q, want %d and %q", tc.err, code, hint, tc.code, tc.hint)
		}
	}
	if err := errors.Join(serveError(nil), pidError(nil)); err != nil {
		t.Errorf("got %v for no error", err)
	}
}
