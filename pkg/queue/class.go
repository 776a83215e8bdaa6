package queue

import (
	"hash/maphash"
	"math"
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
	private   bool  // it belongs to one worker, because it has many functions
	ready     [priorities]bitset
	sleepers  peerList
}

// member is a class that has a function, and the function's position in it.
type member struct {
	class    *class
	position int
}

// classOf returns p's class. It creates the class if p's abilities have
// changed, which takes a step for each function, unless PrepareClass has done so.
func (q *Queue) classOf(p *Peer) *class {
	if p.class != nil {
		return p.class
	}
	if q.PrepareClass(p, math.MaxInt); p.class != nil {
		return p.class
	}
	hash := p.hashAbilities(q.seed)
	c := q.classes[hash]
	for c != nil && !c.fits(p) {
		c = c.sameHash
	}
	if c == nil {
		c = newClass(len(p.abilities))
		for a := p.firstAbility; a != nil; a = a.next {
			c.addFunction(a.function)
		}
		c.hash = hash
		c.sameHash = q.classes[hash]
		q.classes[hash] = c
	}
	c.peers++
	p.class = c
	return c
}

// newClass returns a class that has room for n functions, and none yet.
func newClass(n int) *class {
	c := &class{
		functions: make([]*Function, 0, n),
		places:    make([]int, 0, n),
	}
	for i := range c.ready {
		c.ready[i] = newBitset(n)
	}
	return c
}

// addFunction puts a function behind those that the class has.
func (c *class) addFunction(f *Function) {
	position := len(c.functions)
	c.functions = append(c.functions, f)
	c.places = append(c.places, len(f.classes))
	f.classes = append(f.classes, member{c, position})
	for i := range c.ready {
		if !f.paused && f.waiting[i].n > 0 && !f.withheld[i] {
			c.ready[i].set(position)
		}
	}
}

// removeLast removes the last function of the class, which has no sleepers.
func (c *class) removeLast() {
	i := len(c.functions) - 1
	f := c.functions[i]
	at, last := c.places[i], len(f.classes)-1
	moved := f.classes[last]
	f.classes[at] = moved
	moved.class.places[moved.position] = at
	f.classes[last] = member{}
	f.classes = f.classes[:last]
	c.functions[i] = nil
	c.functions, c.places = c.functions[:i], c.places[:i]
}

// leaveClass removes p, whose abilities are about to change, from its class. If
// p sleeps, it moves to the restless workers.
func (q *Queue) leaveClass(p *Peer) {
	if w := p.classWork; w != nil && w.made != nil {
		w.old, w.made, w.next = w.made, nil, nil
	}
	c := p.class
	if c == nil {
		return
	}
	if p.sleep == asleep {
		c.sleepers.removePeer(p)
		q.restless.pushBack(p)
	}
	p.class, p.nextPosition = nil, 0
	c.peers--
	switch {
	case c.private:
		p.classWork = &classWork{old: c}
	case c.peers == 0:
		q.dropClass(c)
	}
}

func (q *Queue) dropClass(c *class) {
	for len(c.functions) > 0 {
		c.removeLast()
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

// sharedFunctions is the maximum number of functions of a class that workers
// share. The class of a worker with more functions is private: PrepareClass makes
// and removes it in steps, so that no other call takes long.
const sharedFunctions = 10_000

// classWork is the remaining work for the private class of a worker.
type classWork struct {
	old  *class   // must be emptied first; may be nil
	made *class   // it has some of the worker's functions so far; nil before the first
	next *ability // the next one for made
}

// PrepareClass prepares a Grab or PreSleep of a worker with very many functions,
// which would otherwise take a step for each of them. It takes some steps and
// reports whether more are needed; the caller may release its lock between two
// calls.
func (q *Queue) PrepareClass(p *Peer, steps int) (more bool) {
	if p.classWork == nil && !q.needsPrivate(p) {
		return false
	}
	steps = q.emptyOldClass(p, steps)
	switch {
	case p.classWork != nil && p.classWork.old != nil:
		return true
	case !q.needsPrivate(p):
		return false
	case p.classWork == nil:
		p.classWork = new(classWork)
	}
	w := p.classWork
	if w.made == nil {
		w.made, w.next = newClass(len(p.abilities)), p.firstAbility
		w.made.private = true
	}
	for ; steps > 0 && w.next != nil; steps-- {
		w.made.addFunction(w.next.function)
		w.next = w.next.next
	}
	if w.next != nil {
		return true
	}
	w.made.peers = 1
	p.class, p.classWork = w.made, nil
	return false
}

// needsPrivate reports whether p has no class and needs a private one.
func (q *Queue) needsPrivate(p *Peer) bool {
	return p.class == nil && len(p.abilities) > q.sharedFunctions
}

// emptyOldClass removes functions from the class that p has left. It returns how
// many of the steps remain.
func (q *Queue) emptyOldClass(p *Peer, steps int) int {
	w := p.classWork
	if w == nil || w.old == nil {
		return steps
	}
	for ; steps > 0 && len(w.old.functions) > 0; steps-- {
		w.old.removeLast()
	}
	if len(w.old.functions) == 0 {
		p.classWork = nil
	}
	return steps
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

// firstReady returns the first function from a position on that has a ready
// job of the highest priority, or nil if no function has a ready job.
func (c *class) firstReady(from int) (f *Function, r rank, position int) {
	for i := range c.ready {
		position := c.ready[i].next(from)
		if position < 0 && from > 0 {
			position = c.ready[i].next(0)
		}
		if position >= 0 {
			return c.functions[position], rank(i), position
		}
	}
	return nil, 0, 0
}

// setReady records in f's classes whether f has ready jobs of a priority.
func (f *Function) setReady(r rank, ready bool) {
	for _, m := range f.classes {
		if ready {
			m.class.ready[r].set(m.position)
		} else {
			m.class.ready[r].clear(m.position)
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
	f.listForeground()
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

// next returns the smallest member from i on, or -1.
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
