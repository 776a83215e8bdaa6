package gearman

import "slices"

// This file keeps the order in which attempts and questions wait for a server's
// packets.

// audience are the attempts that wait for one job, by the order of their
// submission. A server sends each packet of a job once for every submission:
// the copies go around. Most jobs have an audience of one.
type audience struct {
	one  *attempt
	many *circle // instead of one
}

// circle is an audience of several.
type circle struct {
	attempts []*attempt
	turn     int
}

// with returns the audience and one more.
func (j audience) with(a *attempt) audience {
	switch {
	case j.many != nil:
		j.many.attempts = append(j.many.attempts, a)
	case j.one != nil:
		j = audience{many: &circle{attempts: []*attempt{j.one, a}}}
	default:
		j.one = a
	}
	return j
}

// next returns whose turn it is, and whether nobody else waits. After the last
// packet it is nobody's again.
func (j audience) next(last bool) (a *attempt, alone bool) {
	m := j.many
	if m == nil {
		return j.one, true
	}
	a, alone = m.attempts[m.turn], len(m.attempts) == 1
	if last {
		m.attempts = slices.Delete(m.attempts, m.turn, m.turn+1)
	} else {
		m.turn++
	}
	if m.turn >= len(m.attempts) {
		m.turn = 0
	}
	return a, alone
}

// all returns everybody.
func (j audience) all() []*attempt {
	if j.many != nil {
		return j.many.attempts
	}
	return []*attempt{j.one}
}

// fifo is a queue.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) push(v T) { f.items = append(f.items, v) }

func (f *fifo[T]) pop() (v T, ok bool) {
	if f.head == len(f.items) {
		return v, false
	}
	var zero T
	v, f.items[f.head] = f.items[f.head], zero
	f.head++
	switch {
	case f.head == len(f.items):
		f.items, f.head = f.items[:0], 0
	case f.head >= 64 && f.head > len(f.items)/2:
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	return v, true
}

// all empties the queue and returns what was in it.
func (f *fifo[T]) all() []T {
	rest := f.items[f.head:]
	f.items, f.head = nil, 0
	return rest
}
