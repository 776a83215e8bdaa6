package runner

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	if len(os.Args) == 2 && os.Args[1] == headless {
		runtime.LockOSThread() // main keeps the main thread
	}
	runHeadless = endMainThread
}

// endMainThread ends the main thread. Another one says when that is done, and stays.
func endMainThread() {
	signal.Ignore(syscall.SIGTERM)
	go func() {
		for {
			if stat, _ := os.ReadFile("/proc/self/stat"); strings.Contains(string(stat), ") Z ") {
				break
			}
			time.Sleep(time.Millisecond) // nothing announces it
		}
		fmt.Println(os.Getpid())
		os.Stdout.Close()
		time.Sleep(time.Minute)
	}()
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}

// A process without its main thread has the state of a zombie, and ends with its
// job all the same, in the job's group and out of it.
func TestProcessWithoutMainThreadEndsWithJob(t *testing.T) {
	subreap(t)
	for name, script := range map[string]string{
		"in the group": `"$PROGRAM" headless >F & cat F`,
		"new session":  `setsid "$PROGRAM" headless >F & cat F`,
	} {
		t.Run(name, func(t *testing.T) {
			c := sh(strings.ReplaceAll(script, "F", fifo(t)))
			c.KillAfter = time.Millisecond
			out, res := runOut(t, c, Job{Env: []string{"PROGRAM=" + os.Args[0]}})
			if !res.OK() {
				t.Fatal(res.Err())
			}
			if exists(t, out) {
				t.Errorf("process %q is there after Run", out)
			}
		})
	}
}

func TestStatLives(t *testing.T) {
	stat := func(state string, threads int) string {
		return fmt.Sprintf("12 (a) b) Z) %s 1 12 12 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 %d 0 77 0 0", state, threads)
	}
	for _, tt := range []struct {
		stat  string
		lives bool
	}{
		{stat("S", 1), true},
		{stat("R", 9), true},
		{stat("T", 1), true},
		{stat("Z", 1), false},
		{stat("Z", 0), false},
		{stat("Z", 2), true},
		{stat("X", 1), false},
		{"", false},
	} {
		if got := statLives([]byte(tt.stat)); got != tt.lives {
			t.Errorf("%q: got %v, want %v", tt.stat, got, tt.lives)
		}
	}
}
