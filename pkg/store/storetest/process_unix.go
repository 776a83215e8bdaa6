//go:build unix && !linux

package storetest

import "syscall"

// attributesOf returns the attributes of a process that runs as an account, this
// one's if it is nil. A server has a group of its own, so that the signals of
// the terminal are not for it.
func attributesOf(a *account, server bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: server}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}
