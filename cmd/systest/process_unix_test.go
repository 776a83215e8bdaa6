//go:build unix

package systest

import (
	"os"
	"syscall"
)

// newProcessGroup returns the attributes of a process that begins a group of its
// own, which killProcessGroup can kill.
func newProcessGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killProcessGroup kills a process with all processes that it started.
func killProcessGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }

// makeFIFO creates a FIFO.
func makeFIFO(path string) error { return syscall.Mkfifo(path, 0o600) }

// openFIFO opens a FIFO for writing. It fails while nobody reads.
func openFIFO(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
}
