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

// keeping is nothing where nothing can be run.
type keeping struct{}

// Do is as Command.Run.
func (k *Keeper) Do(ctx context.Context, _ []byte, _ Take) Result {
	return k.Command.Run(ctx, Job{})
}

// Close does nothing.
func (k *Keeper) Close(context.Context) {}

// MaxRSSSupported reports whether Keeper.MaxRSS has an effect.
func MaxRSSSupported() bool { return false }
