package runner

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// orphanReaper reaps orphans that end after the return of their Run. A Run that leaves
// children of this process behind starts it, and it ends when there are none. In
// process 1, which gets the orphans of all processes, Subreap starts it and it stays.
// Jobs that leave nothing behind have no cost.
var orphanReaper struct {
	mu      sync.Mutex
	running bool
}

// startReaper starts the reaper, unless it runs.
func startReaper() {
	o := &orphanReaper
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running || orphanage.children.Load() == 0 {
		return
	}
	o.running = true
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go reapLeftovers(ended)
}

// reapLeftovers reaps orphans, at once and at each SIGCHLD, until none is left.
func reapLeftovers(ended chan os.Signal) {
	for !reaperDone(ended) {
		<-ended
	}
}

// reaperDone reaps the orphans that have ended. If there are no others it reports
// true, and the next Run that leaves one behind starts the reaper again.
func reaperDone(ended chan os.Signal) bool {
	o := &orphanReaper
	o.mu.Lock()
	defer o.mu.Unlock()
	if alive := reapOrphans(adopted(0)); len(alive) > 0 || os.Getpid() == 1 {
		return false
	}
	o.running = false
	signal.Stop(ended)
	return true
}
