package storetest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// endWithTest has the system kill a process when the test's ends without a
// cleanup, as after a panic.
func endWithTest(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// children returns the processes that pid has started and that are there.
func children(pid int) (pids []int) {
	files, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, file := range files {
		list, _ := os.ReadFile(file) // nothing if it has just ended
		for field := range strings.FieldsSeq(string(list)) {
			if n, err := strconv.Atoi(field); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}
