//go:build unix && !linux

package storetest

import "syscall"

// attributesOf returns the attributes of a process that runs as an account, or
// as this process if it is nil. A server has a process group of its own, so
// that it does not get the signals of the terminal.
func attributesOf(a *account, server bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: server}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}
