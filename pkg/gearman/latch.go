package gearman

// latch is an event that happens once and that many goroutines may wait for. The
// first call of wait makes its channel.
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
