package cmd

import (
	"sync"
	"time"
)

const (
	// stderrPatience is how long the stderr of a command waits for a reader that
	// makes no progress, before it is dropped like the lines of the log.
	stderrPatience = time.Second
	stderrPoll     = 5 * time.Millisecond
)

// patientWriter passes what commands write to stderr to the worker's log sink. A
// reader that is only slow gets all of it, because the commands wait; one that has
// stopped to read holds up no job and no signal.
type patientWriter struct {
	sink *logSink

	mu    sync.Mutex
	stuck bool // the last wait ended without room
}

// Write implements io.Writer. It never fails.
func (w *patientWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sink.hasRoom(maxLogPending / 2) { // the reader has made progress
		w.stuck = false
	}
	for late := time.Now().Add(stderrPatience); !w.stuck && !w.sink.hasRoom(len(p)); {
		if time.Now().After(late) {
			w.stuck = true
			break
		}
		time.Sleep(stderrPoll)
	}
	return w.sink.Write(p)
}
