package work

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/runner"
)

// A job waits for room to start its command before it goes back, and only for
// that.
func TestJobWaitsForRoom(t *testing.T) {
	full := runner.Result{StartErr: syscall.EAGAIN}
	for _, test := range []struct {
		name   string
		result func(attempt int) runner.Result
		code   int
		runs   int
		least  time.Duration
	}{
		{"room at once", func(int) runner.Result { return runner.Result{} }, 0, 1, 0},
		{"a command that fails", func(int) runner.Result { return runner.Result{ExitCode: 75} }, 75, 1, 0},
		{"no such command", func(int) runner.Result { return runner.Result{StartErr: syscall.E2BIG} }, 126, 1, 0},
		{"room later", func(n int) runner.Result {
			if n < 3 {
				return full
			}
			return runner.Result{}
		}, 0, 3, 150 * time.Millisecond},
		{"no room", func(int) runner.Result { return full }, 75, 7, roomPatience},
	} {
		synctest.Test(t, func(t *testing.T) {
			began, runs := time.Now(), 0
			res := runWithRoom(context.Background(), func() runner.Result {
				runs++
				return test.result(runs)
			})
			if took := time.Since(began); res.Code() != test.code || runs != test.runs || took < test.least {
				t.Errorf("%s: code %d after %d runs and %v, want %d, %d and at least %v",
					test.name, res.Code(), runs, took, test.code, test.runs, test.least)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		began := time.Now()
		runWithRoom(ctx, func() runner.Result { return full })
		if took := time.Since(began); took != time.Millisecond {
			t.Errorf("a job that is stopped waited for %v", took)
		}
	})
}
