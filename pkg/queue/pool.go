package queue

const (
	poolSlab = 64      // values that are allocated together
	maxFree  = 1 << 14 // values that are kept for the next use
)

// pool hands out small values and takes them back. It leaves returned values
// beyond maxFree to the garbage collector, so that it does not keep the memory
// of a burst.
type pool[T any] struct {
	free []*T
	slab []T
}

// get returns a zero value.
func (p *pool[T]) get() *T {
	if n := len(p.free); n > 0 {
		v := p.free[n-1]
		p.free = p.free[:n-1]
		return v
	}
	if len(p.slab) == 0 {
		p.slab = make([]T, poolSlab)
	}
	v := &p.slab[0]
	p.slab = p.slab[1:]
	return v
}

// put takes back a value that nothing points to.
func (p *pool[T]) put(v *T) {
	var zero T
	*v = zero
	if len(p.free) < maxFree {
		p.free = append(p.free, v)
	}
}
