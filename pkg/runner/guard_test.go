//go:build unix

package runner

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runGuarded is a program that runs one job, a script, with a guard.
func runGuarded(script string) {
	if err := Subreap(); err != nil {
		fmt.Println(err)
	}
	if err := Guard("runner", "guard"); err != nil {
		fmt.Println(err)
	}
	c := sh(script)
	c.Run(context.Background(), Job{Stdout: func(b []byte) error {
		_, err := os.Stdout.Write(b)
		return err
	}})
}

// A process that is killed takes the grandchildren of its jobs along: those in the
// job's group, with an environment or none, and those that have left it.
func TestGuardKillsGrandchildren(t *testing.T) {
	if runtime.GOOS != "linux" {
		if err := Guard(); err == nil {
			t.Error("got no error where there is no guard")
		}
		return
	}
	parent := exec.Command(os.Args[0], "guarded", `sleep 1000 & a=$!; env -i sleep 1000 & b=$!; setsid sleep 1000 & echo $a $b $! $$; wait`)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = parent.Wait() }()
	buf := make([]byte, 200)
	n, err := out.Read(buf)
	pids := strings.Fields(string(buf[:n]))
	if err != nil || len(pids) != 4 {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		for late := time.Now().Add(20 * time.Second); !gone(pid); time.Sleep(time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("process %s of %v still runs", pid, pids)
			}
		}
	}
}
