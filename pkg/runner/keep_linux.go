package runner

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxRSSSupported reports whether Keeper.MaxRSS has an effect, which needs Linux.
func MaxRSSSupported() bool { return true }

// procState is the kernel's state of a child. It keeps /proc/PID/syscall open, because
// opening costs more than reading.
type procState struct{ pid, fd int }

// openState opens the state of a process.
func openState(pid int) procState {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/syscall", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	return procState{pid, fd}
}

func (s procState) known() bool { return s.fd >= 0 }

func (s procState) closeFD() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
}

// readsInput reports whether the main thread of the process waits in read(0, ...).
func (s procState) readsInput() bool {
	var b [256]byte
	n, _ := unix.Pread(s.fd, b[:], 0)
	return n > 0 && readsStdin(b[:n])
}

// alone reports whether the process has one thread and no children.
func (s procState) alone() bool {
	children, err := childrenOf(s.pid)
	return err == nil && len(children) == 0 && threads(s.pid) == 1
}

// tree returns the activity of the process and its descendants.
func (s procState) tree() posture { return treePosture(s.pid) }

// treePosture returns the activity of a process and its descendants. They are at rest if
// each has one thread and waits for input from a pipe on descriptor 0, or for the end of
// a child: then none of them writes without an event from outside.
func treePosture(pid int) posture {
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
	if err != nil || threads(pid) != 1 {
		return unclear
	}
	all := callPosture(state)
	if readsStdin(state) {
		if input, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid)); err == nil && strings.HasPrefix(input, "pipe:") {
			all = atRest
		}
	}
	children, err := childrenOf(pid)
	if err != nil {
		return unclear
	}
	if len(children) == 0 && waitsForChild(state) {
		return busy // its last child has just ended
	}
	for _, child := range children {
		all = min(all, treePosture(child))
	}
	return all
}

// threads returns the number of threads of a process, 0 if it is unknown.
func threads(pid int) int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0
	}
	return len(list)
}

// unreadBytes returns the number of bytes in a pipe, negative if it is unknown.
func unreadBytes(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return -1
	}
	return n
}

// treeRSS returns the resident bytes of a process and its descendants.
func treeRSS(pid int) int64 {
	var pages int64
	if statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)); err == nil {
		if fields := bytes.Fields(statm); len(fields) > 1 {
			pages, _ = strconv.ParseInt(string(fields[1]), 10, 64)
		}
	}
	rss := pages * int64(syscall.Getpagesize())
	children, _ := childrenOf(pid)
	for _, child := range children {
		rss += treeRSS(child)
	}
	return rss
}

// childrenOf returns the children of a process's main thread.
func childrenOf(pid int) (pids []int, err error) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	for field := range bytes.FieldsSeq(list) {
		if child, err := strconv.Atoi(string(field)); err == nil {
			pids = append(pids, child)
		}
	}
	return pids, err
}
