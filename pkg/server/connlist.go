package server

// connList is the list of a server's connections, in the order in which they
// came. While somebody walks it, one that has left it still leads to those behind
// it, so that the walk can go on from there.
type connList struct {
	first, last *conn
	n           int
	walks       int
	left        []*conn // during the walks
}

// beginWalk begins a walk of several calls of after.
func (l *connList) beginWalk() { l.walks++ }

// endWalk ends a walk. Without walks those that have left lead nowhere: whoever
// holds one would hold all that came after it.
func (l *connList) endWalk() {
	if l.walks--; l.walks > 0 {
		return
	}
	for _, c := range l.left {
		c.next = nil
	}
	l.left = nil
}

func (l *connList) push(c *conn) {
	c.prev = l.last
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	c.listed = true
	l.n++
}

func (l *connList) remove(c *conn) {
	if !c.listed {
		return
	}
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.listed = nil, false
	l.n--
	if l.walks > 0 {
		l.left = append(l.left, c)
	} else {
		c.next = nil
	}
}

// after calls f for the connections behind the given one, the first ones if it
// is nil, until f returns false. It returns the last one that f was called for,
// and whether there may be more.
func (l *connList) after(last *conn, f func(*conn) bool) (_ *conn, more bool) {
	c := l.first
	if last != nil {
		c = last.next
	}
	for ; c != nil; c = c.next {
		last = c
		if c.listed && !f(c) {
			return last, true
		}
	}
	return last, false
}
