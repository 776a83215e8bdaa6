package transport

import (
	"fmt"
	"time"
)

// slowPeer is the part of an outbox that exists only after its peer was slow.
type slowPeer struct {
	below []func()    // to be called when the outbox is below its mark
	stall *time.Timer // runs while the outbox is above its mark; nil if patience has no end
}

// IsAboveMark reports whether so many bytes wait for the peer that the senders of
// more must wait. It stays true until the outbox is below half of the mark.
func (o *Outbox) IsAboveMark() bool { return o.above.Load() }

// WhenBelowMark calls f once, with the outbox's lock held, when IsAboveMark is false or
// the peer has gone; at once if that is so already. f must not wait.
func (o *Outbox) WhenBelowMark(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone || !o.above.Load() {
		f()
		return
	}
	o.slow.below = append(o.slow.below, f)
}

// noteAboveMark notes that more bytes than the mark wait.
func (o *Outbox) noteAboveMark() {
	o.above.Store(true)
	o.moved = o.peers.now()
	if o.slow == nil {
		o.slow = new(slowPeer)
	}
	switch patience := o.peers.patience; {
	case patience <= 0:
	case o.slow.stall == nil:
		o.slow.stall = time.AfterFunc(patience, o.checkStall)
	default:
		o.slow.stall.Reset(patience)
	}
}

// noteTaken notes that the peer has taken bytes, or that the outbox was emptied.
func (o *Outbox) noteTaken() {
	if !o.above.Load() {
		return
	}
	o.moved = o.peers.now()
	if o.size > o.peers.mark/2 && o.err == nil {
		return
	}
	o.above.Store(false)
	if o.slow.stall != nil {
		o.slow.stall.Stop()
	}
	o.callSenders()
}

// releaseSenders releases the senders that wait for a peer that counts as gone.
func (o *Outbox) releaseSenders() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = true
	o.callSenders()
}

// callSenders calls the functions of waiting senders.
func (o *Outbox) callSenders() {
	if o.slow == nil {
		return
	}
	for _, f := range o.slow.below {
		f()
	}
	o.slow.below = nil
}

// noteAlive notes that the peer sends, and so is alive.
func (o *Outbox) noteAlive() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.moved = o.peers.now()
}

// checkStall is called by the stall timer. It drops a peer that takes nothing.
func (o *Outbox) checkStall() {
	o.mu.Lock()
	left := o.peers.patience - (o.peers.now() - o.moved)
	above, size := o.above.Load(), o.size
	if above && left > 0 {
		o.slow.stall.Reset(left)
	}
	o.mu.Unlock()
	if above && left <= 0 {
		o.drop(fmt.Errorf("does not read: %d bytes wait for it, and it took none for %v", size, o.peers.patience))
	}
}
