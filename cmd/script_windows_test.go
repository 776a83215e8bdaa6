package cmd

import (
	"os"
	"syscall"
)

// signalsByName are the signals that scripts send. Windows only delivers KILL: a script
// that sends another one fails.
var signalsByName = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP,
	"KILL": syscall.SIGKILL, "QUIT": syscall.SIGQUIT,
}

// continueStopped does nothing: Windows has no stopped processes.
func continueStopped(*os.Process) {}
