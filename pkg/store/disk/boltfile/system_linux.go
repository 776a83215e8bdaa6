package boltfile

import "syscall"

// dropMapped removes n mapped bytes of a file from p on from the memory of the
// process. The system reads them from the file again when they are touched.
func dropMapped(p uintptr, n int64) {
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, p, uintptr(n), syscall.MADV_DONTNEED)
}
