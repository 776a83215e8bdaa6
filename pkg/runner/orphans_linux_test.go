package runner

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exists reports whether the process is there, be it as a zombie.
func exists(t *testing.T, pid string) bool {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil || n <= 0 {
		t.Fatalf("got process number %q", pid)
	}
	return !errors.Is(syscall.Kill(n, 0), syscall.ESRCH)
}

// However a job is stopped, its grandchildren are gone when Run returns: they are
// not even zombies, which would stay until the next job.
func TestStoppedJobLeavesNoZombie(t *testing.T) {
	subreap(t)
	const rounds = 20
	for _, tt := range []struct {
		name, script string
		timeout      time.Duration
	}{
		{"background", `sleep 60 & echo $!; wait`, 0},
		{"exits at once", `sleep 60 & echo $!; exec sleep 60`, 0},
		{"pipeline", `sh -c 'echo $$; exec sleep 60' | cat`, 0},
		{"ignores SIGTERM", `sh -c 'trap "" TERM; echo $$; exec sleep 60' & wait`, 0},
		{"job control", `set -m; sh -c 'echo $$; exec sleep 60' | cat & wait`, 0},
		{"time limit", `sleep 60 & echo $!; wait`, 5 * time.Millisecond},
		{"ends by itself", `sleep 60 & echo $!`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := sh(tt.script)
			c.KillAfter = time.Millisecond
			c.Timeout = tt.timeout
			for range rounds {
				ctx, cancel := context.WithCancel(context.Background())
				var pid strings.Builder
				res := c.Run(ctx, Job{Stdout: func(b []byte) error {
					pid.Write(b)
					if tt.timeout == 0 && tt.name != "ends by itself" {
						cancel()
					}
					return nil
				}})
				cancel()
				if pid.Len() == 0 && res.TimedOut {
					continue // stopped before it could say so
				}
				if exists(t, pid.String()) {
					t.Fatalf("process %q is there after Run: %v", pid.String(), res.Err())
				}
			}
		})
	}
}

// An orphan that has outlived its job is reaped as soon as it ends, without
// another job, and so are its own orphans.
func TestIdleProcessReapsOrphans(t *testing.T) {
	subreap(t)
	f := fifo(t)
	script := fmt.Sprintf(`env -i /usr/bin/env setsid sh -c 'sleep 60 & echo $! $$ >%s; wait' & cat %[1]s`, f)
	out, res := runOut(t, sh(script), Job{})
	pids := strings.Fields(out)
	if !res.OK() || len(pids) != 2 || !exists(t, pids[0]) || !exists(t, pids[1]) {
		t.Fatalf("got %q, %v, want two processes alive", out, res.Err())
	}
	// The parent first: its child becomes an orphan, and ends later.
	for _, pid := range []string{pids[1], pids[0]} {
		if err := exec.Command("kill", "-9", pid).Run(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return !exists(t, pid) })
	}
	eventually(t, func() bool {
		orphanReaper.mu.Lock()
		defer orphanReaper.mu.Unlock()
		return !orphanReaper.running
	})
}

// The reaper leaves the children of os/exec and of a Run to those that wait for them.
func TestReaperStealsNoStatus(t *testing.T) {
	subreap(t)
	f := fifo(t)
	out, res := runOut(t, sh(fmt.Sprintf(`env -i /usr/bin/env setsid sh -c 'echo $$ >%s; exec sleep 60' & cat %[1]s`, f)), Job{})
	if !res.OK() {
		t.Fatal(res.Err())
	}
	for i := range 50 {
		if got := exitCode(exec.Command("/bin/sh", "-c", fmt.Sprintf("exit %d", i)).Run()); got != i {
			t.Errorf("os/exec: got exit status %d, want %d", got, i)
		}
		if _, res := runOut(t, sh(fmt.Sprintf("exit %d", i)), Job{}); res.ExitCode != i {
			t.Errorf("Run: got %v, want exit status %d", res.Err(), i)
		}
	}
	if err := exec.Command("kill", "-9", strings.TrimSpace(out)).Run(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !exists(t, out) })
}
