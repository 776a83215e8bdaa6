//go:build unix

package cmd

import (
	"os"
	"syscall"
)

// signalsByName are the signals that scripts send.
var signalsByName = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP,
	"USR1": syscall.SIGUSR1, "KILL": syscall.SIGKILL, "QUIT": syscall.SIGQUIT, "ALRM": syscall.SIGALRM, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
}

// continueStopped continues a process that a script may have stopped.
func continueStopped(p *os.Process) { p.Signal(syscall.SIGCONT) }
