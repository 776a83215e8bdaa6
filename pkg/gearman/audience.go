package gearman

import "slices"

// This file has the order in which attempts and questions wait for the packets of a
// server.

// audience has the attempts that wait for one job, in the order of their submission.
// A server sends a copy of each packet of a job for every submission, and the
// attempts get the copies in turn. Most jobs have only one attempt.
type audience struct {
	one  *attempt
	many *circle // instead of one
}

// circle is an audience of several.
type circle struct {
	attempts []*attempt
	next     int // index of the attempt that gets the next packet
}

// with returns the audience with one more attempt.
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

// nextAttempt returns the attempt that gets the next packet, and whether it is the
// only one. After its last packet an attempt is removed.
func (j audience) nextAttempt(last bool) (a *attempt, alone bool) {
	m := j.many
	if m == nil {
		return j.one, true
	}
	a, alone = m.attempts[m.next], len(m.attempts) == 1
	if last {
		m.attempts = slices.Delete(m.attempts, m.next, m.next+1)
	} else {
		m.next++
	}
	if m.next >= len(m.attempts) {
		m.next = 0
	}
	return a, alone
}

// all returns all attempts.
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

// all empties the queue and returns its elements.
func (f *fifo[T]) all() []T {
	rest := f.items[f.head:]
	f.items, f.head = nil, 0
	return rest
}
