//go:build unix

package runner

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// headless is the argument with which the test program is a process that goes on
// without its main thread.
const headless = "headless"

// runHeadless is that process; nil where there is no test that needs it.
var runHeadless func()

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "guard":
		RunGuard(os.Args[2])
		return
	case len(os.Args) == 3 && os.Args[1] == "guarded":
		runGuarded(os.Args[2])
		return
	case len(os.Args) == 2 && os.Args[1] == headless && runHeadless != nil:
		runHeadless()
		return
	}
	goleak.VerifyTestMain(m)
}

// sh is a Command that runs a script.
func sh(script string) *Command { return &Command{Args: []string{"/bin/sh", "-c", script}} }

// runOut runs c with stdin and returns all of its stdout with the result. Should
// the test be stuck, its context ends the job.
func runOut(t *testing.T, c *Command, job Job) (string, Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if job.Stdout == nil {
		job.Stdout = func(p []byte) error { out.Write(p); return nil }
	}
	res := c.Run(ctx, job)
	if ctx.Err() != nil {
		t.Fatalf("job ran into the test's own limit: %v", res.Err())
	}
	return out.String(), res
}

// fifo makes a named pipe by which a grandchild can say that it is ready.
func fifo(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// gone reports whether the process whose number out holds is no more, or a
// zombie that process 1 has yet to reap.
func gone(out string) bool {
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		return false
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return syscall.Kill(pid, 0) == syscall.ESRCH || bytes.Contains(stat, []byte(") Z "))
}

// wantGone fails the test if the process whose number out holds is still there.
func wantGone(t *testing.T, out string) {
	t.Helper()
	if !gone(out) {
		t.Errorf("process %q is there after Run", out)
	}
}

func writeFile(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
