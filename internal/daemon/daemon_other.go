//go:build !unix

package daemon

import (
	"errors"
	"os"
	"runtime/debug"
	"syscall"
)

// StopSignals are the signals that stop a server gracefully.
var StopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// Start returns errors.ErrUnsupported: the system has no sessions to detach from.
func Start(<-chan os.Signal) error { return errors.ErrUnsupported }

// ReadyReporter returns nil: no Start waits.
func ReadyReporter() func() error { return nil }

// SwitchUser returns errors.ErrUnsupported.
func SwitchUser(string) error { return errors.ErrUnsupported }

// LimitFiles does nothing: the system has no such limit.
func LimitFiles(int) error { return nil }

// DumpCore makes a crash print all goroutines.
func DumpCore() { debug.SetTraceback("crash") }
