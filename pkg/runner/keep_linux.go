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

// MaxRSSSupported reports whether Keeper.MaxRSS has an effect: it takes Linux.
func MaxRSSSupported() bool { return true }

// procState is what the kernel tells of a child. It holds /proc/PID/syscall open,
// as to open it costs more than to read it.
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

func (s procState) close() {
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

// tree tells what the process and its descendants do.
func (s procState) tree() posture { return treePosture(s.pid) }

// treePosture tells what a process and its descendants do. They are at rest if
// each has one thread and waits for input from a pipe on descriptor 0, or for a
// child to end: then it takes something from outside to have one of them write.
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
		return busy // its last child has just ended, and it goes on
	}
	for _, child := range children {
		all = min(all, treePosture(child))
	}
	return all
}

// threads counts the threads of a process; 0 if that is not known.
func threads(pid int) int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0
	}
	return len(list)
}

// unreadBytes returns how many bytes a pipe holds, less than 0 if that is not known.
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

// childrenOf lists the children that a process's main thread has.
func childrenOf(pid int) (pids []int, err error) {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	for field := range bytes.FieldsSeq(list) {
		if child, err := strconv.Atoi(string(field)); err == nil {
			pids = append(pids, child)
		}
	}
	return pids, err
}
