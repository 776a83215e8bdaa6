//go:build unix

package cmd

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

	"gm/cmd/cli"
)

// stopSignals stop a server gracefully. gearmand uses SIGUSR1.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGUSR1}

// daemonVariable is the environment variable with the descriptor on which the process
// that --daemon starts reports that it listens.
const daemonVariable = "GM_DAEMON_READY_FD"

// daemonize starts gm again in a session of its own, and waits until that process listens,
// is on standby, or has failed. Its error then has the exit code of the process, which has
// reported the failure itself.
func daemonize() error {
	path, err := os.Executable()
	if err != nil {
		return cli.ExitWith(cli.ExitIO, fmt.Errorf("daemon: %w", err))
	}
	ready, there, err := os.Pipe()
	if err != nil {
		return cli.ExitWith(cli.ExitIO, fmt.Errorf("daemon: %w", err))
	}
	defer ready.Close()
	child := &exec.Cmd{
		Path: path, Args: os.Args,
		Env:    append(os.Environ(), daemonVariable+"=3"),
		Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles:  []*os.File{there},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	signals, stop := cli.NotifySignals(os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = child.Start()
	there.Close()
	if err != nil {
		return cli.ExitWith(cli.ExitIO, fmt.Errorf("daemon: %w", err))
	}
	serves := make(chan bool, 1)
	go func() {
		n, _ := ready.Read(make([]byte, 1))
		serves <- n == 1
	}()
	for {
		select {
		case s := <-signals:
			child.Process.Signal(s) //nolint:errcheck // it may have ended
		case ok := <-serves:
			if ok {
				return nil
			}
			var exit *exec.ExitError
			switch err := child.Wait(); {
			case errors.As(err, &exit) && exit.ExitCode() > 0:
				return cli.ExitWith(exit.ExitCode(), nil)
			case err != nil:
				return cli.ExitWith(cli.ExitFailed, fmt.Errorf("daemon: %w", err))
			}
			return nil
		}
	}
}

// daemonReady returns a function that reports to the starter of this daemon that it
// listens, and detaches from the terminal. It returns nil if this process is no daemon.
func daemonReady() func() error {
	fd, err := strconv.Atoi(os.Getenv(daemonVariable))
	if err != nil {
		return nil
	}
	os.Unsetenv(daemonVariable) //nolint:errcheck // commands of --work must not see it
	unix.CloseOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "ready")
	return func() error {
		if pipe == nil {
			return nil
		}
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return cli.ExitWith(cli.ExitIO, fmt.Errorf("daemon: %w", err))
		}
		defer null.Close()
		for _, std := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
			if err := dup2(int(null.Fd()), int(std.Fd())); err != nil {
				return cli.ExitWith(cli.ExitIO, fmt.Errorf("daemon: %w", err))
			}
		}
		pipe.Write([]byte{1}) //nolint:errcheck // the starter may have ended
		pipe.Close()
		pipe = nil
		return nil
	}
}

// switchUser gives the process to another user, with the groups of that user.
func switchUser(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return cli.WithHint(cli.UsageErrorf("--user %q: %w", name, err), "useradd --system creates a user")
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return cli.UsageErrorf("--user %q: %w", name, err)
	}
	if uid == os.Geteuid() {
		return nil
	}
	if os.Geteuid() != 0 {
		return cli.WithHint(cli.ExitWith(cli.ExitRefused, fmt.Errorf("--user %q: only root may switch users", name)),
			"leave out --user, or start gm serve as root")
	}
	groups := []int{gid}
	if ids, err := u.GroupIds(); err == nil {
		groups = nil
		for _, id := range ids {
			if n, err := strconv.Atoi(id); err == nil {
				groups = append(groups, n)
			}
		}
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups(groups) },
		func() error { return syscall.Setgid(gid) },
		func() error { return syscall.Setuid(uid) },
	} {
		if err := step(); err != nil {
			return cli.ExitWith(cli.ExitRefused, fmt.Errorf("--user %q: %w", name, err))
		}
	}
	return nil
}

// limitFiles sets the maximum number of descriptors of the process.
func limitFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return cli.ExitWith(cli.ExitRefused, fmt.Errorf("--file-descriptors %d: %w", n, err))
	}
	setRlimit(&limit, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return cli.WithHint(cli.ExitWith(cli.ExitRefused, fmt.Errorf("--file-descriptors %d: %w", n, err)),
			"ulimit -Hn prints the maximum; root may raise it")
	}
	return nil
}

// dumpCore makes a crash leave a core file.
func dumpCore() {
	debug.SetTraceback("crash")
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) //nolint:errcheck // it stays as it is
	}
	setDumpable()
}
