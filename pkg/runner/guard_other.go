//go:build !linux

package runner

import "errors"

// Guard needs Linux; elsewhere it returns errors.ErrUnsupported.
func Guard(...string) error { return errors.ErrUnsupported }

// RunGuard does nothing.
func RunGuard(string) {}
