//go:build !linux

package tune

import "time"

// sleepInSystem would sleep in a system call, which is not possible here.
func sleepInSystem(time.Duration) bool { return false }
