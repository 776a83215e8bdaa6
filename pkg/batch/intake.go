package batch

import (
	"context"
	"sync"
)

// Limits of an intake's reading ahead: it waits when so many bytes, or records,
// have not been taken.
const (
	aheadBytes   = 64 << 10
	aheadRecords = 256
)

// intake reads a source ahead, in a goroutine of its own. Records pass between
// the two goroutines in heaps, because a handover for each record would cost
// more than all the rest.
type intake struct {
	ready func()        // signalled when there are records to take
	taken chan struct{} // signalled when they have been taken

	mu    sync.Mutex
	heap  []Input
	bytes int
	end   error // reason why no record follows heap; nil while one may

	// Fields of the goroutine that takes.
	cur   []Input
	next  int   // of cur
	ended error // end, after all records before it have been taken
}

func newIntake(ready func()) *intake {
	return &intake{ready: ready, taken: make(chan struct{}, 1)}
}

// read reads src until src or ctx ends.
func (n *intake) read(ctx context.Context, src Source) {
	for n.waitForRoom(ctx) {
		in, err := src.Next()
		n.mu.Lock()
		tell := len(n.heap) == 0 || err != nil
		if err != nil {
			n.end = err
		} else {
			n.heap = append(n.heap, in)
			n.bytes += len(in.Payload)
		}
		n.mu.Unlock()
		if tell {
			n.ready()
		}
		if err != nil {
			return
		}
	}
}

// waitForRoom waits for room, and returns false if ctx is done before.
func (n *intake) waitForRoom(ctx context.Context) bool {
	for {
		n.mu.Lock()
		full := n.bytes >= aheadBytes || len(n.heap) >= aheadRecords
		n.mu.Unlock()
		if !full {
			return ctx.Err() == nil
		}
		select {
		case <-n.taken:
		case <-ctx.Done():
			return false
		}
	}
}

// nextInput returns the next record. If there will be no more records, ended is the
// reason.
func (n *intake) nextInput() (in Input, ok bool) {
	if n.next == len(n.cur) {
		n.mu.Lock()
		n.cur, n.heap = n.heap, n.cur[:0]
		n.next, n.bytes = 0, 0
		n.ended = n.end
		n.mu.Unlock()
		if len(n.cur) == 0 {
			return Input{}, false
		}
		n.ended = nil
		select {
		case n.taken <- struct{}{}:
		default:
		}
	}
	in = n.cur[n.next]
	n.cur[n.next] = Input{}
	n.next++
	return in, true
}
