package server

// connList is the list of a server's connections, the oldest first. During a walk, a
// connection that has left the list keeps its link to the next one, so that the walk
// can go on from there.
type connList struct {
	first, last *conn
	n           int
	walks       int
	left        []*conn // the connections that have left during the walks
}

// beginWalk begins a walk of several calls of after.
func (l *connList) beginWalk() { l.walks++ }

// endWalk ends a walk. After the last one it removes the links of connections that
// have left: a pointer to one of them would keep all later ones in memory.
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

// after calls f for the connections after last, or from the first one if last is nil,
// until f returns false. It returns the last connection that it visited, and whether
// there may be more.
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
