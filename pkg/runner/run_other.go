//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package runner

import (
	"context"
	"errors"
	"fmt"
)

// Run needs process groups, which this system does not have: Result.StartErr is
// errors.ErrUnsupported.
func (c *Command) Run(context.Context, Job) Result {
	return Result{StartErr: fmt.Errorf("start command: %w", errors.ErrUnsupported)}
}

// Subreap returns errors.ErrUnsupported.
func Subreap() error { return errors.ErrUnsupported }

// keeping is empty, because this system can run no child.
type keeping struct{}

// Do does the same as Command.Run.
func (k *Keeper) Do(ctx context.Context, _ []byte, _ Take) Result {
	return k.Command.Run(ctx, Job{})
}

// Close does nothing.
func (k *Keeper) Close(context.Context) {}

// MaxRSSSupported reports whether Keeper.MaxRSS has an effect.
func MaxRSSSupported() bool { return false }
