package logsink

import (
	"sync"
	"time"
)

const (
	// patience is how long a PatientWriter waits for a reader that makes no
	// progress.
	patience     = time.Second
	patiencePoll = 5 * time.Millisecond
)

// A PatientWriter writes to a Sink. A reader that is only slow gets all lines,
// because Write waits for room. If the reader makes no progress for a second, Write
// waits no more, and the sink drops lines, until the reader goes on.
type PatientWriter struct {
	Sink *Sink

	mu    sync.Mutex
	stuck bool // the last wait ended without room
}

// Write implements io.Writer. It never fails.
func (w *PatientWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Sink.hasRoom(MaxPending / 2) { // the reader has made progress
		w.stuck = false
	}
	for late := time.Now().Add(patience); !w.stuck && !w.Sink.hasRoom(len(p)); {
		if time.Now().After(late) {
			w.stuck = true
			break
		}
		time.Sleep(patiencePoll)
	}
	return w.Sink.Write(p)
}
