package storetest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// attributesOf returns the attributes of a process that runs as an account, or
// as this process if it is nil. A server has a process group of its own, so
// that it does not get the signals of the terminal. The system kills it when
// the test's process ends without a cleanup, as after a panic.
func attributesOf(a *account, server bool) *syscall.SysProcAttr {
	attr := new(syscall.SysProcAttr)
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	if server {
		attr.Setpgid, attr.Pdeathsig = true, syscall.SIGKILL
	}
	return attr
}

// children returns the running processes that pid has started.
func children(pid int) (pids []int) {
	files, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, file := range files {
		list, _ := os.ReadFile(file) // empty if the process has just ended
		for field := range strings.FieldsSeq(string(list)) {
			if n, err := strconv.Atoi(field); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}
