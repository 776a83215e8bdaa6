//go:build unix

package daemon

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime/debug"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// StopSignals are the signals that stop a server gracefully. gearmand uses SIGUSR1.
var StopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1}

// readyVariable is the environment variable with the descriptor on which a process that
// Start has started reports that it is ready.
const readyVariable = "GM_DAEMON_READY_FD"

// Start executes this program again with the same arguments, in a session of its own. It
// waits until the function of ReadyReporter was called there, or until that process has
// ended, and passes signals on to it meanwhile. If the process fails, it has printed its
// error, and that of Start wraps an [*exec.ExitError].
func Start(signals <-chan os.Signal) error {
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	ready, there, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	defer ready.Close()
	child := &exec.Cmd{
		Path: path, Args: os.Args,
		Env:    append(os.Environ(), readyVariable+"=3"),
		Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles:  []*os.File{there},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = child.Start()
	there.Close()
	if err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	isReady := make(chan bool, 1)
	go func() {
		n, _ := ready.Read(make([]byte, 1))
		isReady <- n == 1
	}()
	for {
		select {
		case s := <-signals:
			child.Process.Signal(s) //nolint:errcheck // it may have ended
		case ok := <-isReady:
			if ok {
				return nil
			}
			if err := child.Wait(); err != nil {
				return fmt.Errorf("daemon: %w", err)
			}
			return nil
		}
	}
}

// ReadyReporter returns a function that reports to Start that this process is ready, and
// detaches the process from the terminal. Only its first call does something. Without a
// Start that waits, ReadyReporter returns nil.
func ReadyReporter() func() error {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil {
		return nil
	}
	os.Unsetenv(readyVariable) //nolint:errcheck // programs that the server runs must not see it
	unix.CloseOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "ready")
	return func() error {
		if pipe == nil {
			return nil
		}
		if err := detach(); err != nil {
			return fmt.Errorf("daemon: %w", err)
		}
		pipe.Write([]byte{1}) //nolint:errcheck // the waiting process may have ended
		pipe.Close()
		pipe = nil
		return nil
	}
}

// detach replaces stdin, stdout and stderr with the null device.
func detach() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for _, std := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		if err := dup2(int(null.Fd()), int(std.Fd())); err != nil {
			return err
		}
	}
	return nil
}

// SwitchUser gives the process to another user, with the groups of that user. It does
// nothing if the process belongs to that user. A user that the system does not know is a
// [*LookupError].
func SwitchUser(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return &LookupError{err}
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return &LookupError{err}
	}
	if uid == os.Geteuid() {
		return nil
	}
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	if err := syscall.Setgroups(groupsOf(u, gid)); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}

// groupsOf returns the groups of a user; only the primary one if the system has no list.
func groupsOf(u *user.User, primary int) (groups []int) {
	ids, err := u.GroupIds()
	if err != nil {
		return []int{primary}
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			groups = append(groups, n)
		}
	}
	return groups
}

// LimitFiles sets the maximum number of descriptors of the process.
func LimitFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	setRlimit(&limit, n)
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// DumpCore makes a crash print all goroutines and leave a core file.
func DumpCore() {
	debug.SetTraceback("crash")
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) //nolint:errcheck // a crash then prints only the goroutines
	}
	setDumpable()
}
