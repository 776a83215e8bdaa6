//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package runner

import (
	"context"
	"errors"
	"fmt"
)

// Run needs process groups, which this system has not: its result's StartErr is
// errors.ErrUnsupported.
func (c *Command) Run(context.Context, Job) Result {
	return Result{StartErr: fmt.Errorf("start command: %w", errors.ErrUnsupported)}
}

// Subreap returns errors.ErrUnsupported.
func Subreap() error { return errors.ErrUnsupported }
