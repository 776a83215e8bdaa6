package tune

import (
	"testing"
	"time"
)

// TestAwakeEndsByItself: the thread is there while there are events.
func TestAwakeEndsByItself(t *testing.T) {
	defer Disable(0)()
	var a Awake
	for range awakeEvery - 1 {
		a.Note()
	}
	if a.on.Load() {
		t.Errorf("it is there after %d events", awakeEvery-1)
	}
	a.Note()
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
