//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package cmd

import "golang.org/x/sys/unix"

// totalMemory returns how many bytes the machine has; 0 if that is not known.
func totalMemory() int64 {
	for _, name := range []string{"hw.memsize", "hw.physmem64", "hw.physmem"} {
		if n, err := unix.SysctlUint64(name); err == nil && n < 1<<62 {
			return int64(n)
		}
	}
	return 0
}
