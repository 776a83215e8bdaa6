package cli

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func TestRepeatedSignalCountsOnce(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	var f repeatFilter
	for _, test := range []struct {
		sig    os.Signal
		ms     int
		repeat bool
	}{
		{syscall.SIGTERM, 0, false},
		{syscall.SIGTERM, 1, true},
		{syscall.SIGINT, 2, false}, // another signal is not a repetition
		{syscall.SIGTERM, 3, true}, // nor does it hide one
		{syscall.SIGTERM, 499, true},
		{syscall.SIGTERM, 500, false}, // the span begins at the one that counted
		{syscall.SIGTERM, 999, true},
		{syscall.SIGINT, 1000, false},
		{syscall.SIGHUP, 1000, false},
		{syscall.SIGTERM, 60000, false},
	} {
		if got := f.isRepeat(test.sig, at(test.ms)); got != test.repeat {
			t.Errorf("%v at %d ms: repeat %v, want %v", test.sig, test.ms, got, test.repeat)
		}
	}
}
