package batch

// row is a queue of flights in a ring, so that one in use makes no garbage.
type row struct {
	ring []*flight // its length is a power of two, or 0
	head int
	n    int
}

func (q *row) len() int { return q.n }

// at returns the place of the flight i behind the front.
func (q *row) at(i int) **flight { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

// front returns the first flight, or nil.
func (q *row) front() *flight {
	if q.n == 0 {
		return nil
	}
	return *q.at(0)
}

func (q *row) push(f *flight) {
	if q.n == len(q.ring) {
		grown := make([]*flight, max(16, 2*q.n))
		for i := range q.n {
			grown[i] = *q.at(i)
		}
		q.ring, q.head = grown, 0
	}
	q.n++
	*q.at(q.n - 1) = f
}

// pop removes the first flight.
func (q *row) pop() *flight {
	f := q.front()
	*q.at(0) = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return f
}

// insert inserts a flight behind those with a lower sequence. It takes a step
// for each flight behind its place.
func (q *row) insert(f *flight) {
	q.push(f)
	for i := q.n - 1; i > 0 && (*q.at(i - 1)).Seq > f.Seq; i-- {
		*q.at(i), *q.at(i - 1) = *q.at(i - 1), f
	}
}
