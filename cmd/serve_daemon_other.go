//go:build !unix

package cmd

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	"gm/cmd/cli"
)

// stopSignals stop a server gracefully.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// daemonize is refused: there are no sessions to detach from.
func daemonize() error {
	return cli.ExitWith(cli.ExitRefused, fmt.Errorf("--daemon: %w", errors.ErrUnsupported))
}

// daemonReady returns nil: this is no daemon.
func daemonReady() func() error { return nil }

// switchUser is refused.
func switchUser(name string) error {
	return cli.ExitWith(cli.ExitRefused, fmt.Errorf("--user %q: %w", name, errors.ErrUnsupported))
}

// limitFiles does nothing: the system has no such limit.
func limitFiles(int) error { return nil }

// dumpCore makes a crash print all goroutines.
func dumpCore() { debug.SetTraceback("crash") }
