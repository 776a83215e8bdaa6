package batch

import (
	"context"
	"sync"
)

// What an intake reads ahead: so many bytes, or records, before it waits for
// them to be taken.
const (
	aheadBytes   = 64 << 10
	aheadRecords = 256
)

// intake reads a source ahead, in a goroutine of its own. Records go from one
// to the other in heaps, as a handover for each would cost more than the rest.
type intake struct {
	ready func()        // told when there is something to take
	taken chan struct{} // told when it has been

	mu    sync.Mutex
	heap  []Input
	bytes int
	end   error // why there is no more after heap; nil while there may be

	// The taker's.
	cur   []Input
	next  int   // of cur
	ended error // end, once all before it has been taken
}

func newIntake(ready func()) *intake {
	return &intake{ready: ready, taken: make(chan struct{}, 1)}
}

// read reads src until its end or ctx's.
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

// waitForRoom reports whether there was some before ctx was done.
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

// take returns the next record. Without one, ended is why if there will be none.
func (n *intake) take() (in Input, ok bool) {
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
