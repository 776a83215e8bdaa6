package server

import (
	"sync"
	"time"
)

// group counts goroutines. Unlike a sync.WaitGroup it can be waited for with a
// time limit, and without a goroutine that waits.
type group struct {
	mu   sync.Mutex
	n    int
	last func() // called when n has become 0
}

// Go runs f in a goroutine of the group.
func (g *group) Go(f func()) {
	g.mu.Lock()
	g.n++
	g.mu.Unlock()
	go func() {
		defer g.endGoroutine()
		f()
	}()
}

func (g *group) endGoroutine() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 && g.last != nil {
		go g.last()
	}
}

// endThen calls f in a goroutine of its own once the group has ended: no more
// goroutines are added to it. It waits for f to return, for at most d, and
// reports whether it has.
func (g *group) endThen(f func(), d time.Duration) bool {
	done := make(chan struct{})
	g.mu.Lock()
	g.last = func() {
		defer close(done)
		f()
	}
	if g.n == 0 {
		go g.last()
	}
	g.mu.Unlock()
	return waitFor(done, d)
}

// waitFor waits until done is closed, for at most d, and reports whether it is.
func waitFor(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
