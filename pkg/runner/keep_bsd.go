//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package runner

// MaxRSSSupported reports whether Keeper.MaxRSS has an effect: it takes Linux.
func MaxRSSSupported() bool { return false }

// procState would be what the kernel tells of a child; here it is nothing.
type procState struct{}

func openState(int) procState      { return procState{} }
func (procState) known() bool      { return false }
func (procState) close()           {}
func (procState) readsInput() bool { return false }
func (procState) alone() bool      { return false }
func (procState) tree() posture    { return unclear }
func unreadBytes(int) int          { return -1 }
func treeRSS(int) int64            { return 0 }
