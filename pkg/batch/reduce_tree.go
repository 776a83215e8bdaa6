package batch

import "fmt"

// tree chooses the parts of a reduction to join, and keeps the parts that wait
// for it. Part i of a level belongs to group i/arity of that level; the parts
// of a group become one part of the next level. The tree is plain data: its
// owner sends the joins and adds their results.
type tree struct {
	arity, limit int
	groups       map[place]*group // groups with parts that have not become one part
	leaves       int              // number of parts of level 0; -1 while unknown
	joins        []*join          // joins to send, oldest first
	held         int              // bytes of the parts in the tree and of the joins in flight
	root         *part            // the final result; nil before the end
	err          error            // reason why there will be no root
}

// place is the position of a group in the tree.
type place struct{ level, index int }

// group is up to arity parts that become one. Its slots are in the order of the
// input; a slot is nil until its part has arrived.
type group struct {
	place
	slots  []*part
	filled int // slots that are not nil
	joins  int // on their way
}

// part is the joined result of some consecutive records.
type part struct {
	data        []byte
	first, last int  // the records, from 1
	level       int  // number of levels at which it was joined; 0 means a record's own result
	busy        bool // it is being joined; only the first part of a join has the mark
}

// absorbed fills the slots of parts that were joined into a part before them.
var absorbed = new(part)

// join is a job that joins some consecutive parts into one.
type join struct {
	group *group
	at    int // the slot of the first
	parts []*part
}

func newTree(arity, limit int) *tree {
	return &tree{arity: arity, limit: limit, groups: make(map[place]*group), leaves: -1}
}

// addResult adds the result of record seq, from 1. The tree owns the result.
func (t *tree) addResult(seq int, data []byte) {
	t.held += len(data)
	t.put(0, seq-1, &part{data: data, first: seq, last: seq})
}

// close sets the number of records to n.
func (t *tree) close(n int) {
	t.leaves = n
	if n == 0 {
		t.root = new(part)
		return
	}
	var open []*group
	for _, g := range t.groups {
		open = append(open, g)
	}
	for _, g := range open {
		t.joinGroup(g)
	}
}

// level returns the number of parts of a level, which is known after close.
func (t *tree) level(n int) int {
	size := t.leaves
	for ; n > 0; n-- {
		size = (size + t.arity - 1) / t.arity
	}
	return size
}

// put puts a part in its place.
func (t *tree) put(level, index int, p *part) {
	at := place{level, index / t.arity}
	g := t.groups[at]
	if g == nil {
		g = &group{place: at, slots: make([]*part, t.arity)}
		t.groups[at] = g
	}
	g.slots[index%t.arity] = p
	g.filled++
	t.joinGroup(g)
}

// joinGroup continues with a group if all of its parts have arrived and none is
// being joined.
func (t *tree) joinGroup(g *group) {
	want := t.arity
	if t.leaves >= 0 {
		want = min(want, t.level(g.level)-g.index*t.arity)
	}
	if g.filled < want || g.joins > 0 {
		return
	}
	runs := g.runs(t.limit)
	if len(runs) == 1 && len(runs[0].parts) == 1 {
		t.passUp(g, runs[0])
		return
	}
	if t.send(runs, 2) > 0 {
		return
	}
	// No two parts fit together. A part that the function has not processed yet
	// may get smaller there.
	var raw []*join
	for _, r := range runs {
		if p := r.parts[0]; p.level == 0 && len(p.data) <= t.limit {
			raw = append(raw, r)
		}
	}
	if t.send(raw, 1) == 0 {
		t.fail(g, runs[0].parts[0], runs[1].parts[0])
	}
}

// passUp continues with a group that has one part left.
func (t *tree) passUp(g *group, last *join) {
	p := last.parts[0]
	switch {
	case t.leaves < 0 || t.level(g.level) > 1:
		delete(t.groups, g.place)
		t.put(g.level+1, g.index, p)
	case p.level > 0:
		delete(t.groups, g.place)
		t.root = p
	case len(p.data) > t.limit:
		t.err = &PartError{g.level + 1, p.first, p.last, "", fmt.Errorf("%d bytes are over the limit %d of a payload", len(p.data), t.limit)}
	default:
		t.send([]*join{last}, 1)
	}
}

// fail records that two parts of a group cannot be joined.
func (t *tree) fail(g *group, a, b *part) {
	t.err = &PartError{
		g.level + 1, a.first, b.last, "",
		fmt.Errorf("%d and %d bytes do not fit together into a payload of %d", len(a.data), len(b.data), t.limit),
	}
}

// runs divides the parts that are not being joined into runs without a gap,
// each as long as fits into a payload.
func (g *group) runs(limit int) []*join {
	var runs []*join
	var open *join // the run to which the next part may be added
	size := 0
	for i, p := range g.slots {
		switch {
		case p == absorbed:
		case p == nil || p.busy:
			open = nil
		case open != nil && size+len(p.data) <= limit:
			open.parts = append(open.parts, p)
			size += len(p.data)
		default:
			open, size = &join{g, i, []*part{p}}, len(p.data)
			runs = append(runs, open)
		}
	}
	return runs
}

// send joins the runs that have that many parts, and returns the number of
// these runs.
func (t *tree) send(runs []*join, least int) int {
	n := 0
	for _, j := range runs {
		if len(j.parts) < least {
			continue
		}
		n++
		g := j.group
		g.joins++
		// absorbed fills all slots after the first one, up to the last part's.
		rest := len(j.parts) - 1
		j.parts[0].busy = true
		for i := j.at + 1; rest > 0; i++ {
			if g.slots[i] != absorbed {
				rest--
			}
			g.slots[i] = absorbed
		}
		t.joins = append(t.joins, j)
	}
	return n
}

// relieve frees memory: it joins two or more parts wherever there are some,
// even fewer than arity. It reports whether it has joined any.
func (t *tree) relieve() bool {
	n := 0
	for _, g := range t.groups {
		n += t.send(g.runs(t.limit), 2)
	}
	return n > 0
}

// nextJoin removes and returns the oldest join to send, with its payload, or nil.
func (t *tree) nextJoin() (*join, []byte) {
	if len(t.joins) == 0 {
		return nil, nil
	}
	j := t.joins[0]
	t.joins[0] = nil
	t.joins = t.joins[1:]
	if len(j.parts) == 1 {
		return j, j.parts[0].data
	}
	payload := make([]byte, 0, j.size())
	for _, p := range j.parts {
		payload = append(payload, p.data...)
		p.data = nil // the payload has it now
	}
	return j, payload
}

// size returns the size of the join's payload, before nextJoin.
func (j *join) size() int {
	n := 0
	for _, p := range j.parts {
		n += len(p.data)
	}
	return n
}

// done adds the result of a join of size bytes. The tree owns the data.
func (t *tree) done(j *join, size int, data []byte) {
	t.held += len(data) - size
	j.group.joins--
	j.group.slots[j.at] = &part{
		data: data, level: j.level(),
		first: j.first(), last: j.last(),
	}
	t.joinGroup(j.group)
}

func (j *join) level() int      { return j.group.level + 1 }
func (j *join) first() int      { return j.parts[0].first }
func (j *join) last() int       { return j.parts[len(j.parts)-1].last }
func (j *join) records() string { return span(j.first(), j.last()) }
