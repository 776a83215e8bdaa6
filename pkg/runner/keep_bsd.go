//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package runner

// MaxRSSSupported reports whether Keeper.MaxRSS has an effect, which needs Linux.
func MaxRSSSupported() bool { return false }

// procState is the kernel's state of a child, which this system does not provide.
type procState struct{}

func openState(int) procState      { return procState{} }
func (procState) known() bool      { return false }
func (procState) closeFD()         {}
func (procState) readsInput() bool { return false }
func (procState) alone() bool      { return false }
func (procState) tree() posture    { return unclear }
func unreadBytes(int) int          { return -1 }
func treeRSS(int) int64            { return 0 }
