package store

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLease("fake", slog.New(slog.DiscardHandler), 8*time.Second, 3*time.Second)
		l.Stop() // before Start it does nothing
		renewals, freed := 0, false
		l.Start(func(ctx context.Context) {
			renewals++
			if until, _ := ctx.Deadline(); time.Until(until) != 3*time.Second {
				t.Errorf("a renewal may take %v, want 3s", time.Until(until))
			}
		}, func() { freed = true })
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if renewals != 4 {
			t.Errorf("%d renewals in 9 s, want 4", renewals)
		}
		l.Pass("another")
		l.Pass("another") // is noted once
		<-l.Lost()
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if renewals != 4 || !l.HasPassed() || freed {
			t.Errorf("after it has passed: %d renewals, passed %v, freed %v", renewals, l.HasPassed(), freed)
		}
		l.Stop()
		if !freed {
			t.Error("the lock is not freed")
		}
	})
}
