//go:build unix

package cli

import (
	"os"
	"syscall"
	"testing"
)

// OnSignals calls its function for each signal until stop, and stop may be called twice.
func TestOnSignals(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan syscall.Signal)
	stop := OnSignals(func(s syscall.Signal) { got <- s }, syscall.SIGUSR1, syscall.SIGUSR2)
	for _, want := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2} {
		if err := self.Signal(want); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != want {
			t.Errorf("got %v, want %v", s, want)
		}
	}
	stop()
	stop()
}
