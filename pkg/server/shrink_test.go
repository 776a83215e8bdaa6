package server_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

func TestShrunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		_, dial := startPiped(t, server.Config{Shrunk: func() { calls.Add(1) }})
		c := dial()
		backlog := func(megabytes int, then time.Duration) {
			t.Helper()
			payload := strings.Repeat("x", 1<<20)
			for range megabytes {
				c.submit(wire.SubmitJobBG, "f", "", payload)
			}
			c.line("purge function f")
			time.Sleep(then)
			synctest.Wait()
		}
		backlog(20, time.Minute)
		if told := calls.Load(); told != 0 {
			t.Errorf("told %d times after 20 MB, want 0", told)
		}
		backlog(40, time.Second)
		if told := calls.Load(); told != 0 {
			t.Errorf("told %d times at once, want 0", told)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if told := calls.Load(); told != 1 {
			t.Errorf("told %d times after 40 MB, want 1", told)
		}
		backlog(40, time.Minute)
		if told := calls.Load(); told != 2 {
			t.Errorf("told %d times after another 40 MB, want 2", told)
		}
	})
}

// What an attack has taken is given back as well, and only when it is over.
func TestShrunkAfterAnAttack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		_, dial := startPiped(t, server.Config{Shrunk: func() { calls.Add(1) }})
		var attackers []*peer
		for range 10 {
			p := dial()
			p.send(begun(10<<20, 6<<20))
			attackers = append(attackers, p)
		}
		time.Sleep(20 * time.Second)
		if told := calls.Load(); told != 0 {
			t.Errorf("told %d times during the attack, want 0", told)
		}
		for _, p := range attackers {
			p.Close()
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if told := calls.Load(); told != 1 {
			t.Errorf("told %d times four seconds after the attack, want 1", told)
		}
	})
}
