package testgm

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// logPatience is the maximum time that Log.WaitFor waits.
const logPatience = time.Minute

// Log keeps the lines that are written to it. A test can wait for one of them.
type Log struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // has room for one value: a line was written
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{more: make(chan struct{}, 1)} }

// Write adds b as one line.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.lines = append(l.lines, string(b))
	l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// Lines returns a copy of the lines.
func (l *Log) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// Has reports whether a line contains text.
func (l *Log) Has(text string) bool {
	return slices.ContainsFunc(l.Lines(), func(line string) bool { return strings.Contains(line, text) })
}

// WaitFor waits until a line contains text. The test fails after a minute. One
// goroutine may wait at a time.
func (l *Log) WaitFor(t *testing.T, text string) {
	t.Helper()
	timer := time.NewTimer(logPatience)
	defer timer.Stop()
	for !l.Has(text) {
		select {
		case <-l.more:
		case <-timer.C:
			t.Fatalf("no %q in the log: %q", text, l.Lines())
		}
	}
}
