package cmd

import (
	"testing"
	"time"
)

// The thread is there while there are events, and ends by itself.
func TestAwake(t *testing.T) {
	var a awake
	for range awakeEvery - 1 {
		a.note()
	}
	if a.on.Load() {
		t.Errorf("it is there after %d events", awakeEvery-1)
	}
	a.note()
	if !sleepInSystem(0) {
		return // there is none on this system
	}
	deadline := time.After(10 * time.Second)
	look := time.NewTicker(awakeFor)
	defer look.Stop()
	for a.on.Load() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatal("it did not end")
		}
	}
}
