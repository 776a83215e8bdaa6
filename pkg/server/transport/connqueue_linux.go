package transport

// connQueue is a queue of connections.
type connQueue struct {
	list []*Conn
	head int // index of the first connection in list
}

func (q *connQueue) isEmpty() bool { return q.head == len(q.list) }

func (q *connQueue) push(c *Conn) {
	if q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, c)
}

// pop returns nil if the queue is empty.
func (q *connQueue) pop() *Conn {
	if q.isEmpty() {
		return nil
	}
	c := q.list[q.head]
	q.list[q.head] = nil
	q.head++
	return c
}

// connLane is a list of connections that is emptied as a whole.
type connLane struct {
	list  []*Conn
	spare []*Conn // room for the list after the next
}

func (l *connLane) isEmpty() bool { return len(l.list) == 0 }

func (l *connLane) push(c *Conn) { l.list = append(l.list, c) }

// popAll empties the lane. Its result is valid until it is called again.
func (l *connLane) popAll() []*Conn {
	all := l.list
	l.list, l.spare = l.spare[:0], all
	return all
}
