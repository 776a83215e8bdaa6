package storetest

import "syscall"

// endWithTest has the system kill a process when the test's ends without a
// cleanup, as after a panic.
func endWithTest(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
