//go:build unix

package runner

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stubborn is a script that says `ready` and then does not heed SIGTERM.
const stubborn = `trap "" TERM; echo ready; sleep 60`

func TestTimeout(t *testing.T) {
	c := sh(`trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done`)
	c.Timeout = 500 * time.Millisecond
	out, res := runOut(t, c, Job{})
	if out != "ready\nbye\n" || !res.TimedOut || res.ExitCode != 7 || res.Code() != 124 {
		t.Errorf("got %q, timed out %v, exit %d, code %d", out, res.TimedOut, res.ExitCode, res.Code())
	}
	if got, want := errorText(res.Err()), "timed out after 500ms"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	c = sh(stubborn)
	c.Timeout, c.KillAfter = 500*time.Millisecond, 50*time.Millisecond
	_, res = runOut(t, c, Job{})
	if !res.TimedOut || res.Signal != syscall.SIGKILL || res.Code() != 124 {
		t.Errorf("got timed out %v, signal %d, code %d, want true, 9, 124", res.TimedOut, res.Signal, res.Code())
	}
}

// The time is up even while nobody takes the child's output.
func TestTimeoutWhileStdoutBlocks(t *testing.T) {
	c := sh("echo $$; exec sleep 60")
	c.Timeout = 100 * time.Millisecond
	release := make(chan struct{})
	done := make(chan Result)
	pids := make(chan string, 1)
	go func() {
		done <- c.Run(context.Background(), Job{Stdout: func(p []byte) error {
			pids <- string(p)
			<-release
			return nil
		}})
	}()
	pid := <-pids
	eventually(t, func() bool { return gone(pid) })
	close(release)
	if res := <-done; !res.TimedOut || res.Signal != syscall.SIGTERM {
		t.Errorf("got timed out %v, signal %d", res.TimedOut, res.Signal)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	res := sh("echo ready; exec sleep 60").Run(ctx, Job{Stdout: func([]byte) error { cancel(); return nil }})
	if !res.Cancelled || res.Signal != syscall.SIGTERM || res.Code() != 143 || errorText(res.Err()) != "cancelled" {
		t.Errorf("got cancelled %v, signal %d, code %d, %v", res.Cancelled, res.Signal, res.Code(), res.Err())
	}

	ctx, cancel = context.WithCancel(context.Background())
	c := sh(stubborn)
	c.KillAfter = 50 * time.Millisecond
	res = c.Run(ctx, Job{Stdout: func([]byte) error { cancel(); return nil }})
	if !res.Cancelled || res.Signal != syscall.SIGKILL || res.Code() != 137 {
		t.Errorf("got cancelled %v, signal %d, code %d, want true, 9, 137", res.Cancelled, res.Signal, res.Code())
	}

	if res = sh("exit 0").Run(ctx, Job{}); !res.Cancelled || res.Code() != 143 || res.Duration != 0 {
		t.Errorf("context done beforehand: got %+v", res)
	}

	// One that exits with 0 upon SIGTERM has not done its job either.
	ctx, cancel = context.WithCancel(context.Background())
	c = sh(`trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done`)
	res = c.Run(ctx, Job{Stdout: func([]byte) error { cancel(); return nil }})
	if !res.Cancelled || res.OK() || res.ExitCode != 0 || res.Err() == nil {
		t.Errorf("got cancelled %v, code %d, %v", res.Cancelled, res.Code(), res.Err())
	}
}

func TestKill(t *testing.T) {
	kill := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := sh(stubborn)
	c.KillAfter = time.Hour
	_, res := runOut(t, c, Job{Kill: kill, Stdout: func([]byte) error { close(kill); return nil }})
	if !res.Cancelled || res.Signal != syscall.SIGKILL {
		t.Errorf("got cancelled %v, signal %d, want true, 9", res.Cancelled, res.Signal)
	}

	// After SIGTERM, and with the child gone but a grandchild left.
	kill = make(chan struct{})
	f := fifo(t)
	c = sh(`sh -c 'trap "" TERM; echo $$ >` + f + `; exec sleep 60' & read pid <` + f + `; echo $pid; exec sleep 60`)
	c.KillAfter = time.Hour
	var pid string
	res = c.Run(ctx, Job{Kill: kill, Stdout: func(p []byte) error {
		pid = string(p)
		cancel()
		close(kill)
		return nil
	}})
	if !res.Cancelled {
		t.Errorf("got %v, want cancelled", res.Err())
	}
	wantGone(t, pid)
}

// A job that is killed while its context ends is cancelled, whichever comes first.
func TestKillAndCancel(t *testing.T) {
	for range 20 {
		kill := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		c := sh(stubborn)
		c.KillAfter = time.Hour
		res := c.Run(ctx, Job{Kill: kill, Stdout: func([]byte) error { close(kill); cancel(); return nil }})
		if cancel(); !res.Cancelled {
			t.Fatalf("got %+v, want cancelled", res)
		}
	}
}

func TestStdoutError(t *testing.T) {
	full := errors.New("disk full")
	for _, script := range []string{"yes", `trap "" TERM PIPE; echo ready; sleep 60`, "echo ready; exec sleep 60"} {
		c := sh(script)
		c.KillAfter = 50 * time.Millisecond
		calls := 0
		_, res := runOut(t, c, Job{Stdout: func([]byte) error { calls++; return full }})
		if !errors.Is(res.Err(), full) || res.Code() != 74 || res.Cancelled || calls != 1 {
			t.Errorf("%s: got %v, code %d after %d calls, want %v, 74 after 1", script, res.Err(), res.Code(), calls, full)
		}
	}
}

// Processes that a job leaves in its process group end with it.
func TestGrandchildren(t *testing.T) {
	tests := []struct {
		name, script string
		exit         int
	}{
		{"heeds SIGTERM", `sh -c 'echo $$ >F; exec sleep 60' & read pid <F; echo $pid; exit 3`, 3},
		{"ignores SIGTERM", `sh -c 'trap "" TERM; echo $$ >F; exec sleep 60' & read pid <F; echo $pid; exit 3`, 3},
		{"holds no pipes", `sh -c 'echo $$ >F; exec sleep 60' </dev/null >/dev/null 2>&1 & read pid <F; echo $pid`, 0},
		{"twice removed", `sh -c 'sh -c "trap \"\" TERM; echo \$\$ >F; exec sleep 60" &' & read pid <F; echo $pid`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sh(strings.ReplaceAll(tt.script, "F", fifo(t)))
			c.KillAfter = 50 * time.Millisecond
			out, res := runOut(t, c, Job{})
			if res.Signal != 0 || res.ExitCode != tt.exit || res.TimedOut || res.Cancelled {
				t.Errorf("got %v, want exit status %d", res.Err(), tt.exit)
			}
			wantGone(t, out)
		})
	}
}

// A grandchild gets one SIGTERM, not one by the time-out and one for being left.
func TestOneSIGTERM(t *testing.T) {
	f, script := fifo(t), filepath.Join(t.TempDir(), "grandchild")
	writeFile(t, script, `n=0
trap 'n=$((n+1)); echo got $n' TERM
echo up >`+f+`
while [ $n -eq 0 ]; do sleep 0.01; done
sleep 0.2
echo end $n
`, 0o600)
	c := sh("sh " + script + " & read x <" + f + "; echo ready; exec sleep 60")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out strings.Builder
	res := c.Run(ctx, Job{Stdout: func(p []byte) error { out.Write(p); cancel(); return nil }})
	if got, want := out.String(), "ready\ngot 1\nend 1\n"; got != want {
		t.Errorf("got %q, %v, want %q", got, res.Err(), want)
	}
}

// eventually waits for an external condition that announces itself nowhere.
func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("condition not met in 20 s")
		}
	}
}
