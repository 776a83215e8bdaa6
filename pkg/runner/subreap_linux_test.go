package runner

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func subreap(t *testing.T) {
	t.Helper()
	if err := Subreap(); err != nil {
		t.Fatal(err)
	}
}

func TestSubreapStrays(t *testing.T) {
	subreap(t)
	tests := []struct{ name, script string }{
		{"new session", `setsid sh -c 'echo $$ >F; exec sleep 60' & read pid <F; echo $pid; exit 3`},
		{"ignores SIGTERM", `setsid sh -c 'trap "" TERM; echo $$ >F; exec sleep 60' & read pid <F; echo $pid; exit 3`},
		{"daemon", `setsid sh -c 'sh -c "echo \$\$ >F; exec sleep 60" & exit 0' </dev/null >/dev/null 2>&1 & read pid <F; wait; echo $pid; exit 3`},
		{"below a stray", `setsid sh -c 'setsid sh -c "trap \"\" TERM; echo \$\$ >F; exec sleep 60" & sleep 60' & read pid <F; echo $pid; exit 3`},
		{"stubborn in the group", `sh -c 'trap "" TERM; echo $$ >F; exec sleep 60' & read pid <F; echo $pid; exit 3`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sh(strings.ReplaceAll(tt.script, "F", fifo(t)))
			c.KillAfter = 100 * time.Millisecond
			out, res := runOut(t, c, Job{})
			if res.ExitCode != 3 || res.Err().Error() != "exit status 3" {
				t.Errorf("got %v, want exit status 3", res.Err())
			}
			wantGone(t, out)
		})
	}
}

// A process that has escaped altogether holds stdout open, and Run returns
// nevertheless, with all that was written before.
func TestEscapedHoldsStdout(t *testing.T) {
	subreap(t)
	c := sh(strings.ReplaceAll(`env -i /usr/bin/env setsid sh -c 'echo $$ >F; exec sleep 60' & read pid <F; echo $pid`, "F", fifo(t)))
	out, res := runOut(t, c, Job{Stdin: make([]byte, 1<<20)})
	if !res.OK() || gone(out) {
		t.Errorf("got %v, gone %v, want success and the process alive", res.Err(), gone(out))
	}
	if err := exec.Command("kill", "-9", strings.TrimSpace(out)).Run(); err != nil {
		t.Fatal(err)
	}
	// It was adopted, and a later Run reaps it.
	eventually(t, func() bool {
		_, res := runOut(t, sh("exit 0"), Job{})
		return res.OK() && gone(out)
	})
}

// Runs in parallel reap orphans, but never one another's children, nor those that
// os/exec has started.
func TestSubreapParallel(t *testing.T) {
	subreap(t)
	var failed atomic.Int32
	fail := func(format string, args ...any) {
		if failed.Add(1) <= 5 {
			t.Errorf(format, args...)
		}
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 25 {
				n := worker*25 + i
				c := sh("exit $N")
				switch n % 3 {
				case 1: // orphans that end on their own, in the group and out of it
					c = sh("(setsid true & true &) ; (setsid sh -c 'true & exit 1' >/dev/null &); exit $N")
				case 2: // one that does not
					c = sh("(setsid sleep 60 &); exit $N")
				}
				res := c.Run(context.Background(), Job{Env: []string{fmt.Sprintf("N=%d", n)}})
				if res.ExitCode != n || res.Signal != 0 {
					fail("job %d: got %v", n, res.Err())
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 50 {
			err := exec.Command("/bin/sh", "-c", fmt.Sprintf("exit %d", i)).Run()
			if got := exitCode(err); got != i {
				fail("os/exec %d: got %d, %v", i, got, err)
			}
		}
	})
	wg.Wait()

	// Nothing is left, not even a zombie.
	eventually(t, func() bool {
		runOut(t, sh("exit 0"), Job{})
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", os.Getpid()))
		return err == nil && len(bytes.TrimSpace(list)) == 0
	})
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := err.(*exec.ExitError); ok {
		return e.ExitCode()
	}
	return -1
}

// A child goes when this process is killed, if Pdeathsig says so.
func TestPdeathsig(t *testing.T) {
	if os.Getenv("RUNNER_PARENT") != "" {
		c := sh("echo $$; exec sleep 60")
		c.Pdeathsig = syscall.SIGKILL
		c.Run(context.Background(), Job{Stdout: func(p []byte) error {
			_, err := os.Stdout.Write(p)
			return err
		}})
		return
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestPdeathsig$")
	parent.Env = append(os.Environ(), "RUNNER_PARENT=1")
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || gone(pid) {
		t.Errorf("child %q, %v, want one alive", pid, err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, func() bool { return gone(pid) })
}

func BenchmarkTrueSubreap(b *testing.B) {
	if err := Subreap(); err != nil {
		b.Fatal(err)
	}
	BenchmarkTrue(b)
}
