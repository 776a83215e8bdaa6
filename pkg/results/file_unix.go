//go:build unix

package results

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// appends reports whether each write to f goes to its end.
func appends(f *os.File) bool {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_APPEND != 0
}

// fileID returns the identity of f in the system, which does not change when f
// is renamed. It is empty if it is unknown.
func fileID(f *os.File) string {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
