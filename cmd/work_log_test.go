package cmd

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"gm/pkg/gearman"
)

// A worker whose log has a reader that does not read does its jobs, whose commands
// write to stderr as well, and ends at SIGTERM.
func TestWorkSurvivesAFullLogPipe(t *testing.T) {
	s := servePiped(t)
	s.stderr.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	worker := exec.Command("gm", "work", "-v", "-s", s.addr.String(), "-f", "f", "--trace", "-", "--",
		"sh", "-c", "head -c 600000 /dev/zero | tr '\\0' '\\n' >&2; cat")
	worker.Stderr = w
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	ended := make(chan error, 1)
	go func() { ended <- worker.Wait() }()
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	client, err := gearman.NewClient(gearman.Options{Servers: []gearman.Server{s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 5 {
		if res, err := client.Do(ctx, &gearman.Task{Function: "f", Payload: []byte("in")}); err != nil || string(res.Data) != "in" {
			t.Fatalf("got %v, %v", res, err)
		}
	}
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(scriptPatience):
		t.Error("SIGTERM does not end the worker")
		worker.Process.Kill()
		<-ended
	}
}

// A reader that is only slow gets all that commands write to stderr.
func TestWorkLosesNoStderrOfCommands(t *testing.T) {
	s := servePiped(t)
	s.stderr.Close()
	worker := exec.Command("sh", "-c", "gm work -c 3 -s "+s.addr.String()+" -f f -- sh -c 'head -c 2000000 /dev/zero >&2' 2>&1 | (sleep 0.2; tr -dc '\\0' | wc -c)")
	out := make(chan []byte, 1)
	go func() {
		b, _ := worker.Output()
		out <- b
	}()
	s.submit(t, 3)
	select {
	case b := <-out:
		if string(b) != "6000000\n" {
			t.Errorf("got %q bytes of stderr, want 6000000", b)
		}
	case <-time.After(scriptPatience):
		t.Fatal("the worker does not end")
	}
}
