package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a server's process.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed after Wait
}

// account is the user of a process.
type account struct{ uid, gid uint32 }

// startProcess starts a program as the user of findAccount. Its output goes to
// the file log.
func startProcess(t testing.TB, account *account, log string, name string, args ...string) *process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Dir(log)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = attributesOf(account, true)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	return p
}

// stop sends a signal to the process and waits for its end. It kills a process
// that does not end.
func (p *process) stop(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal)
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// waitReady waits until ready, and fails the test if the process ends before.
func (p *process) waitReady(t testing.TB, log string, ready func(context.Context) bool) {
	t.Helper()
	if !p.becomesReady(ready) {
		text, _ := os.ReadFile(log)
		t.Fatalf("%s is not ready; its log:\n%s", p.cmd.Path, text)
	}
}

// becomesReady waits until ready, and returns false if the process ends before.
func (p *process) becomesReady(ready func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ready(ctx) {
		select {
		case <-tick.C:
		case <-p.ended:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// runAs runs a program in dir as an account, and waits for its end.
func runAs(t testing.TB, account *account, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = attributesOf(account, false)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// findAccount returns the account for a server that refuses to run as root: the
// first existing user if this process is root, and nil otherwise.
func findAccount(t testing.TB, users ...string) *account {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range users {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &account{uid: uint32(uid), gid: uint32(gid)}
		}
	}
	t.Skipf("none of the users %v", users)
	return nil
}

// dirOf returns a temporary directory that an account owns.
func dirOf(t testing.TB, account *account) string {
	t.Helper()
	dir := t.TempDir()
	if account == nil {
		return dir
	}
	// Only its owner can enter the parent directory.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, int(account.uid), int(account.gid)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// findProgram returns the path of a program that may be in directories outside
// PATH, given as patterns of filepath.Glob. It skips the test if it does not
// find the program; install is the package with the program.
func findProgram(t testing.TB, install string, names []string, folders ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			if real, err := filepath.EvalSymlinks(path); err == nil {
				return real
			}
		}
		for _, folder := range folders {
			found, _ := filepath.Glob(filepath.Join(folder, name))
			if len(found) > 0 {
				return found[len(found)-1]
			}
		}
	}
	t.Skipf("%s is not there; package %s has it", names[0], install)
	return ""
}

var ports struct {
	sync.Mutex
	given map[int]bool
}

// freePort returns a port for a server that a test starts.
func freePort(t testing.TB) int {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// FreePort returns a port on loopback that nobody listens on, and that it has
// not returned before in this process. It is not one of the ports that the
// system gives to outgoing connections, because a server that restarts must
// find its port free.
func FreePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = make(map[int]bool)
	}
	var last error
	for range 1000 {
		port := 15000 + rand.IntN(17000)
		if ports.given[port] {
			continue
		}
		if last = canListen("127.0.0.1", port); last != nil {
			continue
		}
		if err := canListen("::1", port); errors.Is(err, syscall.EADDRINUSE) {
			last = err
			continue
		}
		ports.given[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("no free port: %w", last)
}

func canListen(host string, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}
