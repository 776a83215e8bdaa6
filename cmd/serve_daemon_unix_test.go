//go:build unix

package cmd

import (
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gm/cmd/cli"
	"gm/pkg/store/storetest"
)

// TestServeWithDebiansLine starts gm as Debian's init script and unit start
// gearmand, and stops and rotates it as they do.
func TestServeWithDebiansLine(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "gm-debian")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	pidFile, logFile := filepath.Join(dir, "run", "gearmand.pid"), filepath.Join(dir, "log", "gearmand.log")
	args := []string{"serve", "--pid-file=" + pidFile}
	uid := os.Geteuid()
	if u, err := user.Lookup("nobody"); err == nil && uid == 0 {
		args = append(args, "--user=nobody")
		uid, _ = strconv.Atoi(u.Uid)
	}
	for _, d := range []string{dir, filepath.Dir(pidFile), filepath.Dir(logFile)} {
		os.Mkdir(d, 0o755) //nolint:errcheck // one is there
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(d, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	// PARAMS of /etc/default/gearman-job-server, on another port
	args = append(args, "--listen=localhost", "--daemon", "--log-file="+logFile, "--port", strconv.Itoa(port))
	out, err := exec.Command("gm", args...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("gm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatalf("after the start: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	nc, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("after the start: %v", err)
	}
	nc.Close()
	var st syscall.Stat_t
	if err := syscall.Stat(logFile, &st); err != nil || int(st.Uid) != uid || st.Mode&0o777 != 0o600 {
		t.Errorf("log file: %v, uid %d, mode %o, want uid %d, mode 600", err, st.Uid, st.Mode&0o777, uid)
	}
	if sid, err := getsid(pid); err != nil || sid != pid {
		t.Errorf("session %d of process %d: %v", sid, pid, err)
	}

	// logrotate: rename, then kill -HUP
	if err := os.Rename(logFile, logFile+".1"); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGHUP)
	waitUntil(t, "a new log file", func() bool {
		text, _ := os.ReadFile(logFile)
		return strings.Contains(string(text), "log file reopened")
	})

	syscall.Kill(pid, syscall.SIGTERM)
	waitUntil(t, "the end of the daemon", func() bool {
		_, err := os.Stat(pidFile)
		return os.IsNotExist(err)
	})
}

func getsid(pid int) (int, error) {
	sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sid), nil
}

func TestDaemonThatFailsReportsIt(t *testing.T) {
	dir := t.TempDir()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	cmd := exec.Command("gm", "serve", "-d", "-L", "127.0.0.1", "-p", strconv.Itoa(busy.Addr().(*net.TCPAddr).Port), "-l", filepath.Join(dir, "log"))
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitAgain || !strings.Contains(string(out), "address already in use") {
		t.Errorf("exit code %d, %v, want %d\n%s", code, err, cli.ExitAgain, out)
	}
}

// TestDaemonThatStandsByIsReady starts two daemons on one store: the second one goes
// to the background as well, with a pid file of its own.
func TestDaemonThatStandsByIsReady(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		pidFile := filepath.Join(dir, name+".pid")
		out, err := exec.Command("gm", "serve", "-d", "-L", "127.0.0.1", "-p", "0", "--data", filepath.Join(dir, "data"),
			"--pid-file", pidFile, "-l", filepath.Join(dir, name+".log")).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		text, err := os.ReadFile(pidFile)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			syscall.Kill(pid, syscall.SIGKILL)
			waitUntil(t, "the end of "+name, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH || isZombie(pid) })
		})
	}
	waitUntil(t, "the second daemon's log to say that it stands by", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "two.log"))
		return err == nil && strings.Contains(string(text), "standing by")
	})
}

// isZombie reports whether a process has ended and nobody has waited for it: a
// container may have no init that does.
func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}
