package systest

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

var errNoFIFO = errors.New("no FIFOs on Windows")

// newProcessGroup returns the attributes of a process that does not get the
// console's Ctrl-C. killProcessGroup finds its children by their parent.
func newProcessGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// killProcessGroup kills a process with all processes that it started.
func killProcessGroup(p *os.Process) error {
	return exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(p.Pid)).Run()
}

// makeFIFO returns errNoFIFO.
func makeFIFO(string) error { return errNoFIFO }

// openFIFO returns errNoFIFO.
func openFIFO(string) (*os.File, error) { return nil, errNoFIFO }
