package gearman

// This file has the event that many may wait for.

// latch is something that happens once. Its channel is made when somebody
// waits.
type latch struct {
	happened bool
	c        chan struct{}
}

func (l *latch) wait() <-chan struct{} {
	if l.c == nil {
		l.c = make(chan struct{})
		if l.happened {
			close(l.c)
		}
	}
	return l.c
}

func (l *latch) release() {
	if l.happened {
		return
	}
	l.happened = true
	if l.c != nil {
		close(l.c)
	}
}
