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
