package queue

import (
	"hash/maphash"
	"math/bits"
)

// class is shared by all workers with the same functions in the same order. It
// has, for each priority, the set of functions with ready jobs, and the list of
// sleeping workers. So a grab finds the first bit of a set, a worker that falls
// asleep becomes one entry in one list, and a function that gets its first or
// loses its last ready job of a priority flips one bit per class.
type class struct {
	hash      uint64
	sameHash  *class
	peers     int
	functions []*Function
	places    []int // index of this class in functions[i].classes
	ready     [priorities]bitset
	sleepers  peerList
}

// member is a class that has a function, and the function's position in it.
type member struct {
	class    *class
	position int
}

// classOf returns p's class. It creates the class if p's abilities have
// changed, which takes a step for each function.
func (q *Queue) classOf(p *Peer) *class {
	if p.class != nil {
		return p.class
	}
	hash := p.hashAbilities(q.seed)
	c := q.classes[hash]
	for c != nil && !c.fits(p) {
		c = c.sameHash
	}
	if c == nil {
		c = newClass(hash, p)
		c.sameHash = q.classes[hash]
		q.classes[hash] = c
	}
	c.peers++
	p.class = c
	return c
}

func newClass(hash uint64, p *Peer) *class {
	n := len(p.abilities)
	c := &class{
		hash:      hash,
		functions: make([]*Function, 0, n),
		places:    make([]int, 0, n),
	}
	for i := range c.ready {
		c.ready[i] = newBitset(n)
	}
	for a := p.firstAbility; a != nil; a = a.next {
		f, position := a.function, len(c.functions)
		c.functions = append(c.functions, f)
		c.places = append(c.places, len(f.classes))
		f.classes = append(f.classes, member{c, position})
		for i := range c.ready {
			if !f.paused && f.waiting[i].n > 0 {
				c.ready[i].set(position)
			}
		}
	}
	return c
}

// leaveClass removes p, whose abilities are about to change, from its class. If
// p sleeps, it moves to the restless workers.
func (q *Queue) leaveClass(p *Peer) {
	c := p.class
	if c == nil {
		return
	}
	if p.rest == asleep {
		c.sleepers.remove(p)
		q.restless.pushBack(p)
	}
	p.class, p.turn = nil, 0
	c.peers--
	if c.peers == 0 {
		q.dropClass(c)
	}
}

func (q *Queue) dropClass(c *class) {
	for i, f := range c.functions {
		at, last := c.places[i], len(f.classes)-1
		moved := f.classes[last]
		f.classes[at] = moved
		moved.class.places[moved.position] = at
		f.classes[last] = member{}
		f.classes = f.classes[:last]
	}
	first := q.classes[c.hash]
	switch {
	case first != c:
		for first.sameHash != c {
			first = first.sameHash
		}
		first.sameHash = c.sameHash
	case c.sameHash != nil:
		q.classes[c.hash] = c.sameHash
	default:
		delete(q.classes, c.hash)
	}
}

// hashAbilities returns a hash of p's functions in their order.
func (p *Peer) hashAbilities(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for a := p.firstAbility; a != nil; a = a.next {
		maphash.WriteComparable(&h, a.function.id)
	}
	return h.Sum64()
}

// fits reports whether p's functions are the class's.
func (c *class) fits(p *Peer) bool {
	if len(c.functions) != len(p.abilities) {
		return false
	}
	i := 0
	for a := p.firstAbility; a != nil; a = a.next {
		if c.functions[i] != a.function {
			return false
		}
		i++
	}
	return true
}

// firstReady returns the first function from position turn on that has a ready
// job of the highest priority, or nil if no function has a ready job.
func (c *class) firstReady(turn int) (f *Function, p Priority, position int) {
	for i := range c.ready {
		position := c.ready[i].next(turn)
		if position < 0 && turn > 0 {
			position = c.ready[i].next(0)
		}
		if position >= 0 {
			return c.functions[position], Priority(i), position
		}
	}
	return nil, 0, 0
}

// setReady records in f's classes whether f has ready jobs of priority p.
func (f *Function) setReady(p Priority, ready bool) {
	for _, m := range f.classes {
		if ready {
			m.class.ready[p].set(m.position)
		} else {
			m.class.ready[p].clear(m.position)
		}
	}
	f.countServed()
}

// countServed updates the number of functions that have workers and ready jobs.
func (f *Function) countServed() {
	served := f.workers > 0 && f.ready() > 0
	if served == f.served {
		return
	}
	f.served = served
	if served {
		f.queue.served++
	} else {
		f.queue.served--
	}
}

// addWorkers counts workers that join or leave.
func (f *Function) addWorkers(n int) {
	f.workers += n
	f.countServed()
}

const wordBits = 64

// bitset is a set of small numbers with a summary: bit i of summary is set if
// words[i] is not 0.
type bitset struct {
	words, summary []uint64
}

func newBitset(n int) bitset {
	words := (n + wordBits - 1) / wordBits
	summary := (words + wordBits - 1) / wordBits
	all := make([]uint64, words+summary)
	return bitset{words: all[:words], summary: all[words:]}
}

func (b *bitset) set(i int) {
	w := i / wordBits
	b.words[w] |= 1 << (i % wordBits)
	b.summary[w/wordBits] |= 1 << (w % wordBits)
}

func (b *bitset) clear(i int) {
	w := i / wordBits
	b.words[w] &^= 1 << (i % wordBits)
	if b.words[w] == 0 {
		b.summary[w/wordBits] &^= 1 << (w % wordBits)
	}
}

// next returns the smallest member from i on, or -1 if there is none.
func (b *bitset) next(i int) int {
	w := i / wordBits
	if w >= len(b.words) {
		return -1
	}
	if rest := b.words[w] >> (i % wordBits); rest != 0 {
		return i + bits.TrailingZeros64(rest)
	}
	w++
	for s := w / wordBits; s < len(b.summary); s++ {
		rest := b.summary[s]
		if s == w/wordBits {
			rest &= ^uint64(0) << (w % wordBits)
		}
		if rest != 0 {
			w = s*wordBits + bits.TrailingZeros64(rest)
			return w*wordBits + bits.TrailingZeros64(b.words[w])
		}
	}
	return -1
}
