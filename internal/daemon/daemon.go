// Package daemon changes the process of a server: it starts the server in the
// background, switches the user, raises limits, and writes the pid file.
package daemon

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ErrNotRoot is returned by SwitchUser if the process may not switch users.
var ErrNotRoot = errors.New("only root may switch users")

// LookupError is the error of SwitchUser if the system does not know the user.
type LookupError struct{ Err error }

func (e *LookupError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the system.
func (e *LookupError) Unwrap() error { return e.Err }

// PIDFile is the file with the id of this process. Without a path its methods do
// nothing.
type PIDFile struct {
	Path string

	written bool // by this process
}

// Write writes the process id into the file. Everybody may read it.
func (f *PIDFile) Write() error {
	if f.Path == "" {
		return nil
	}
	f.written = true
	if err := os.WriteFile(f.Path, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}

// WriteIfFree is Write, unless the file has the id of another running process.
func (f *PIDFile) WriteIfFree() error {
	if f.namesOther() {
		return nil
	}
	return f.Write()
}

// Remove removes the file if this process has written it.
func (f *PIDFile) Remove() {
	if f.written {
		os.Remove(f.Path) //nolint:errcheck // a file that is left has the id of no process
	}
}

// namesOther reports whether the file has the id of another running process.
func (f *PIDFile) namesOther() bool {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 1 || pid == os.Getpid() {
		return false
	}
	p, err := os.FindProcess(pid)
	return err == nil && !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
