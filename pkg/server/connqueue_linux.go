package server

// connQueue is a queue of connections, first come first.
type connQueue struct {
	list []*conn
	head int // of list; what stands before it is gone
}

func (q *connQueue) empty() bool { return q.head == len(q.list) }

func (q *connQueue) push(c *conn) {
	if q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, c)
}

// pop returns nil if there is none.
func (q *connQueue) pop() *conn {
	if q.empty() {
		return nil
	}
	c := q.list[q.head]
	q.list[q.head] = nil
	q.head++
	return c
}

// lane is a list of connections that is taken as a whole.
type lane struct {
	list  []*conn
	taken []*conn // room for the list after the next
}

func (l *lane) empty() bool { return len(l.list) == 0 }

func (l *lane) push(c *conn) { l.list = append(l.list, c) }

// take empties the lane. What it returns is valid until it is called again.
func (l *lane) take() []*conn {
	all := l.list
	l.list, l.taken = l.taken[:0], all
	return all
}
