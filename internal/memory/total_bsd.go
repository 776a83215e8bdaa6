//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package memory

import "golang.org/x/sys/unix"

// Total returns the bytes of memory of the machine, or 0 if it is unknown.
func Total() int64 {
	for _, name := range []string{"hw.memsize", "hw.physmem64", "hw.physmem"} {
		if n, err := unix.SysctlUint64(name); err == nil && n < 1<<62 {
			return int64(n)
		}
	}
	return 0
}
