//go:build !linux

package cmd

import "time"

// sleepInSystem would sleep in a system call; here it can't.
func sleepInSystem(time.Duration) bool { return false }
